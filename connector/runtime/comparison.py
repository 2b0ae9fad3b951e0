"""Comparison: is what a shard remembers what it has told? The events' fold against the state, stream by stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from connector.avro import encode_record
from connector.diff import visible
from connector.domains.registry import DOMAINS
from connector.fold import FoldedEntity, StreamFold
from connector.runtime.history import Complaint, History
from connector.runtime.memory import AccountMemory, StreamMemory
from connector.state import EntityState, ResourceMeta
from connector.window import MAXIMUM_REMOVED

_NOTHING = FoldedEntity()


def compare(history: History, accounts: Mapping[str, AccountMemory]) -> Iterator[Complaint]:
    """Everything in which the state of `accounts` differs from what their events, as far as they are there, say.

    A stream of which no event is there any more has nothing to be compared with (`unchecked` says so).
    """
    for account in accounts.values():
        for domain, stream in account.streams.items():
            fold = history.streams.get((account.account_id, domain))
            if fold is not None:
                for what in _differences(fold, stream, account):
                    yield Complaint(domain, account.account_id, what)
    for (account_id, domain), fold in history.streams.items():
        if account_id in accounts and domain not in accounts[account_id].streams:
            yield Complaint(domain, account_id, f"the events go up to sequence {fold.sequence}; there is no state")


def unchecked(history: History, accounts: Mapping[str, AccountMemory]) -> dict[str, int]:
    """Of how many streams of a topic the oldest events are gone, so that not everything could be compared."""
    count: dict[str, int] = {}
    for account in accounts.values():
        for domain, stream in account.streams.items():
            fold = history.streams.get((account.account_id, domain))
            if stream.head.sequence and (fold is None or fold.first > 1):
                count[domain] = count.get(domain, 0) + 1
    return count


def _differences(fold: StreamFold, stream: StreamMemory, account: AccountMemory) -> Iterator[str]:
    head = stream.head
    if fold.sequence != head.sequence:
        order = "behind" if head.sequence < fold.sequence else "ahead"
        yield (
            f"the state is {order}: it stands at sequence {head.sequence}, and the events that are there end with "
            f"{fold.sequence}"
        )
        return  # everything else differs because of it
    if fold.stream_version and fold.stream_version != head.stream_version:
        yield f"the state counts {head.stream_version} events about the stream itself, the events {fold.stream_version}"
    if fold.epoch != head.epoch or fold.commit_number > head.commit_number:
        yield "the state is of another commit or epoch than the last event"
    if fold.whole and (fold.status == "closed") != (head.status == "closed"):
        yield f"by the state the stream is {head.status}, by its events {fold.status}"
    names = {*fold.resources, *stream.resources}
    for name in sorted(names):
        yield from _in_resource(fold, name, account.resource(fold.domain, name).packed.open().entities, head.resources)


def _in_resource(
    fold: StreamFold, name: str, known: Mapping[str, EntityState], metas: Mapping[str, ResourceMeta]
) -> Iterator[str]:
    told = dict(fold.of_resource(name))
    for entity_id, entity in known.items():
        if entity_id in told or fold.whole:
            difference = _difference(told.get(entity_id, _NOTHING), entity, fold)
            if difference is not None:
                yield f"{name}: {difference}"
    removed = sum(entity.record is None for entity in told.values())
    for entity_id, one in told.items():
        if entity_id not in known and one.version and not _let_go(fold, name, one, metas.get(name), removed):
            yield f"{name}: the entity of sequence {one.sequence} is told, and not in the state"


def _difference(told: FoldedEntity, entity: EntityState, fold: StreamFold) -> str | None:
    """In what an entity differs from its last event; never more of it than where that event stands."""
    which = f"the entity of sequence {told.sequence}" if told.sequence else "an entity that no event tells of"
    if told.version != entity.version and (told.version or fold.whole):
        return f"{which} is version {entity.version} in the state, and {told.version} by its events"
    if told.version and entity.status != "forgotten":
        there, kept = told.record, visible(entity)
        if (there is None) != (kept is None):
            return f"{which} is {'gone' if kept is None else 'there'} by the state, and not by its events"
        if (
            there is not None
            and kept is not None
            and encode_record(fold.domain, there) != encode_record(fold.domain, kept)
        ):
            return f"{which} has another record in the state than that event told"
    quarantined = entity.unreadable_digest is not None
    if told.unreadable != quarantined and (told.sequence or fold.whole):
        return f"{which} is {'' if quarantined else 'not '}quarantined by the state, and by its events it is otherwise"
    return None


def _let_go(fold: StreamFold, name: str, entity: FoldedEntity, meta: ResourceMeta | None, removed: int) -> bool:
    """May what was told be missing, because it left the window?"""
    domain = DOMAINS.get(fold.domain)
    kind = domain.kind_of(name) if domain is not None else None
    if kind is None:
        return False
    if kind.window is None:
        return entity.record is None and removed > MAXIMUM_REMOVED
    floor = meta.floor if meta is not None else None
    return floor is not None and entity.key is not None and entity.key <= floor and not entity.unreadable


def accounts_without_state(history: History, accounts: Mapping[str, AccountMemory]) -> list[str]:
    """The accounts that have told something, and of which there is no state at all."""
    return sorted({account_id for account_id, _ in history.streams} - accounts.keys())
