"""Committed state of many holders, cloned from a few that a connector really synced.

A clone has what its original has: heads, entities, link; with its own bank account, and sealed under its own key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import anyio

from connector.avro import encode_entity
from connector.domains.transactions import Transaction
from connector.ports import Commit, StateRecord
from connector.runtime.connector import Edges, worker_options
from connector.runtime.memory import AccountMemory
from connector.runtime.sealed_state import Subject
from connector.state import EntityState, StreamHead
from tests.bench.feed import iban_of
from tests.bench.linked import DOMAIN, Place, connect, enrol, link_of, opened_edges, worker_of

HISTORIES = 10
"""Different originals: nobody's state is like more than every tenth one's."""
RECORDS_PER_COMMIT = 5_000


@dataclass(frozen=True, slots=True)
class Original:
    """One holder's streams at rest: by domain the head, and by resource its entities."""

    heads: dict[str, StreamHead]
    entities: dict[tuple[str, str], tuple[EntityState, ...]]

    @classmethod
    def of(cls, account: AccountMemory) -> Original:
        """What a connector remembers of an account, digests of the last reads included."""
        heads, entities = {}, {}
        for domain, stream in account.streams.items():
            metas = {name: memory.meta for name, memory in stream.resources.items()}
            heads[domain] = replace(stream.head, resources={**stream.head.resources, **metas})
            for name, memory in stream.resources.items():
                entities[domain, name] = tuple(memory.packed.open().entities.values())
        return cls(heads, entities)

    @property
    def entity_count(self) -> int:
        """How many entities of the bank's it remembers."""
        return sum(len(entities) for (domain, _), entities in self.entities.items() if domain == DOMAIN)

    def cloned(self, subject: Subject, number: int, commit_number: int) -> Iterator[StateRecord]:
        """The same for the holder `number`, sealed."""
        iban = iban_of(number)

        def renamed(resource: str) -> str:
            kind, colon, _ = resource.partition(":")
            return f"{kind}:{subject.token(iban)}" if colon else resource

        for (domain, resource), entities in self.entities.items():
            for entity in entities:
                moved = _moved(entity, iban)
                yield subject.entity_record(domain, renamed(resource), moved.entity_id, encode_entity(domain, moved))
        for domain, head in self.heads.items():
            resources = {renamed(name): meta for name, meta in head.resources.items()}
            yield subject.head_record(domain, replace(head, commit_number=commit_number, resources=resources))


def _moved(entity: EntityState, iban: str) -> EntityState:
    if not isinstance(entity.record, Transaction):
        return entity
    return replace(entity, record=replace(entity.record, iban=iban))


async def originals(parent: Path, base_url: str, count: int) -> list[Original]:
    """What a connector remembers of the first `count` holders after a first sync, a complete read and a head read."""
    place = Place.fresh(parent, None)
    settings = place.settings(base_url, linger_seconds=0.0)
    async with opened_edges(settings) as edges:
        await connect(edges, settings, count)
        async with worker_of(edges, worker_options(settings)).opened_by_hand() as worker:
            for reading in range(3):
                await worker.read_all(worker.linked, profile=reading == 0)
            # In the order of their numbers: the feed of a clone must be its original's.
            by_label = {account.link.label: account for account in worker.linked if account.link is not None}
            return [Original.of(by_label[f"holder {number}"]) for number in range(count)]


async def populate(edges: Edges, known: Sequence[Original], holders: int) -> int:
    """Commit the state of `holders` to an empty journal of one shard; how many state records that is."""
    shard = await edges.journal.acquire(0)
    written, number = 0, 1
    records: list[StateRecord] = []
    links = []
    for holder in range(holders):
        account_id = await enrol(edges.vault, holder)
        subject = Subject(account_id, await edges.vault.data_key(account_id))
        records += known[holder % len(known)].cloned(subject, holder, number)
        links.append(replace(link_of(account_id, holder), generation=1))
        if len(records) >= RECORDS_PER_COMMIT or holder == holders - 1:
            await shard.commit(Commit(0, number, (), tuple(records), tuple(links)))
            written += len(records)
            number += 1
            records.clear()
            links.clear()
    await shard.release()
    return written


def run_originals(parent: Path, base_url: str, count: int) -> list[Original]:
    """`originals`, in this process."""
    return anyio.run(originals, parent, base_url, count)
