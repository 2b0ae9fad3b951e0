"""Checkpoint: up to when a shard has seen the bank, worked out from what its reads left in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from connector.cadence import Live, Off
from connector.domains.lifecycle import Checkpoint, DomainUntil, StreamBehind
from connector.domains.registry import DOMAINS
from connector.ports import Resource
from connector.runtime.isolation import Stream
from connector.runtime.memory import AccountMemory, StreamMemory
from connector.runtime.timetable import Timetable

MAXIMUM_BEHIND = 500
"""Streams that one checkpoint lists as behind; it says how many there are in all."""
_UNOPENED: Final = StreamMemory()


@dataclass(frozen=True, slots=True)
class _Stream:
    """How one open stream stands: as a checkpoint lists it, the complete reads of its parts, and what is unreadable."""

    told: StreamBehind
    complete: Sequence[datetime | None]
    quarantined: int

    @property
    def vouched(self) -> bool:
        """Does a domain's claim hold for it?"""
        return self.told.status == "LIVE" and self.told.polled_until is not None

    @property
    def resting(self) -> bool:
        """Read now and then, or not at all, as it should be."""
        return self.told.status in {"SNAPSHOT", "OFF"}


def checkpoint_of(
    shard: int,
    accounts: Iterable[AccountMemory],
    now: datetime,
    timetable: Timetable,
    *,
    held: Callable[[Stream], bool],
) -> Checkpoint:
    """What a shard can vouch for at `now`.

    A stream is behind when one of its resources is overdue by the `timetable` or was not read in this life, when it is
    still backfilling, has a gap, something that is not believed yet, or is set aside (`held`). `polled_until` of a
    domain is the oldest good read among those of its streams that are not behind, `reconciled_until` their oldest
    complete read that left nothing to confirm (None: some had none since the start). Where all streams of a domain are
    behind, it stays where they were left, so that a lag shows. The checkpoint's own are the oldest of its domains'.
    None of them is later than `now`.

    A stream that rests between snapshots, or is off, is vouched for up to its last read only. It is listed with that,
    so that it does not hold back those of its domain that are read; it does so only where the list has no room for it.
    """
    streams = [stream for account in accounts for stream in _streams(account, now, timetable, held)]
    behind = [stream for stream in streams if not stream.vouched and not stream.resting]
    vouched = [stream for stream in streams if stream.vouched]
    for stream in streams:
        if stream.resting:
            listed = len(behind) < MAXIMUM_BEHIND or stream.told.polled_until is None
            (behind if listed else vouched).append(stream)
    domains = tuple(
        _domain_until(domain, [one for one in streams if one.told.domain == domain], vouched, now)
        for domain in DOMAINS
        if any(one.told.domain == domain for one in streams)
    )
    # What rests does not hold back the shard's own claim: it is listed with its own.
    active = {stream.told.domain for stream in streams if not stream.resting} or set(DOMAINS)
    claims = [one for one in domains if one.domain in active]
    statuses = Counter(stream.told.status for stream in behind)
    return Checkpoint(
        shard=shard,
        polled_until=_oldest([one.polled_until for one in claims], now),
        reconciled_until=_oldest([one.reconciled_until for one in claims], now),
        streams=len(streams),
        behind_count=len(behind),
        behind=tuple(stream.told for stream in behind[:MAXIMUM_BEHIND]),
        domains=domains,
        holes=statuses["HOLE"],
        held=statuses["HELD"],
        isolated=statuses["ISOLATED"],
        quarantined=sum(stream.quarantined for stream in streams),
    )


def _streams(
    account: AccountMemory, now: datetime, timetable: Timetable, held: Callable[[Stream], bool]
) -> Iterable[_Stream]:
    """The open streams of an account, as they stand."""
    resources: dict[str, list[Resource]] = {}
    for (domain, _), resource in account.resources.items():
        resources.setdefault(domain, []).append(resource)
    for domain in DOMAINS:
        # One whose first commit failed is set aside before it was ever opened.
        aside = held((account.account_id, domain))
        stream = account.streams.get(domain) or _UNOPENED
        if not aside and stream.head.status not in {"backfilling", "live"}:
            continue
        wanted = resources.get(domain, [])
        status = "ISOLATED" if aside else _run_status(account, domain, wanted, now, timetable)
        told, complete = _seen(account, domain, wanted, status)
        metas = stream.head.resources.values()
        yield _Stream(told, complete, sum(meta.quarantined_count for meta in metas))


