"""One event and one state of every kind of record. Every person, IBAN, CNIC and number here is invented."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

from connector.domains.investments import Holding, Nav, Order
from connector.domains.lending import Installment, Loan, Repayment
from connector.domains.lifecycle import Checkpoint, ConsentRecord, LinkStatus, StreamBehind
from connector.domains.loyalty import PointsEntry, Voucher
from connector.domains.model import BookingKey, Record, Related
from connector.domains.transactions import BalanceChain, Counterparty, Transaction
from connector.events import Event, Provenance, event_id
from connector.state import EntityState, ResourceMeta, StreamHead

KARACHI = timezone(timedelta(hours=5))
ACCOUNT = "acc-0000000000000001"
OBSERVED_AT = datetime(2026, 3, 1, 4, 31, 2, 123456, tzinfo=UTC)

PENDING = Transaction(
    iban="PK25JSBL9999903000000101",
    transaction_id="TX-1001",
    replaces=None,
    rail="RAAST_P2P",
    rail_source="RAAST_P2P",
    bank_transaction_code="PMNT-IRCT-ESCT",
    amount=Decimal("-2500.00"),
    currency="PKR",
    status="PENDING",
    status_source="pending",
    initiated_at=datetime(2026, 3, 1, 9, 30, 0, 250000, tzinfo=KARACHI),
    initiated_at_source="2026-03-01T09:30:00.25+05:00",
    posted_at=None,
    posted_at_source=None,
    balance_after=None,
    counterparty=Counterparty("+923000000123", "PK53JSBL9999903000000202", None, "Invented Person"),
    biller=None,
    receipt_ref="R-77",
)
POSTED = replace(
    PENDING,
    transaction_id="TX-1002",
    replaces="TX-1001",
    status="POSTED",
    status_source="posted",
    posted_at=datetime(2026, 3, 1, 9, 31, tzinfo=KARACHI),
    posted_at_source="2026-03-01T09:31:00+05:00",
    balance_after=Decimal("9999999999999999.99"),
)
UNKNOWN_RAIL = replace(
    POSTED,
    transaction_id="TX-1003",
    replaces=None,
    rail="UNKNOWN",
    rail_source="QR_2027",
    bank_transaction_code=None,
    amount=Decimal("0.01"),
    counterparty=None,
    biller="Invented Electric, لاہور",
    receipt_ref=None,
)
BROKEN = BalanceChain(PENDING.iban, "BROKEN", "TX-1001", "TX-1002", Decimal("100.00"), Decimal("99.99"))
LOAN = Loan(
    loan_id="LN-7",
    product="Advance Cash",
    principal=Decimal("25000.00"),
    markup=Decimal("1250.00"),
    outstanding=Decimal("26250.00"),
    currency="PKR",
    status="ACTIVE",
    status_source="ACTIVE",
    disbursed_on=date(2026, 2, 27),
    due_on=date(2026, 3, 27),
    closed_on=None,
    disbursal_transaction_id="TX-900",
)
INSTALLMENT = Installment(
    loan_id="LN-7",
    number=1,
    due_on=date(2026, 3, 6),
    amount=Decimal("6562.50"),
    paid_amount=Decimal("0.00"),
    currency="PKR",
    status="DUE",
    status_source="DUE",
)
REPAYMENT = Repayment("RP-3", "LN-7", Decimal("6562.50"), "PKR", date(2026, 3, 6), "TX-950")
POINTS = PointsEntry(
    entry_id=42,
    kind="REDEEMED",
    kind_source="REDEEM",
    points=-500,
    at=datetime(2026, 3, 1, 4, 30, tzinfo=UTC),
    at_source="2026-03-01T04:30:00Z",
    description="Invented café",
    source_ref=None,
    voucher_id="VC-1",
)
VOUCHER = Voucher(
    voucher_id="VC-1",
    title="Two teas",
    points=500,
    status="EXPIRED",
    status_source="EXPIRED",
    issued_at=datetime(2026, 3, 1, 4, 30, tzinfo=UTC),
    issued_at_source="2026-03-01T04:30:00Z",
    expires_on=date(2026, 4, 1),
    redeemed_at=None,
    redeemed_at_source=None,
)
SHARES = Holding(
    instrument_type="EQUITY",
    instrument_id="INDPOL",
    name="Invented Polymers Ltd",
    asset_class="EQUITY",
    asset_class_source=None,
    quantity=Decimal("9999999999999999.00000000"),
    average_cost=Decimal("83.12000000"),
    price=Decimal("84.50000000"),
    price_date=None,
    market_value=Decimal("8450.00"),
    cost_value=Decimal("8312.00"),
    currency="PKR",
    as_of=datetime(2026, 3, 1, 13, 30, tzinfo=UTC),
)
UNITS = Holding(
    instrument_type="FUND",
    instrument_id="F-INC-02",
    name="Invented Income Fund",
    asset_class="INCOME_FUND",
    asset_class_source="INCOME",
    quantity=Decimal("123.45670000"),
    average_cost=Decimal("52.11000000"),
    price=Decimal("52.53100001"),
    price_date=date(2026, 2, 27),
    market_value=Decimal("6485.31"),
    cost_value=Decimal("6433.33"),
    currency="PKR",
    as_of=datetime(2026, 3, 1, 13, 30, tzinfo=UTC),
)
ORDER = Order(
    order_id="O-5",
    side="BUY",
    side_source="BUY",
    instrument_type="EQUITY",
    instrument_type_source="EQUITY",
    instrument_id="INDPOL",
    instrument_name="Invented Polymers Ltd",
    quantity=Decimal("100.00000000"),
    amount=None,
    limit_price=Decimal("86.00000000"),
    filled_quantity=Decimal("100.00000000"),
    average_price=Decimal("84.50000000"),
    currency="PKR",
    status="FILLED",
    status_source="FILLED",
    placed_at=datetime(2026, 2, 27, 8, 30, 0, 123000, tzinfo=UTC),
    placed_at_source="1772181000123",
    updated_at=datetime(2026, 3, 1, 8, 30, tzinfo=UTC),
    updated_at_source="1772353800000",
    settlement_transaction_id="TX-960",
    booking_reference="BK-2",
)
SUBSCRIPTION = replace(
    ORDER,
    order_id="O-6",
    side="SUBSCRIBE",
    side_source="SUBSCRIBE",
    instrument_type="FUND",
    instrument_type_source="FUND",
    instrument_id="F-INC-02",
    instrument_name="Invented Income Fund",
    quantity=None,
    amount=Decimal("5000.00"),
    limit_price=None,
    filled_quantity=Decimal("0E-8"),
    average_price=None,
    status="PLACED",
    status_source="PLACED",
    settlement_transaction_id=None,
    booking_reference=None,
)
NAV = Nav(
    fund_id="F-INC-02",
    nav_date=date(2026, 2, 27),
    nav=Decimal("52.53100001"),
    published_at=datetime(2026, 2, 27, 13, 45, tzinfo=UTC),
    published_at_source="1772199900000",
)
LINK = LinkStatus("ACTION_REQUIRED", "otp", "app-session", ("lending", "transactions"), 3, OBSERVED_AT)
CONSENT = ConsentRecord(
    consent_id="consent-1",
    status="AUTH",
    domains=("lending", "transactions"),
    valid_from=datetime(2026, 1, 1, tzinfo=UTC),
    valid_until=datetime(2027, 1, 1, tzinfo=UTC),
    text_sha256="00" * 32,
    language="ur-PK",
)
CHECKPOINT = Checkpoint(
    5, OBSERVED_AT, OBSERVED_AT - timedelta(seconds=90), 3, 1, (StreamBehind(ACCOUNT, "lending", "STALE", None),)
)

RECORDS: dict[str, tuple[Record, ...]] = {
    "transactions": (PENDING, POSTED, UNKNOWN_RAIL, BROKEN),
    "investments": (SHARES, UNITS, ORDER, SUBSCRIPTION, NAV),
    "lending": (LOAN, INSTALLMENT, REPAYMENT),
    "loyalty": (POINTS, VOUCHER),
    "lifecycle": (LINK, CONSENT, CHECKPOINT),
}

DATA_KEY = bytes(range(32))
ENTITIES: dict[str, tuple[str, EntityState]] = {
    f"{domain}/{number}": (
        domain,
        EntityState(record.entity_id, number + 1, record.booking_key, record, aliases=("a",)),
    )
    for domain, records in RECORDS.items()
    for number, record in enumerate(records)
} | {
    "never readable": ("loyalty", EntityState("8", 0, BookingKey(8, "8"), None, unreadable_digest=b"\x01\x02")),
    "removed": ("transactions", EntityState("TX-1", 3, BookingKey(-5, "TX-1"), None, "removed", ("TX-0", "TX-2"))),
    "forgotten": ("transactions", EntityState("TX-3", 2, BookingKey(7, "TX-3"), None, "forgotten")),
}
HEADS: dict[str, tuple[str, StreamHead]] = {
    "head": (
        "transactions",
        StreamHead(
            7, 9, 2, "live",
            {
                "transactions:1": ResourceMeta(
                    BookingKey(5, "x"), True, BookingKey(-3, ""), b"\x0a", b"\x0b", OBSERVED_AT
                ),
                "transactions:2": ResourceMeta(),
            },
        ),
    ),
    "new head": ("lending", StreamHead()),
}  # fmt: skip


def event(
    domain: str, op: str, version: int, event_type: str, *, before: Record | None = None, after: Record | None = None
) -> Event:
    record = after or before
    entity_id = record.entity_id if record else "stream"
    effective = after.effective if after else None
    instant = effective if isinstance(effective, datetime) else None
    return Event(
        event_id=event_id(ACCOUNT, domain, domain, entity_id, version),
        event_type=event_type,
        op=op,
        account_id=ACCOUNT,
        entity_id=entity_id,
        entity_version=version,
        sequence=17,
        resource=domain,
        effective_at=instant,
        effective_date=effective if instant is None else None,
        observed_at=OBSERVED_AT,
        consent_id="consent-1",
        source=Provenance("app-session", "bank", "2", "1", "live", "ab" * 16 if after else None),
        before=before,
        after=after,
    )


EVENTS: dict[str, dict[str, Event]] = {
    "transactions": {
        "pending": event("transactions", "c", 1, "TransactionPending", after=PENDING),
        "posted": replace(
            event("transactions", "u", 2, "TransactionPosted", before=PENDING, after=POSTED),
            entity_id="TX-1001",
            supersedes="TX-1001",
            changed=("transaction_id", "replaces", "status"),
        ),
        "unknown_rail": event("transactions", "c", 1, "TransactionPosted", after=UNKNOWN_RAIL),
        "removed": event("transactions", "d", 3, "TransactionRemoved", before=POSTED),
        "chain_broken": event("transactions", "c", 1, "BalanceChainBroken", after=BROKEN),
        "stream_closed": replace(event("transactions", "s", 2, "StreamClosed"), reason="consent"),
    },
    "investments": {
        "shares": event("investments", "c", 1, "HoldingOpened", after=SHARES),
        "units": replace(
            event("investments", "u", 2, "HoldingChanged", before=replace(UNITS, price=Decimal("52.5")), after=UNITS),
            related=(Related("nav", "investments", "nav/F-INC-02/2026-02-27"),),
            changed=("price",),
        ),
        "order": replace(
            event("investments", "u", 3, "OrderUpdated", before=replace(ORDER, booking_reference=None), after=ORDER),
            related=(
                Related("settlement_transaction", "transactions", "TX-960"),
                Related("booking", "bookings", "booking/BK-2"),
            ),
            changed=("booking_reference",),
        ),
        "subscription": event("investments", "c", 1, "OrderPlaced", after=SUBSCRIPTION),
        "nav": event("investments", "c", 1, "NavPublished", after=NAV),
    },
    "lending": {
        "loan": replace(
            event("lending", "c", 1, "LoanDisbursed", after=LOAN),
            related=(Related("disbursal_transaction", "transactions", "TX-900"),),
        ),
        "installment": event("lending", "c", 1, "InstallmentDue", after=INSTALLMENT),
        "repayment": event("lending", "c", 1, "LoanRepaid", after=REPAYMENT),
    },
    "loyalty": {
        "points": replace(
            event("loyalty", "c", 1, "PointsRedeemed", after=POINTS),
            related=(Related("voucher", "loyalty", "VC-1"),),
        ),
        "voucher": event("loyalty", "u", 2, "VoucherExpired", before=replace(VOUCHER, status="ISSUED"), after=VOUCHER),
    },
    "lifecycle": {
        "link": event("lifecycle", "c", 1, "LinkActionRequired", after=LINK),
        "consent": event("lifecycle", "c", 1, "ConsentGranted", after=CONSENT),
        "checkpoint": replace(event("lifecycle", "c", 1, "Checkpoint", after=CHECKPOINT), account_id="shard/5"),
    },
}
