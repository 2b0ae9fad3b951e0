"""One example of every event, as the connector would tell it: what `docs/events.md` and `schemas/examples/` show.

A domain states changes of its sample records; names, ids, changed fields and Avro are the connector's own work. The
first change that gives an event type is the example of that type.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

from connector.diff import Change, Op
from connector.domains import lifecycle
from connector.domains.model import EventNamer, Record
from connector.domains.registry import DOMAINS
from connector.events import STREAM_ENTITY, Event, Provenance, Sighting, change_event, stream_event
from connector.state import EntityState
from tests.golden.samples import (
    ACCOUNT,
    AUTHORIZATION,
    BALANCE,
    BANK_ACCOUNT,
    BILL,
    BOOKING,
    BROKEN,
    CANCELLED_BOOKING,
    CARD,
    CHECKPOINT_BY_DOMAIN,
    CLEARED,
    CONSENT,
    EPOCH,
    HOLDER,
    INSTALLMENT,
    LINK,
    LOAN,
    NAV,
    OBSERVED_AT,
    ORDER,
    PAID_BILL,
    PARENT_EPOCH,
    PENDING,
    POINTS,
    POSTED,
    REPAYMENT,
    SHARES,
    SUBSCRIPTION,
    UNITS,
    VOUCHER,
)


@dataclass(frozen=True, slots=True)
class Seen:
    """A change that a read of `resource` shows: no `before` where it is new, no `after` where it is gone."""

    resource: str
    before: Record | None
    after: Record | None


FEED = "transactions:8f14e45fceea167a"
BANK_FEED = "bank_account:8f14e45fceea167a"
ACTIVITY = "authorizations:0cc175b9c0f1b6a8"
SHUT = replace(BANK_ACCOUNT, status="CLOSED", status_source="CLOSED")
SETTLED = replace(POSTED, balance_after=Decimal("97500.00"))
REVERSED = replace(SETTLED, status="REVERSED", status_source="reversed")
BREAK = replace(BROKEN, expected_balance=Decimal("97500.00"), stated_balance=Decimal("97250.00"))
WHOLE = replace(
    BREAK, status="WHOLE", older_transaction_id=None, newer_transaction_id=None,
    expected_balance=None, stated_balance=None,
)  # fmt: skip
REPAID = replace(LOAN, outstanding=Decimal("19687.50"))
OVERDUE = replace(LOAN, status="OVERDUE", status_source="OVERDUE")
CLOSED = replace(LOAN, status="CLOSED", status_source="CLOSED", outstanding=Decimal("0.00"), closed_on=LOAN.due_on)
SCHEDULED = replace(INSTALLMENT, status="SCHEDULED", status_source="SCHEDULED")
EARNED = replace(POINTS, entry_id=41, kind="EARNED", kind_source="EARN", points=750, voucher_id=None)
EXPIRED = replace(EARNED, entry_id=43, kind="EXPIRED", kind_source="EXPIRE", points=-250, description=None)
ADJUSTED = replace(EARNED, entry_id=44, kind="ADJUSTED", kind_source="ADJUST", points=50, description=None)
ISSUED = replace(VOUCHER, status="ISSUED", status_source="ISSUED")
USED = replace(
    ISSUED, status="REDEEMED", status_source="REDEEMED",
    redeemed_at=datetime(2026, 3, 9, 13, 5, tzinfo=UTC), redeemed_at_source="2026-03-09T13:05:00Z",
)  # fmt: skip
ACTIVE = replace(LINK, status="ACTIVE", action=None, act_by=None)

CHANGES: dict[str, tuple[Seen, ...]] = {
    "account": (
        Seen("holder", None, HOLDER),
        Seen("holder", HOLDER, replace(HOLDER, segment="freelancer")),
        Seen("holder", replace(HOLDER, tier="L0", tier_source="L0"), HOLDER),
        Seen(BANK_FEED, None, BALANCE),
        Seen(
            "bank_account:8f14e45fceea167a",
            BANK_ACCOUNT,
            replace(BANK_ACCOUNT, status="CLOSED", status_source="CLOSED"),
        ),
    ),
    "transactions": (
        Seen(FEED, None, PENDING),
        Seen(FEED, PENDING, SETTLED),
        Seen(FEED, SETTLED, replace(SETTLED, biller="Invented Electric")),
        Seen(FEED, SETTLED, REVERSED),
        Seen(FEED, PENDING, None),
        Seen(FEED, None, BREAK),
        Seen(FEED, BREAK, WHOLE),
    ),
    "cards": (
        Seen("cards", None, CARD),
        Seen("cards", CARD, replace(CARD, status="BLOCKED", status_source="BLOCKED", block_reason="HOLDER_REQUEST")),
        Seen("cards", CARD, replace(CARD, pos_daily_limit=Decimal("60000.00"))),
        Seen("cards", CARD, replace(CARD, international=True)),
        Seen(ACTIVITY, None, AUTHORIZATION),
        Seen(ACTIVITY, AUTHORIZATION, replace(AUTHORIZATION, state="ADJUSTED", state_source="adjusted")),
        Seen(ACTIVITY, AUTHORIZATION, CLEARED),
        Seen(ACTIVITY, AUTHORIZATION, replace(AUTHORIZATION, state="REVERSED", state_source="reversed")),
        Seen(ACTIVITY, AUTHORIZATION, replace(AUTHORIZATION, state="EXPIRED", state_source="expired")),
        Seen(ACTIVITY, None, replace(AUTHORIZATION, state="DECLINED", state_source="declined", decline_reason="LIMIT")),
        Seen(ACTIVITY, AUTHORIZATION, replace(AUTHORIZATION, merchant_name="Invented Roastery 2")),
    ),
    "bills": (
        Seen("bills", None, BILL),
        Seen("bills", BILL, replace(BILL, amount=Decimal("4295.00"))),
        Seen("bills", BILL, PAID_BILL),
        Seen("bills", BILL, replace(BILL, status="OVERDUE", status_source="overdue")),
    ),
    "investments": (
        Seen("holdings", None, SHARES),
        Seen("holdings", replace(UNITS, market_value=UNITS.market_value - 1), UNITS),
        Seen("holdings", SHARES, None),
        Seen("orders", None, SUBSCRIPTION),
        Seen("orders", replace(ORDER, settlement_transaction_id=None), ORDER),
        Seen("orders", SUBSCRIPTION, replace(SUBSCRIPTION, status="FILLED", status_source="FILLED")),
        Seen("orders", SUBSCRIPTION, replace(SUBSCRIPTION, status="CANCELLED", status_source="CANCELLED")),
        Seen("nav:92eb5ffee6ae2fec", None, NAV),
    ),
    "lending": (
        Seen("loan", None, LOAN),
        Seen("loan", None, SCHEDULED),
        Seen("loan", SCHEDULED, INSTALLMENT),
        Seen("loan", None, REPAYMENT),
        Seen("loan", LOAN, REPAID),
        Seen("loan", LOAN, OVERDUE),
        Seen("loan", LOAN, CLOSED),
    ),
    "loyalty": (
        Seen("points", None, EARNED),
        Seen("points", None, POINTS),
        Seen("points", None, EXPIRED),
        Seen("points", None, ADJUSTED),
        Seen("vouchers", None, ISSUED),
        Seen("vouchers", ISSUED, USED),
        Seen("vouchers", ISSUED, VOUCHER),
        Seen("vouchers", ISSUED, replace(ISSUED, title="Two teas and a cake")),
    ),
    "bookings": (
        Seen("bookings", None, BOOKING),
        Seen("bookings", BOOKING, replace(BOOKING, status="CONFIRMED", status_source="confirmed")),
        Seen("bookings", BOOKING, replace(BOOKING, title="Karachi to Multan, night coach")),
        Seen("bookings", BOOKING, CANCELLED_BOOKING),
    ),
    lifecycle.NAME: (
        Seen("link", None, ACTIVE),
        Seen("link", ACTIVE, replace(ACTIVE, status="DEGRADED")),
        Seen("link", ACTIVE, LINK),
        Seen("link", LINK, ACTIVE),
        Seen("link", ACTIVE, replace(ACTIVE, status="PAUSED", generation=4)),
        Seen("link", replace(ACTIVE, status="PAUSED", generation=4), replace(ACTIVE, generation=5)),
        Seen("link", ACTIVE, replace(ACTIVE, status="CLOSED", generation=4)),
        Seen("consent", None, CONSENT),
        Seen("consent", CONSENT, replace(CONSENT, status="EXPD")),
        Seen("consent", CONSENT, replace(CONSENT, status="CANC")),
        Seen("checkpoint", None, CHECKPOINT_BY_DOMAIN),
    ),
}


def examples(topic: str) -> dict[str, Event]:
    """An event of every type that the changes of a topic give, by its type."""
    namer = lifecycle.name_event if topic == lifecycle.NAME else DOMAINS[topic].name_event
    told: dict[str, Event] = {}
    for seen in CHANGES[topic]:
        event = _event(topic, seen, namer, sequence=len(told) + 2)
        told.setdefault(event.event_type, event)
    if topic in DOMAINS:
        told |= {event.event_type: event for event in _of_the_stream(topic, len(told) + 2)}
    return told | {"EpochBegan": _branching(topic, len(told) + 2)}


def _event(topic: str, seen: Seen, namer: EventNamer, *, sequence: int) -> Event:
    op: Op = "u" if seen.before and seen.after else "c" if seen.after else "d"
    # An entity keeps the first id it was seen under.
    record = cast("Any", seen.before or seen.after)
    before, after = (
        None if one is None else EntityState(record.entity_id, version, one.booking_key, one)
        for version, one in ((1, seen.before), (1 if op == "c" else 2, seen.after))
    )
    gone = EntityState(record.entity_id, 2, record.booking_key, None, "removed")
    change = Change(op, before, after or gone)
    sighting = _sighting(topic, seen.resource, seen.after)
    return change_event(
        sighting,
        change,
        sequence=sequence,
        event_type=namer(op, seen.before, seen.after),
        source=sighting.source.of_entry("5d" * 16 if seen.after and topic in DOMAINS else None),
        supersedes=getattr(seen.after, "replaces", None),
        related=DOMAINS[topic].relate(record) if topic in DOMAINS else (),
    )


def _sighting(topic: str, resource: str, record: Record | None = None) -> Sighting:
    of_shard = isinstance(record, lifecycle.Checkpoint)
    if topic in DOMAINS:
        source = Provenance("app-session", DOMAINS[topic].resources[0].backend, "2", "1", "live")
    else:
        source = Provenance("connector", "connector", "1", "1", "live")
    account_id = f"shard/{CHECKPOINT_BY_DOMAIN.shard}" if of_shard else ACCOUNT
    return Sighting(account_id, topic, resource, OBSERVED_AT, "" if of_shard else CONSENT.consent_id, source, EPOCH)


def _branching(topic: str, sequence: int) -> Event:
    began = _sighting(topic, STREAM_ENTITY)
    return stream_event(
        began, "EpochBegan", sequence=sequence, entity_id=STREAM_ENTITY, entity_version=7, reason=PARENT_EPOCH
    )


def _of_the_stream(topic: str, last: int) -> Iterator[Event]:
    resource, record = next((one.resource, one.after) for one in CHANGES[topic] if one.after is not None)
    of_stream, of_entry = _sighting(topic, STREAM_ENTITY), _sighting(topic, resource)
    yield stream_event(of_stream, "StreamOpened", sequence=1, entity_id=STREAM_ENTITY, entity_version=1)
    yield stream_event(of_stream, "BackfillCompleted", sequence=last, entity_id=STREAM_ENTITY, entity_version=2)
    yield stream_event(of_entry, "EntryBelowFloor", sequence=last + 1, entity_id=record.entity_id, entity_version=3)
    reason = "amount: more than 2 decimals"
    yield stream_event(
        of_entry,
        "EntryQuarantined",
        sequence=last + 2,
        entity_id=record.entity_id,
        entity_version=4,
        reason=reason,
        field="amount",
    )
    yield stream_event(of_entry, "EntryReadable", sequence=last + 3, entity_id=record.entity_id, entity_version=5)
    yield stream_event(
        of_stream, "StreamClosed", sequence=last + 4, entity_id=STREAM_ENTITY, entity_version=6, reason="consent"
    )
