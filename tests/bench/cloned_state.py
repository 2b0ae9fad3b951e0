"""Committed state of many holders, cloned from a few that a connector really synced.

A clone has what its original has: heads, entities, link; with its own bank account where `own_part` gives it one, and
sealed under its own key.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import anyio

from connector.avro import encode_entity
from connector.domains.registry import DOMAINS
from connector.domains.transactions import Transaction
from connector.ports import Commit, StateRecord
from connector.runtime.connector import Edges, worker_options
from connector.runtime.memory import AccountMemory, restore, shard_subject
from connector.runtime.sealed_state import Subject
from connector.state import EntityState, Position, StreamHead
from tests.bench.feed import iban_of
from tests.bench.linked import DOMAIN, Place, connect, enrol, link_of, opened_edges, worker_of

HISTORIES = 10
"""Different originals: nobody's state is like more than every tenth one's."""
RECORDS_PER_COMMIT = 5_000


PartOf = Callable[[str, int], str]
"""(bank account, card or fund of an original, number of the clone) → the clone's own."""


def own_bank_account(_part: str, number: int) -> str:
    """Every holder has one of their own: as the canned bank has it."""
    return iban_of(number)


def shared_part(part: str, _number: int) -> str:
    """The same for all who share a life."""
    return part


@dataclass(frozen=True, slots=True)
class Original:
    """One holder's streams at rest: by domain the head, and by resource its entities and what part it is of."""

    heads: dict[str, StreamHead]
    entities: dict[tuple[str, str], tuple[EntityState, ...]]
    parts: dict[str, str]

    @classmethod
    def of(cls, account: AccountMemory) -> Original:
        """What a connector remembers of an account, digests of the last reads included."""
        heads, entities = {}, {}
        for domain, stream in account.streams.items():
            metas = {name: memory.meta for name, memory in stream.resources.items()}
            heads[domain] = replace(stream.head, resources={**stream.head.resources, **metas})
            for name, memory in stream.resources.items():
                entities[domain, name] = tuple(memory.packed.open().entities.values())
        parts = {name: one.part for (_, name), one in account.resources.items() if one.part is not None}
        return cls(heads, entities, parts)

    @property
    def entity_count(self) -> int:
        """How many entities of the bank's it remembers."""
        return sum(len(entities) for (domain, _), entities in self.entities.items() if domain in DOMAINS)

    def cloned(
        self, subject: Subject, number: int, commit_number: int, epoch: str, part_of: PartOf
    ) -> Iterator[StateRecord]:
        """The same for the holder `number`, sealed."""

        def renamed(resource: str) -> str:
            part = self.parts.get(resource)
            return resource if part is None else f"{resource.partition(':')[0]}:{subject.token(part_of(part, number))}"

        for (domain, resource), entities in self.entities.items():
            for entity in entities:
                moved = _moved(entity, number, part_of)
                yield subject.entity_record(
                    subject.entity_key(domain, renamed(resource), moved.entity_id), encode_entity(domain, moved)
                )
        for domain, head in self.heads.items():
            resources = {renamed(name): meta for name, meta in head.resources.items()}
            # A clone's holder is pinned by the clone's own key, with its first profile.
            moved_head = replace(head, commit_number=commit_number, epoch=epoch, resources=resources, holder_token=None)
            yield subject.head_record(domain, moved_head)


def _moved(entity: EntityState, number: int, part_of: PartOf) -> EntityState:
    if not isinstance(entity.record, Transaction):
        return entity
    return replace(entity, record=replace(entity.record, iban=part_of(entity.record.iban, number)))


async def originals(parent: Path, base_url: str, count: int, domains: Collection[str] = (DOMAIN,)) -> list[Original]:
    """What a connector remembers of the first `count` holders once every read finds nothing new."""
    place = Place.fresh(parent, None)
    settings = place.settings(base_url, linger_seconds=0.0)
    async with opened_edges(settings) as edges:
        await connect(edges, settings, count, domains)
        async with worker_of(edges, worker_options(settings)).opened_by_hand() as worker:
            await worker.read_until_idle(worker.linked)
            # In the order of their numbers: the feed of a clone must be its original's.
            by_label = {account.link.label: account for account in worker.linked if account.link is not None}
            return [Original.of(by_label[f"holder {number}"]) for number in range(count)]


async def populate(
    edges: Edges,
    known: Sequence[Original],
    holders: int,
    domains: Collection[str] = (DOMAIN,),
    part_of: PartOf = own_bank_account,
) -> int:
    """Commit the state of `holders` to an empty journal of one shard; how many state records that is."""
    shard = await edges.journal.acquire(0)
    written, number = 0, 1
    records: list[StateRecord] = []
    links = []
    for holder in range(holders):
        account_id = await enrol(edges.vault, holder)
        subject = Subject(account_id, await edges.vault.data_key(account_id))
        records += known[holder % len(known)].cloned(subject, holder, number, shard.epoch, part_of)
        links.append(replace(link_of(account_id, holder, domains), generation=1))
        if len(records) >= RECORDS_PER_COMMIT or holder == holders - 1:
            await shard.commit(Commit(0, number, (), tuple(records), tuple(links)))
            written += len(records)
            number += 1
            records.clear()
            links.clear()
    # Where the shard stands by then: a connector goes on from nothing less.
    found = (await restore(0, shard.restore(), await shard.links(), edges.vault)).found
    of_shard = Subject(shard_subject(0), await edges.vault.shard_key(0))
    position = of_shard.position_record(Position(number, shard.epoch, b"", found.live))
    await shard.commit(Commit(0, number, (), (), position=position))
    await shard.release()
    return written


def run_originals(parent: Path, base_url: str, count: int, domains: Collection[str] = (DOMAIN,)) -> list[Original]:
    """`originals`, in this process."""
    return anyio.run(originals, parent, base_url, count, domains)
