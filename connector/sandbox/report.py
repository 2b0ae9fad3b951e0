"""What the control surface tells a driver, as JSON values: truth, reads, and whether everything has settled."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from connector.sandbox.departments import resources_of
from connector.sandbox.ledger import DOMAINS
from connector.sandbox.watch import describe_sight
from connector.sandbox.wire import utc_instant

if TYPE_CHECKING:
    from collections.abc import Collection

    from connector.sandbox.core import Bank
    from connector.sandbox.ledger import Change, Domain, Ledger
    from connector.sandbox.life import Life
    from connector.sandbox.wire import Json


_BY_TIME = frozenset({"transactions", "authorizations", "bills", "bookings"})
"""Resources that entries leave by age."""
_NUMBERED = frozenset({"orders"})
"""Feeds of numbered pages, which have no `from`."""


def holders(bank: Bank) -> Json:
    """Everybody who banks here, with what a driver needs to log in as them."""
    return [
        {
            "label": life.spec.label,
            "msisdn": msisdn,
            "pin": life.spec.pin,
            "name": life.spec.name,
            "cnic": life.spec.cnic,
            "email": life.account.holder.email,
            "tier": life.account.tier,
            "minor": life.account.minor,
            "segment": life.account.holder.segment,
            "ibans": list(life.ibans),
            "resources": list(resources_of(life)),
            "domains": sorted(set(resources_of(life).values())),
        }
        for msisdn, life in bank.lives.items()
    ]


def change_body(change: Change) -> dict[str, Json]:
    """A change as JSON."""
    return {
        "msisdn": change.holder,
        "domain": change.domain,
        "n": change.n,
        "entity": change.entity,
        "version": change.version,
        "op": change.op,
        "at": utc_instant(change.at),
        "resource": change.resource,
        "iban": change.iban,
        "name": change.name,
        "derived": change.derived,
        "booking": change.booking,
        "ordinal": change.ordinal,
        "body": change.body,
    }


def truth(bank: Bank, *, holder: str | None = None, domains: Collection[Domain] = DOMAINS) -> Json:
    """Every change with what may be claimed of it, the present state, and counts, by holder and domain."""
    now = bank.ledger_now()
    lives = bank.lives.values() if holder is None else [bank.life(holder)]
    return {
        "seed": bank.seed,
        "ledger_now": utc_instant(now),
        "holders": [
            {
                "msisdn": life.spec.msisdn,
                "label": life.spec.label,
                "domains": {domain: _domain_truth(bank, life, life.ledgers[domain]) for domain in domains},
            }
            for life in lives
        ],
    }


def _domain_truth(bank: Bank, life: Life, ledger: Ledger) -> Json:
    counts: Counter[str] = Counter()
    changes: list[Json] = []
    for change in ledger.changes:
        watch = bank.watch.resource(life.spec.msisdn, change.resource)
        standing = bank.watch.standing(life.spec.msisdn, ledger.history[change.entity], change)
        counts[standing] += 1
        served = None if change.op == "d" else describe_sight(watch.sight(change.entity, change.version))
        changes.append({**change_body(change), "standing": standing, "served": served})
    oldest = bank.oldest_booking()
    names = ("observable", "coalesced", "uncertain", "pending")
    return {
        "counts": {"changes": len(changes), **{name: counts[name] for name in names}},
        "changes": changes,
        "present": {
            change.entity: {
                "version": change.version,
                "resource": change.resource,
                "booking": change.booking,
                "visible": change.resource.partition("/")[0] not in _BY_TIME or change.booking >= oldest,
                "ids": _ids(ledger.history[change.entity]),
                "body": change.body,
            }
            for change in ledger.present.values()
        },
    }


def _ids(versions: list[Change]) -> list[str]:
    """Every id that the bank has called the entity by on the wire, in order."""
    found = [str(version.body["id"]) for version in versions if version.body is not None and "id" in version.body]
    return list(dict.fromkeys(found))


def reads(bank: Bank) -> Json:
    """Per holder and resource: how often it was read, and the latest reads."""
    return [
        {
            "msisdn": msisdn,
            "resource": resource,
            "reads": watch.count,
            "complete": watch.complete_count,
            "in_progress": watch.in_progress,
            "log": [read.describe() for read in watch.log],
        }
        for (msisdn, resource), watch in bank.watch.items()
    ]


def settled(
    bank: Bank, *, complete_reads: int, domains: Collection[Domain] = DOMAINS, holder: str | None = None
) -> Json:
    """Whether, since the last change, every resource of every holder logged in was read completely so many times.

    A feed of numbered pages cannot be asked for a far end: a client that knows enough stops before the last page, and
    only it can say that it has read everything that it remembers. Every read of one counts.
    """
    bank.catch_up()
    since = bank.last_change_ordinal()
    live = bank.desk.live_holders()
    wanted = live if holder is None else live & {bank.life(holder).spec.msisdn}
    missing: list[Json] = [
        {"msisdn": msisdn, "resource": resource, "complete": done, "wanted": complete_reads}
        for msisdn in sorted(wanted)
        for resource, domain in resources_of(bank.lives[msisdn]).items()
        if domain in domains and (done := _reads_since(bank, msisdn, resource, since)) < complete_reads
    ]
    return {"settled": not missing and bool(wanted), "since": since, "holders": len(wanted), "missing": missing}


def _reads_since(bank: Bank, msisdn: str, resource: str, since: int) -> int:
    watch = bank.watch.resource(msisdn, resource)
    return max(watch.complete_since(since), watch.sound_since(since) if resource in _NUMBERED else 0)


def calls(bank: Bank) -> Json:
    """Calls answered: totals by method, path template, holder and status, and the latest one by one."""
    return {
        "totals": [
            {"method": method, "path": path, "msisdn": msisdn, "status": status, "calls": number}
            for (method, path, msisdn, status), number in sorted(bank.call_counts.items(), key=str)
        ],
        "latest": [
            {"ordinal": c.ordinal, "method": c.method, "path": c.path, "msisdn": c.msisdn, "status": c.status}
            for c in bank.calls
        ],
    }


def faults(bank: Bank) -> Json:
    """Standing faults and how often each fired."""
    return [
        {"id": fault.id, "fired": fault.fired, "spent": fault.spent, **fault.spec.model_dump(exclude_none=True)}
        for fault in bank.faults.standing()
    ]


def inbox(bank: Bank, msisdn: str) -> Json:
    """What was sent to a holder, and the last one-time password."""
    life = bank.life(msisdn)
    messages = [message for message in bank.desk.messages if message.msisdn == life.spec.msisdn]
    return {
        "msisdn": life.spec.msisdn,
        "otp": messages[-1].otp if messages else None,
        "messages": [
            {"otp": m.otp, "channel": m.channel, "challenge_id": m.challenge_id, "sent_at": utc_instant(m.sent_at)}
            for m in messages
        ],
    }
