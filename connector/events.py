"""Events: a change with identity, as consumers see it.

Pure. The identity of a change depends on what changed and on nothing else: every retry, every replay and every owner of
the shard arrives at the same `event_id`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache

from connector.diff import Change
from connector.domains.model import Record, Related

STREAM_ENTITY = "stream"
"""Entity id and resource of events about the stream itself."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """How the connector came to know; see the Avro type `pk.zindigi.Source`."""

    route: str
    backend: str
    api_version: str
    parser_version: str
    mode: str
    raw_digest: str | None = None

    def of_entry(self, raw_digest: str | None) -> Provenance:
        """The same way, of the entry with that digest."""
        return Provenance(self.route, self.backend, self.api_version, self.parser_version, self.mode, raw_digest)


@dataclass(frozen=True, slots=True)
class Event:
    """The envelope and what is in it. Field names are those of the Avro schema of its topic."""

    event_id: str
    event_type: str
    op: str
    account_id: str
    entity_id: str
    entity_version: int
    sequence: int
    resource: str
    effective_at: datetime | None
    effective_date: date | None
    observed_at: datetime
    consent_id: str
    source: Provenance
    supersedes: str | None = None
    related: tuple[Related, ...] = ()
    changed: tuple[str, ...] = ()
    reason: str | None = None
    field: str | None = None
    before: Record | None = None
    after: Record | None = None
    epoch: str = ""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What all events of one read have in common. `epoch` is the branch of the journal that they are told in."""

    account_id: str
    domain: str
    resource: str
    observed_at: datetime
    consent_id: str
    source: Provenance
    epoch: str = ""


def event_id(sighting: Sighting, entity_id: str, *which: str) -> str:
    """The identity of a change: 32 hex digits.

    SHA-256 over the length-prefixed UTF-8 parts, its first 16 bytes. Length prefixes keep ("ab", "c") and ("a", "bc")
    apart. `which` is the version of the entity; of an event about a stream its type and its counter. Epoch and route
    are among the parts, so that no two branches of a journal and no two routes ever share an id.
    """
    scope = _framed(sighting.epoch, sighting.source.route, sighting.account_id, sighting.domain, sighting.resource)
    return hashlib.sha256(scope + b"".join(map(_prefixed, (entity_id, *which)))).hexdigest()[:32]


def _prefixed(part: str) -> bytes:
    raw = part.encode()
    return len(raw).to_bytes(4, "big") + raw


@lru_cache(maxsize=256)
def _framed(*parts: str) -> bytes:
    """What all events of one read have in common, worked out once."""
    return b"".join(map(_prefixed, parts))


def change_event(
    sighting: Sighting,
    change: Change,
    *,
    sequence: int,
    event_type: str,
    source: Provenance,
    supersedes: str | None = None,
    related: tuple[Related, ...] = (),
    reason: str | None = None,
) -> Event:
    """The event of a change of an entity. The change must have an `op`."""
    if change.op is None:
        raise ValueError(f"a change without op is no event: {change.after.entity_id}")
    entity_id, version = change.after.entity_id, change.after.version
    # When a removal took effect the bank does not say.
    effective = change.record_after.effective if change.record_after is not None else None
    # A datetime is a date to isinstance: the instant is asked for first.
    instant = effective if isinstance(effective, datetime) else None
    return Event(
        event_id=event_id(sighting, entity_id, str(version)),
        event_type=event_type,
        op=change.op,
        account_id=sighting.account_id,
        entity_id=entity_id,
        entity_version=version,
        sequence=sequence,
        resource=sighting.resource,
        effective_at=instant,
        effective_date=effective if instant is None else None,
        observed_at=sighting.observed_at,
        consent_id=sighting.consent_id,
        source=source,
        supersedes=supersedes,
        related=related,
        changed=change.changed,
        reason=reason,
        before=change.record_before,
        after=change.record_after,
        epoch=sighting.epoch,
    )


def stream_event(
    sighting: Sighting,
    event_type: str,
    *,
    sequence: int,
    entity_id: str,
    entity_version: int,
    reason: str | None = None,
    field: str | None = None,
) -> Event:
    """An event about a stream (`op` s); `entity_version` counts those of the stream, whatever they are about."""
    return Event(
        event_id=event_id(sighting, entity_id, event_type, str(entity_version)),
        event_type=event_type,
        op="s",
        account_id=sighting.account_id,
        entity_id=entity_id,
        entity_version=entity_version,
        sequence=sequence,
        resource=sighting.resource,
        effective_at=None,
        effective_date=None,
        observed_at=sighting.observed_at,
        consent_id=sighting.consent_id,
        source=sighting.source,
        reason=reason,
        field=field,
        epoch=sighting.epoch,
    )


def cloud_event_headers(
    event: Event, domain: str, commit_number: int, schema_version: str = "v1"
) -> tuple[tuple[str, bytes], ...]:
    """CloudEvents 1.0 headers (Kafka protocol binding, binary mode), plus `sequence`, `commit` and `epoch`.

    No personal data in any.
    """
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", event.event_id.encode()),
        ("ce_type", f"pk.zindigi.{domain}.{event.event_type}.{schema_version}".encode()),
        ("ce_source", f"/zindigi-connector/{event.source.route}/{event.source.backend}".encode()),
        ("ce_subject", f"{event.account_id}/{domain}".encode()),
        ("ce_time", _time(event.observed_at)),
        ("content-type", b"application/avro"),
        ("sequence", str(event.sequence).encode()),
        ("commit", str(commit_number).encode()),
        ("epoch", event.epoch.encode()),
    )


@lru_cache(maxsize=256)
def _time(instant: datetime) -> bytes:
    return instant.isoformat(timespec="microseconds").replace("+00:00", "Z").encode()
