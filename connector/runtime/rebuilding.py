"""Rebuilding: the state of a shard made anew from what it has told.

What events do not say is left as if it had never been known, so that the next reads find it out: up to where everything
was read, what left the window, the digests. So every resource is read completely before anything is claimed of it, and
what the bank shows and was never told, is told then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from connector.avro import encode_entity
from connector.chain import Chain, added
from connector.domains.account import Holder
from connector.domains.lifecycle import NAME as LIFECYCLE
from connector.domains.model import BookingKey, Feed
from connector.domains.registry import DOMAINS
from connector.domains.transactions import BalanceChain
from connector.fold import FoldedEntity, StreamFold
from connector.ports import StateRecord
from connector.runtime.holder import pin_of
from connector.runtime.memory import AccountMemory
from connector.runtime.sealed_state import Subject, head_key
from connector.state import EntityState, ResourceMeta, StreamHead

RawDigests = Mapping[tuple[str, str, str], bytes]
"""By domain, resource and entity: the digest of the raw form that was quarantined last."""

_UNKNOWN_FORM = b""
"""Stands for the digest of a quarantined form that nobody knows any more: the next form is told once more."""


@dataclass(slots=True)
class LiveSum:
    """The sum over the rows of a shard that are written, as `require_sound` will add it up."""

    chain: Chain
    total: int = 0

    def add_row(self, key: str, value: bytes) -> None:
        """A row other than a head; `value` is in clear."""
        self.total = added(self.total, self.chain.of_row(key, value))

    def add_head(self, key: str, commit_number: int) -> None:
        """A head of that commit."""
        self.total = added(self.total, self.chain.of_head(key, commit_number))


def stream_rows(
    fold: StreamFold, subject: Subject, head: StreamHead, digests: RawDigests, live: LiveSum
) -> Iterator[StateRecord]:
    """The entities of a stream, then its head as `head` has it, sealed, and added to `live`."""
    for resource in sorted(fold.resources):
        lowest = lowest_key(fold, resource)
        for entity_id, folded in fold.of_resource(resource):
            digest = digests.get((fold.domain, resource, entity_id), _nameless(entity_id))
            entity = entity_state(entity_id, folded, lowest or BookingKey(0, ""), digest)
            if entity is not None:
                value = encode_entity(fold.domain, entity)
                record = subject.entity_record(subject.entity_key(fold.domain, resource, entity_id), value)
                live.add_row(record.key, value)
                yield record
    live.add_head(head_key(fold.account_id, fold.domain), head.commit_number)
    yield subject.head_record(fold.domain, head)


def head_of(fold: StreamFold, commit_number: int) -> StreamHead:
    """The head of a stream, as far as its events say it."""
    return StreamHead(
        sequence=fold.sequence,
        commit_number=commit_number,
        stream_version=fold.stream_version,
        status=fold.status,
        resources={resource: meta_of(fold, resource) for resource in sorted(fold.resources)},
        epoch=fold.epoch,
    )


def meta_of(fold: StreamFold, resource: str) -> ResourceMeta:
    """What is remembered of a resource beside its entities: nothing that was not told.

    Without a complete read (`swept_at`) the next one is complete, and without a floor whatever it shows may be new.
    Where the first sync had not come to its end it is taken up again, below the oldest entry that it told.
    """
    if fold.domain == LIFECYCLE:
        return ResourceMeta(backfilled=True)
    quarantined = sum(entity.unreadable for _, entity in fold.of_resource(resource))
    meta = ResourceMeta(backfilled=fold.backfilled, quarantined_count=quarantined)
    kind = DOMAINS[fold.domain].kind_of(resource)
    newest_first = kind is not None and kind.feed is Feed.NEWEST_FIRST
    return replace(meta, bound=lowest_key(fold, resource)) if newest_first and not fold.backfilled else meta


def lowest_key(fold: StreamFold, resource: str) -> BookingKey | None:
    """The booking key of the oldest entry that was told of a resource."""
    told = (entity for _, entity in fold.of_resource(resource) if not isinstance(entity.record, BalanceChain))
    return min((entity.key for entity in told if entity.key is not None), default=None)


def entity_state(entity_id: str, folded: FoldedEntity, lowest: BookingKey, digest: bytes) -> EntityState | None:
    """An entity as it is remembered; None where there is nothing to remember.

    One that could never be read has no key that anybody told: it counts as the oldest, so that no read takes it for
    gone that did not go down to there.
    """
    if not folded.version and not folded.unreadable:
        return None
    gone = folded.record is None and not folded.unreadable
    return EntityState(
        entity_id=entity_id,
        version=folded.version,
        key=folded.key or lowest,
        record=folded.record,
        status="removed" if gone else "live",
        aliases=folded.aliases,
        unreadable_digest=digest if folded.unreadable else None,
    )


def _nameless(entity_id: str) -> bytes:
    """Of an entry whose id could not be read, the digest is its name."""
    try:
        return bytes.fromhex(entity_id[1:]) if entity_id.startswith("?") else _UNKNOWN_FORM
    except ValueError:
        return _UNKNOWN_FORM


def holder_token(subject: Subject, account: StreamFold | None) -> str | None:
    """By what the holder is known, worked out from what was told of them; None where that was not read."""
    if account is None:
        return None
    told = (entity.record for entity in account.entities.values())
    holder = next((record for record in told if isinstance(record, Holder)), None)
    if holder is None:
        return None
    return pin_of(AccountMemory(subject.account_id, subject), holder.cnic, holder.msisdn)