def _seen(
    account: AccountMemory, domain: str, wanted: Sequence[Resource], status: str
) -> tuple[StreamBehind, list[datetime | None]]:
    """How a stream stands and up to when it was read, as a checkpoint lists it; and the complete reads of its parts."""
    memories = (account.streams.get(domain) or _UNOPENED).resources
    seen = [memories.get(resource.name) for resource in wanted]
    times = [memory.read_at if memory is not None else None for memory in seen]
    complete = [memory.reconciled_at if memory is not None else None for memory in seen]
    if DOMAINS[domain].per_bank_account:
        # Nothing is known of a bank account that was opened since the profile was asked for.
        times.append(account.profile_asked_at)
        complete.append(account.profile_asked_at)
    known = [at for at in times if at is not None]
    # What was not read in this life is not known to be there.
    until = min(known) if known and len(known) == len(times) else None
    return StreamBehind(account.account_id, domain, status, until), complete


def _domain_until(domain: str, streams: Sequence[_Stream], vouched: Sequence[_Stream], now: datetime) -> DomainUntil:
    told = [stream for stream in vouched if stream.told.domain == domain]
    # Where all are behind, it stays where they were left: a lag that grows tells of an outage.
    told = told or [stream for stream in streams if stream.told.polled_until is not None]
    return DomainUntil(
        domain,
        _oldest([stream.told.polled_until for stream in told], now),
        _oldest([at for stream in told for at in stream.complete], now),
        sum(stream.quarantined for stream in streams),
    )


def _oldest(times: Sequence[datetime | None], now: datetime) -> datetime | None:
    """The oldest of instants, none of them later than `now`; None of none at all, or where one has yet to come."""
    known = [at for at in times if at is not None]
    return min(*known, now) if known and len(known) == len(times) else None


def _run_status(
    account: AccountMemory, domain: str, wanted: Sequence[Resource], now: datetime, timetable: Timetable
) -> str:
    mode = timetable.mode(account, domain)
    if isinstance(mode, Off):
        return "OFF"
    if account.streams[domain].head.status == "backfilling":
        return "BACKFILLING"
    if (doubt := _doubt(account, domain)) is not None:
        return doubt
    live = isinstance(mode, Live)
    late = DOMAINS[domain].per_bank_account and timetable.profile_overdue(account, now)
    overdue = [late or timetable.overdue(account, resource, now) for resource in wanted]
    unread = [account.resource(domain, resource.name).read_at is None for resource in wanted]
    if (
        not wanted
        or _bank_accounts_unknown(account, domain)
        or any(one and (live or is_late) for one, is_late in zip(unread, overdue, strict=True))
    ):
        return "NOT_READY"
    if any(overdue):
        return "STALE"
    return "LIVE" if live else "SNAPSHOT"


def _bank_accounts_unknown(account: AccountMemory, domain: str) -> bool:
    """Is there a bank account that nobody could name? A login without any, or with a row that cannot be read."""
    profile = account.profile
    if profile is None or not DOMAINS[domain].per_bank_account:
        return False
    return not profile.bank_accounts or profile.unreadable_accounts > 0


def _doubt(account: AccountMemory, domain: str) -> str | None:
    """What keeps a stream from being vouched for, however lately it was read.

    What is not read any more counts, too: a bank account that the profile does not list may wait for a decision.
    """
    stream = account.streams[domain]
    memories = stream.resources
    metas = [memories[name].meta if name in memories else meta for name, meta in stream.head.resources.items()]
    if any(meta.hole_since is not None for meta in metas):
        return "HOLE"
    if any(meta.holds for meta in metas) or any(memory.suspicion.held is not None for memory in memories.values()):
        return "HELD"
    return None
