"""Checkpoint: up to when a shard has seen the bank, worked out from what its reads left in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
_Reads = tuple[datetime, list[datetime | None]]
"""Of one stream that is vouched for: its oldest read, and the complete reads of its resources."""


def checkpoint_of(
    shard: int,
    accounts: Iterable[AccountMemory],
    now: datetime,
    timetable: Timetable,
    *,
    held: Callable[[Stream], bool],
) -> Checkpoint:
    """What a shard can vouch for at `now`.

    A stream is behind when one of its resources is overdue by the `timetable`, when it is still backfilling,
    quarantined, or set aside (`held`). `polled_until` of a domain is the oldest good read among those of its streams
    that are not behind, `reconciled_until` their oldest complete read that left nothing to confirm (None: some had
    none since the start). The checkpoint's own are the oldest of its domains'.

    A stream that rests between snapshots, or is off, is vouched for up to its last read only. It is listed with that,
    so that it does not hold back those of its domain that are read; it does so only where the list has no room for it.
    """
    behind: list[StreamBehind] = []
    resting: list[tuple[StreamBehind, list[datetime | None]]] = []
    vouched: dict[str, list[_Reads]] = {}
    streams = 0
    for account in accounts:
        resources: dict[str, list[Resource]] = {}
        for (domain, _), resource in account.resources.items():
            resources.setdefault(domain, []).append(resource)
        for domain in DOMAINS:
            # One whose first commit failed is set aside before it was ever opened.
            aside = held((account.account_id, domain))
            if not aside and (account.streams.get(domain) or _UNOPENED).head.status not in {"backfilling", "live"}:
                continue
            streams += 1
            wanted = resources.get(domain, [])
            status = "QUARANTINED" if aside else _run_status(account, domain, wanted, now, timetable)
            told, complete = _seen(account, domain, wanted, status)
            if told.status == "LIVE" and told.polled_until is not None:
                vouched.setdefault(domain, []).append((told.polled_until, complete))
            elif told.status in {"SNAPSHOT", "OFF"}:
                resting.append((told, complete))
            else:
                behind.append(told)
    for told, complete in resting:
        if len(behind) < MAXIMUM_BEHIND or told.polled_until is None:
            behind.append(told)
        else:
            vouched.setdefault(told.domain, []).append((told.polled_until, complete))
    domains = tuple(_domain_until(domain, vouched[domain], now) for domain in DOMAINS if domain in vouched)
    return Checkpoint(
        shard=shard,
        polled_until=min((one.polled_until for one in domains), default=now),
        reconciled_until=_oldest([one.reconciled_until for one in domains], now),
        streams=streams,
        behind_count=len(behind),
        behind=tuple(behind[:MAXIMUM_BEHIND]),
        domains=domains,
    )


def _seen(
    account: AccountMemory, domain: str, wanted: Sequence[Resource], status: str
) -> tuple[StreamBehind, list[datetime | None]]:
    """How a stream stands and up to when it was read, as a checkpoint lists it; and the complete reads of its parts."""
    memories = (account.streams.get(domain) or _UNOPENED).resources
    seen = [memories.get(resource.name) for resource in wanted]
    times = [memory.read_at if memory is not None else None for memory in seen]
    complete = [memory.reconciled_at for memory in seen if memory is not None]
    if DOMAINS[domain].per_bank_account:
        # Nothing is known of a bank account that was opened since the profile was asked for.
        times.append(account.profile_asked_at)
        complete.append(account.profile_asked_at)
    until = min((at for at in times if at is not None), default=None)
    if status in {"SNAPSHOT", "OFF"} and None in times:
        until = None
    return StreamBehind(account.account_id, domain, status, until), complete


def _domain_until(domain: str, reads: Sequence[_Reads], now: datetime) -> DomainUntil:
    polled_until = min(read_at for read_at, _ in reads)
    return DomainUntil(domain, polled_until, _oldest([at for _, complete in reads for at in complete], now))


def _oldest(times: Sequence[datetime | None], now: datetime) -> datetime | None:
    """The oldest of instants, `now` of none at all; None where one of them has yet to come."""
    known = [at for at in times if at is not None]
    return min(known, default=now) if len(known) == len(times) else None


def _run_status(
    account: AccountMemory, domain: str, wanted: Sequence[Resource], now: datetime, timetable: Timetable
) -> str:
    mode = timetable.mode(account, domain)
    if isinstance(mode, Off):
        return "OFF"
    live = isinstance(mode, Live)
    if account.streams[domain].head.status == "backfilling":
        return "BACKFILLING"
    if not wanted:
        return "NOT_READY"
    late = DOMAINS[domain].per_bank_account and timetable.profile_overdue(account, now)
    for resource in wanted:
        memory = account.resource(domain, resource.name)
        overdue = late or timetable.overdue(account, resource, now)
        if memory.read_at is None and (live or overdue):
            return "NOT_READY"
        if memory.quarantined or overdue:
            return "QUARANTINED" if memory.quarantined else "STALE"
    return "LIVE" if live else "SNAPSHOT"
