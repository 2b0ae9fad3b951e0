"""Domains: total tables of event names, who may hold what, keys and settlement."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from connector.domains import lifecycle
from connector.domains.account import ACCOUNT_STATUSES, TIERS
from connector.domains.bills import STATUSES as BILL_STATUSES
from connector.domains.bookings import STATUSES as BOOKING_STATUSES
from connector.domains.cards import CARD_STATUSES, STATES
from connector.domains.investments import ORDER_STATUSES
from connector.domains.lending import INSTALLMENT_STATUSES, LOAN_STATUSES
from connector.domains.loyalty import POINTS_KINDS, VOUCHER_STATUSES
from connector.domains.model import (
    UNKNOWN,
    BookingKey,
    Feed,
    Record,
    Related,
    changed_fields,
    micros,
    midnight_micros,
)
from connector.domains.registry import DOMAINS
from connector.domains.transactions import RAILS, STATUSES
from tests.golden.samples import (
    AUTHORIZATION,
    BALANCE,
    BANK_ACCOUNT,
    BILL,
    BOOKING,
    BROKEN,
    CANCELLED_BOOKING,
    CARD,
    CHECKPOINT,
    CLEARED,
    CONSENT,
    E_VOUCHER,
    HOLDER,
    INSTALLMENT,
    LINK,
    LOAN,
    NAV,
    ORDER,
    PAID_BILL,
    PENDING,
    POINTS,
    POSTED,
    RECORDS,
    REPAYMENT,
    SHARES,
    SUBSCRIPTION,
    UNITS,
    VOUCHER,
)


def variants(record: Any, name: str, values: Any) -> list[Any]:
    return [replace(record, **{name: value}) for value in (*sorted(values), UNKNOWN, "NEVER_SEEN")]


VARIANTS: dict[str, list[list[Any]]] = {
    "account": [variants(HOLDER, "tier", TIERS), variants(BANK_ACCOUNT, "status", ACCOUNT_STATUSES), [BALANCE]],
    "transactions": [variants(PENDING, "status", STATUSES.values()), variants(BROKEN, "status", {"BROKEN", "WHOLE"})],
    "cards": [
        [*variants(CARD, "status", CARD_STATUSES), replace(CARD, pos_daily_limit=CARD.atm_daily_limit)],
        variants(AUTHORIZATION, "state", STATES.values()),
    ],
    "bills": [variants(BILL, "status", BILL_STATUSES.values())],
    "bookings": [variants(BOOKING, "status", BOOKING_STATUSES.values())],
    "investments": [
        [replace(UNITS, quantity=Decimal(units)) for units in (0, 5)],
        variants(ORDER, "status", ORDER_STATUSES),
        [NAV],
    ],
    "lending": [
        variants(LOAN, "status", LOAN_STATUSES),
        variants(INSTALLMENT, "status", INSTALLMENT_STATUSES),
        [REPAYMENT],
    ],
    "loyalty": [variants(POINTS, "kind", POINTS_KINDS.values()), variants(VOUCHER, "status", VOUCHER_STATUSES)],
}


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_change_of_every_record_in_every_status_has_a_name(domain: str) -> None:
    named = set()
    for forms in VARIANTS[domain]:
        for after in forms:
            named.add(DOMAINS[domain].name_event("c", None, after))
            named.add(DOMAINS[domain].name_event("d", after, None))
            named |= {DOMAINS[domain].name_event("u", before, after) for before in forms}
            named.add(DOMAINS[domain].name_event("r", None, after))
    assert named == set(DOMAINS[domain].event_types)


def test_every_kind_of_record_is_in_the_table() -> None:
    for domain, forms in VARIANTS.items():
        assert {form[0].KIND for form in forms} == set(DOMAINS[domain].records)


PAID = replace(INSTALLMENT, status="PAID")
OVERDUE = replace(LOAN, status="OVERDUE")
CLOSED = replace(LOAN, status="CLOSED", closed_on=date(2026, 3, 20))
BLOCKED = replace(CARD, status="BLOCKED", block_reason="LOST")
REVERSED = replace(POSTED, status="REVERSED")
OVERDUE_BILL = replace(BILL, status="OVERDUE")
CANCELLED_BILL = replace(BILL, status="CANCELLED")
COMPLETED_BOOKING = replace(E_VOUCHER, status="COMPLETED")
ISSUED = replace(VOUCHER, status="ISSUED")
MINOR = replace(HOLDER, minor=True)
SHUT = replace(BANK_ACCOUNT, status="CLOSED", status_source="CLOSED")
SOLD = replace(UNITS, quantity=Decimal(0))
UNPAID = replace(ORDER, settlement_transaction_id=None)


@pytest.mark.parametrize(
    ("domain", "op", "before", "after", "name"),
    [
        ("account", "c", None, HOLDER, "AccountLinked"),
        ("account", "c", None, BANK_ACCOUNT, "AccountLinked"),
        ("account", "c", None, SHUT, "AccountLinked"),
        ("account", "c", None, BALANCE, "BalanceChanged"),
        ("account", "u", BALANCE, replace(BALANCE, available=BALANCE.balance), "BalanceChanged"),
        ("account", "u", MINOR, HOLDER, "TierChanged"),
        ("account", "u", HOLDER, replace(HOLDER, tier="L0", tier_source="L0", email=None), "TierChanged"),
        ("account", "u", HOLDER, replace(HOLDER, tier=UNKNOWN, tier_source="L9"), "TierChanged"),
        ("account", "u", HOLDER, replace(HOLDER, email=None), "AccountUpdated"),
        ("account", "u", BANK_ACCOUNT, replace(BANK_ACCOUNT, tier="L0", tier_source="L0"), "TierChanged"),
        ("account", "u", BANK_ACCOUNT, replace(BANK_ACCOUNT, status="BLOCKED"), "AccountUpdated"),
        ("account", "u", BANK_ACCOUNT, SHUT, "AccountClosed"),
        ("account", "u", SHUT, replace(SHUT, title="x"), "AccountUpdated"),
        ("account", "u", SHUT, BANK_ACCOUNT, "AccountUpdated"),
        ("account", "d", BANK_ACCOUNT, None, "AccountClosed"),
        ("account", "d", BALANCE, None, "BalanceChanged"),
        ("account", "r", None, HOLDER, "AccountUpdated"),
        ("transactions", "c", None, PENDING, "TransactionPending"),
        ("transactions", "c", None, POSTED, "TransactionPosted"),
        ("transactions", "c", None, REVERSED, "TransactionReversed"),
        ("transactions", "u", PENDING, POSTED, "TransactionPosted"),
        ("transactions", "u", POSTED, REVERSED, "TransactionReversed"),
        ("transactions", "u", POSTED, replace(POSTED, biller="x"), "TransactionAmended"),
        ("transactions", "d", POSTED, None, "TransactionRemoved"),
        ("transactions", "c", None, BROKEN, "BalanceChainBroken"),
        ("transactions", "u", BROKEN, replace(BROKEN, status="WHOLE"), "BalanceChainHealed"),
        ("cards", "c", None, BLOCKED, "CardIssued"),
        ("cards", "u", CARD, BLOCKED, "CardStatusChanged"),
        ("cards", "u", CARD, replace(BLOCKED, pos_daily_limit=CARD.atm_daily_limit), "CardStatusChanged"),
        ("cards", "u", CARD, replace(CARD, online_daily_limit=CARD.atm_daily_limit), "CardLimitChanged"),
        ("cards", "u", CARD, replace(CARD, international=True), "CardAmended"),
        ("cards", "d", CARD, None, "CardAmended"),
        ("cards", "c", None, AUTHORIZATION, "CardAuthorized"),
        ("cards", "c", None, CLEARED, "AuthorizationCleared"),
        ("cards", "c", None, replace(AUTHORIZATION, state="DECLINED"), "AuthorizationDeclined"),
        ("cards", "u", AUTHORIZATION, replace(AUTHORIZATION, state="ADJUSTED"), "AuthorizationAdjusted"),
        ("cards", "u", AUTHORIZATION, replace(AUTHORIZATION, amount=-CARD.atm_daily_limit), "AuthorizationAdjusted"),
        ("cards", "u", AUTHORIZATION, replace(AUTHORIZATION, merchant_city="x"), "AuthorizationAmended"),
        ("cards", "u", AUTHORIZATION, CLEARED, "AuthorizationCleared"),
        ("cards", "u", CLEARED, replace(CLEARED, amount=-CARD.atm_daily_limit), "AuthorizationAmended"),
        ("cards", "u", AUTHORIZATION, replace(AUTHORIZATION, state="REVERSED"), "AuthorizationReversed"),
        ("cards", "u", AUTHORIZATION, replace(AUTHORIZATION, state="EXPIRED"), "AuthorizationExpired"),
        ("cards", "d", AUTHORIZATION, None, "AuthorizationAmended"),
        ("bills", "c", None, BILL, "BillPresented"),
        ("bills", "c", None, PAID_BILL, "BillPaid"),
        ("bills", "c", None, CANCELLED_BILL, "BillAmended"),
        ("bills", "u", BILL, replace(BILL, due_on=date(2026, 3, 12)), "BillAmended"),
        ("bills", "u", BILL, OVERDUE_BILL, "BillOverdue"),
        ("bills", "u", OVERDUE_BILL, PAID_BILL, "BillPaid"),
        ("bills", "u", BILL, CANCELLED_BILL, "BillAmended"),
        ("bills", "u", PAID_BILL, BILL, "BillPresented"),
        ("bills", "d", PAID_BILL, None, "BillAmended"),
        ("bookings", "c", None, BOOKING, "BookingPlaced"),
        ("bookings", "c", None, E_VOUCHER, "BookingConfirmed"),
        ("bookings", "c", None, CANCELLED_BOOKING, "BookingCancelled"),
        ("bookings", "c", None, COMPLETED_BOOKING, "BookingUpdated"),
        ("bookings", "u", BOOKING, replace(BOOKING, status="CONFIRMED"), "BookingConfirmed"),
        ("bookings", "u", BOOKING, CANCELLED_BOOKING, "BookingCancelled"),
        ("bookings", "u", BOOKING, replace(BOOKING, lines=()), "BookingUpdated"),
        ("bookings", "u", E_VOUCHER, COMPLETED_BOOKING, "BookingUpdated"),
        ("bookings", "u", CANCELLED_BOOKING, replace(CANCELLED_BOOKING, refund_transaction_id=None), "BookingUpdated"),
        ("bookings", "d", BOOKING, None, "BookingUpdated"),
        ("investments", "c", None, SHARES, "HoldingOpened"),
        ("investments", "c", None, SOLD, "HoldingClosed"),
        ("investments", "u", UNITS, SOLD, "HoldingClosed"),
        ("investments", "u", SOLD, UNITS, "HoldingOpened"),
        ("investments", "u", SOLD, replace(SOLD, name="x"), "HoldingChanged"),
        ("investments", "u", UNITS, replace(UNITS, market_value=Decimal("6485.32")), "HoldingChanged"),
        ("investments", "d", SHARES, None, "HoldingClosed"),
        ("investments", "c", None, SUBSCRIPTION, "OrderPlaced"),
        ("investments", "c", None, replace(ORDER, status="PARTIALLY_FILLED"), "OrderPlaced"),
        ("investments", "c", None, ORDER, "OrderFilled"),
        ("investments", "c", None, replace(ORDER, status="EXPIRED"), "OrderCancelled"),
        ("investments", "u", SUBSCRIPTION, replace(SUBSCRIPTION, status="PARTIALLY_FILLED"), "OrderUpdated"),
        ("investments", "u", SUBSCRIPTION, replace(SUBSCRIPTION, status="FILLED"), "OrderFilled"),
        ("investments", "u", SUBSCRIPTION, replace(SUBSCRIPTION, status="CANCELLED"), "OrderCancelled"),
        ("investments", "u", UNPAID, ORDER, "OrderUpdated"),
        ("investments", "d", ORDER, None, "OrderUpdated"),
        ("investments", "c", None, NAV, "NavPublished"),
        ("investments", "u", NAV, replace(NAV, nav=Decimal("52.54")), "NavPublished"),
        ("investments", "d", NAV, None, "NavPublished"),
        ("lending", "c", None, LOAN, "LoanDisbursed"),
        ("lending", "u", LOAN, OVERDUE, "LoanOverdue"),
        ("lending", "u", OVERDUE, CLOSED, "LoanClosed"),
        ("lending", "u", LOAN, replace(LOAN, outstanding=LOAN.principal), "LoanAmended"),
        ("lending", "d", LOAN, None, "LoanAmended"),
        ("lending", "c", None, REPAYMENT, "LoanRepaid"),
        ("lending", "u", REPAYMENT, replace(REPAYMENT, transaction_id=None), "LoanAmended"),
        ("lending", "c", None, replace(INSTALLMENT, status="SCHEDULED"), "InstallmentScheduled"),
        ("lending", "c", None, INSTALLMENT, "InstallmentDue"),
        ("lending", "u", replace(INSTALLMENT, status="SCHEDULED"), INSTALLMENT, "InstallmentDue"),
        ("lending", "u", INSTALLMENT, PAID, "LoanAmended"),
        ("loyalty", "c", None, replace(POINTS, kind="EARNED"), "PointsEarned"),
        ("loyalty", "c", None, POINTS, "PointsRedeemed"),
        ("loyalty", "c", None, replace(POINTS, kind="EXPIRED"), "PointsExpired"),
        ("loyalty", "u", POINTS, replace(POINTS, points=-1), "PointsAdjusted"),
        ("loyalty", "d", POINTS, None, "PointsAdjusted"),
        ("loyalty", "c", None, ISSUED, "VoucherIssued"),
        ("loyalty", "u", ISSUED, replace(ISSUED, status="REDEEMED"), "VoucherRedeemed"),
        ("loyalty", "u", ISSUED, VOUCHER, "VoucherExpired"),
        ("loyalty", "u", ISSUED, replace(ISSUED, title="One tea"), "VoucherAmended"),
        ("loyalty", "d", VOUCHER, None, "VoucherAmended"),
    ],
)
def test_names_of_events(domain: str, op: str, before: Record | None, after: Record | None, name: str) -> None:
    assert DOMAINS[domain].name_event(op, before, after) == name


@pytest.mark.parametrize(
    ("before", "after", "name"),
    [
        (None, replace(LINK, status="ACTIVE"), "LinkActivated"),
        (replace(LINK, status="PAUSED"), replace(LINK, status="ACTIVE"), "LinkResumed"),
        (replace(LINK, status="DEGRADED"), replace(LINK, status="ACTIVE"), "LinkRecovered"),
        (LINK, replace(LINK, status="ACTIVE"), "LinkRecovered"),
        (replace(LINK, status="CLOSED"), replace(LINK, status="ACTIVE"), "LinkActivated"),
        (None, LINK, "LinkActionRequired"),
        (None, replace(LINK, status="DEGRADED"), "LinkDegraded"),
        (None, replace(LINK, status="PAUSED"), "LinkPaused"),
        (None, replace(LINK, status="CLOSED"), "LinkClosed"),
        (None, CONSENT, "ConsentGranted"),
        (CONSENT, replace(CONSENT, status="EXPD"), "ConsentExpired"),
        (CONSENT, replace(CONSENT, status="CANC"), "ConsentRevoked"),
        (None, CHECKPOINT, "Checkpoint"),
    ],
)
def test_names_of_lifecycle_events(before: Record | None, after: Record, name: str) -> None:
    assert lifecycle.name_event("u" if before else "c", before, after) == name
    assert name in lifecycle.EVENT_TYPES


def test_a_lifecycle_record_is_never_removed() -> None:
    with pytest.raises(TypeError):
        lifecycle.name_event("d", LINK, None)


# ── Records ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("record", [record for records in RECORDS.values() for record in records])
def test_records_are_frozen_dataclasses_with_an_id_and_a_key(record: Any) -> None:
    assert is_dataclass(record)
    assert hash(record) == hash(replace(record))
    assert record.entity_id
    assert isinstance(record.booking_key, BookingKey)
    assert isinstance(record.settled, bool)
    with pytest.raises(AttributeError):
        setattr(record, fields(record)[0].name, None)


@pytest.mark.parametrize(
    ("record", "related"),
    [
        (SHARES, ()),
        (UNITS, (("nav", "investments", NAV.entity_id),)),
        (replace(UNITS, priced_on=None), ()),
        (SUBSCRIPTION, ()),
        (
            ORDER,
            (
                ("settlement_transaction", "transactions", "TX-960"),
                ("booking", "bookings", "booking/BK-2"),
            ),
        ),
        (NAV, ()),
    ],
)
def test_investments_refer_to_what_the_bank_states(record: Record, related: tuple[tuple[str, str, str], ...]) -> None:
    told = DOMAINS["investments"].relate(record)
    assert tuple((one.relation, one.domain, one.entity_id) for one in told) == related


def test_a_portfolio_stated_later_is_no_change_of_what_is_held() -> None:
    later = replace(SHARES, as_of=SHARES.as_of + timedelta(hours=1))
    assert later == SHARES
    assert changed_fields(SHARES, later) == ()
    assert changed_fields(SHARES, replace(SHARES, price=Decimal(1))) == ("price",)


def test_ids_of_one_resource_do_not_meet() -> None:
    assert SHARES.entity_id != replace(SHARES, instrument_type="FUND").entity_id
    one = [replace(LOAN, loan_id="1"), replace(REPAYMENT, repayment_id="1"), replace(INSTALLMENT, loan_id="1")]
    assert len({record.entity_id for record in one}) == 3


@pytest.mark.parametrize(
    ("record", "settled"),
    [
        (PENDING, False),
        (POSTED, True),
        (REVERSED, True),
        (replace(POSTED, status=UNKNOWN), False),
        (BLOCKED, False),
        (replace(CARD, status="HOTLISTED"), True),
        (AUTHORIZATION, False),
        (replace(AUTHORIZATION, state=UNKNOWN), False),
        (CLEARED, True),
        (BILL, False),
        (OVERDUE_BILL, False),
        (replace(BILL, status=UNKNOWN), False),
        (PAID_BILL, True),
        (CANCELLED_BILL, True),
        (BOOKING, False),
        (E_VOUCHER, False),
        (replace(BOOKING, status=UNKNOWN), False),
        (CANCELLED_BOOKING, True),
        (COMPLETED_BOOKING, True),
        (LOAN, False),
        (CLOSED, True),
        (INSTALLMENT, False),
        (PAID, True),
        (REPAYMENT, True),
        (POINTS, True),
        (ISSUED, False),
        (VOUCHER, True),
        (BROKEN, False),
        (HOLDER, False),
        (BANK_ACCOUNT, False),
        (SHUT, True),
        (BALANCE, False),
        (SHARES, False),
        (NAV, True),
        (ORDER, True),
        (UNPAID, False),
        (SUBSCRIPTION, False),
        (replace(SUBSCRIPTION, status="EXPIRED"), True),
        (replace(SUBSCRIPTION, status="EXPIRED", filled_quantity=Decimal(1)), False),
        (replace(ORDER, status=UNKNOWN), False),
    ],
)
def test_what_the_bank_may_still_change_is_unsettled(record: Record, settled: bool) -> None:
    assert record.settled is settled


def test_changed_fields_leave_out_what_is_no_change() -> None:
    assert changed_fields(POSTED, replace(POSTED, balance_after=None)) == ()
    assert changed_fields(POSTED, replace(POSTED, biller="x", amount=PENDING.amount * 2)) == ("amount", "biller")


def test_instants_order_exactly_before_and_after_the_epoch() -> None:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert micros(epoch) == 0
    assert micros(epoch - timedelta(microseconds=1)) == -1
    assert micros(datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)) == 253402300799999999
    assert midnight_micros(date(1970, 1, 2)) == 86_400_000_000


def test_every_rail_but_the_unknown_has_an_iso_code() -> None:
    assert UNKNOWN not in RAILS
    assert all(code is not None and len(code.split("-")) == 3 for code in RAILS.values())


def test_every_domain_is_registered_under_its_name_with_distinct_resources() -> None:
    for name, domain in DOMAINS.items():
        assert domain.name == name
        kinds = [kind.name for kind in domain.resources]
        assert len(kinds) == len(set(kinds))
        for kind in domain.resources:
            assert (kind.window is None) == (kind.feed is Feed.WHOLE)
            assert 0 < kind.head_interval_seconds <= kind.reconcile_interval_seconds
        for record_name, record in domain.records.items():
            assert record_name == record.KIND


@pytest.mark.parametrize(
    ("record", "effective"),
    [
        (BILL, BILL.presented_at),
        (PAID_BILL, PAID_BILL.paid_at),
        (OVERDUE_BILL, BILL.due_on),
        # When it was cancelled the bank does not say: it was not when the bill was presented.
        (CANCELLED_BILL, None),
        (BOOKING, BOOKING.placed_at),
        (CANCELLED_BOOKING, None),
        (COMPLETED_BOOKING, None),
    ],
)
def test_an_effect_has_the_time_that_the_bank_states_for_it(record: Record, effective: datetime | date | None) -> None:
    assert record.effective == effective


@pytest.mark.parametrize(
    ("record", "related"),
    [
        (BILL, ()),
        (PAID_BILL, (Related("payment_transaction", "transactions", "TX-960"),)),
        (replace(BOOKING, payment_transaction_id=None), ()),
        (
            CANCELLED_BOOKING,
            (
                Related("payment_transaction", "transactions", "TX-970"),
                Related("refund_transaction", "transactions", "TX-971"),
            ),
        ),
    ],
)
def test_references_are_those_that_the_bank_states(record: Record, related: tuple[Related, ...]) -> None:
    [domain] = [domain for domain in DOMAINS.values() if domain.records.get(record.KIND) is type(record)]
    assert domain.relate(record) == related
