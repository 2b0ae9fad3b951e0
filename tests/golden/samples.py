"""One event and one state of every kind of record. Every person, IBAN, CNIC and number here is invented."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

from connector.domains.account import Balance, BankAccountRecord, Holder
from connector.domains.bills import Bill, Biller
from connector.domains.bookings import Booking, BookingLine, BookingVoucher
from connector.domains.cards import Card, CardAuthorization
from connector.domains.investments import Holding, Nav, Order
from connector.domains.lending import Installment, Loan, Repayment
from connector.domains.lifecycle import Checkpoint, ConsentRecord, DomainUntil, LinkStatus, StreamBehind
from connector.domains.loyalty import PointsEntry, Voucher
from connector.domains.model import BookingKey, Record, Related
from connector.domains.transactions import BalanceChain, Counterparty, Transaction
from connector.events import Event, Provenance, Sighting, event_id
from connector.parties import Party
from connector.state import EntityState, Held, Position, ResourceMeta, StreamHead

KARACHI = timezone(timedelta(hours=5))
ACCOUNT = "acc-0000000000000001"
EPOCH = "0123456789abcdef"
PARENT_EPOCH = "fedcba9876543210"
OBSERVED_AT = datetime(2026, 3, 1, 4, 31, 2, 123456, tzinfo=UTC)

HOLDER = Holder(
    tier="L1",
    tier_source="L1",
    minor=False,
    segment="standard",
    name="Invented Holder",
    cnic="42000-0000101-1",
    msisdn="+923000000101",
    email="holder@example.invalid",
)
BANK_ACCOUNT = BankAccountRecord(
    iban="PK25JSBL9999903000000101",
    title="Zindigi Wallet",
    status="ACTIVE",
    status_source="ACTIVE",
    tier="L1",
    tier_source="L1",
    currency="PKR",
)
BALANCE = Balance(BANK_ACCOUNT.iban, Decimal("64249.38"), Decimal("62999.38"), "PKR")
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
NAMED = replace(
    POSTED,
    transaction_id="TX-1004",
    replaces=None,
    counterparty=Counterparty("0300-0000123", "PK16JSBL9999903000000123", "42000-0000123-1", "Invented Person"),
    party=Party(
        party_id="a" * 32,
        party_kind="ACCOUNT",
        account="a" * 32,
        person="b" * 32,
        alias="c" * 32,
        wallet_mobile="c" * 32,
        own_transfer=True,
        flags=("WALLET_IBAN", "OWN_MOBILE"),
    ),
)
NAMELESS = replace(
    NAMED,
    transaction_id="TX-1005",
    counterparty=Counterparty("****123", None, None, None),
    party=Party(None, None, None, None, None, None, False, ("ALIAS_INVALID",)),
)
BROKEN = BalanceChain(PENDING.iban, "BROKEN", "TX-1001", "TX-1002", Decimal("100.00"), Decimal("99.99"))
CARD = Card(
    card_id="C-1",
    product="Zindigi Debit",
    scheme="PAYPAK",
    kind="DEBIT",
    kind_source="DEBIT",
    last4="0417",
    status="ACTIVE",
    status_source="ACTIVE",
    block_reason=None,
    iban="PK25JSBL9999903000000101",
    issued_at=datetime(2026, 1, 16, 10, 12, tzinfo=KARACHI),
    issued_at_source="2026-01-16T10:12:00+05:00",
    expires="2031-01",
    atm_daily_limit=Decimal("50000.00"),
    pos_daily_limit=Decimal("100000.00"),
    online_daily_limit=None,
    limit_currency="PKR",
    international=False,
    updated_at=datetime(2026, 1, 16, 10, 12, tzinfo=KARACHI),
    updated_at_source="2026-01-16T10:12:00+05:00",
)
AUTHORIZATION = CardAuthorization(
    card_id="C-1",
    authorization_id="AU-1",
    amount=Decimal("-5022.00"),
    currency="PKR",
    original_amount=Decimal("-6.125"),
    original_currency="KWD",
    merchant_name="Invented Roastery",
    merchant_category_code="5814",
    merchant_city="Kuwait City",
    merchant_country="KW",
    channel="POS",
    channel_source="POS",
    state="AUTHORIZED",
    state_source="authorized",
    decline_reason=None,
    authorized_at=datetime(2026, 2, 26, 13, 9, 43, tzinfo=KARACHI),
    authorized_at_source="2026-02-26T13:09:43+05:00",
    updated_at=datetime(2026, 2, 26, 13, 9, 43, tzinfo=KARACHI),
    updated_at_source="2026-02-26T13:09:43+05:00",
    cleared_transaction_id=None,
)
CLEARED = replace(AUTHORIZATION, state="CLEARED", state_source="cleared", cleared_transaction_id="TX-1002")
BILL = Bill(
    bill_id="BL-5",
    biller=Biller("INVEL", "Invented Electric, لاہور", "ELECTRICITY", "ELECTRICITY"),
    consumer_number="010000000101",
    bill_month="2026-02",
    amount=Decimal("4310.75"),
    amount_after_due=Decimal("4560.75"),
    currency="PKR",
    presented_at=datetime(2026, 3, 1, 9, 30, tzinfo=KARACHI),
    presented_at_source="2026-03-01T09:30:00+05:00",
    due_on=date(2026, 3, 11),
    status="PRESENTED",
    status_source="presented",
    paid_at=None,
    paid_at_source=None,
    paid_amount=None,
    payment_transaction_id=None,
)
PAID_BILL = replace(
    BILL,
    status="PAID",
    status_source="paid",
    paid_at=datetime(2026, 3, 14, 18, 0, 0, 500000, tzinfo=KARACHI),
    paid_at_source="2026-03-14T18:00:00.5+05:00",
    paid_amount=Decimal("4560.75"),
    payment_transaction_id="TX-960",
)
BOOKING = Booking(
    booking_id="BK-8",
    category="TRAVEL",
    category_source="TRAVEL",
    vendor="Invented Coaches",
    title="Karachi to Multan, کراچی",
    placed_at=datetime(2026, 3, 1, 9, 30, tzinfo=KARACHI),
    placed_at_source="2026-03-01T09:30:00+05:00",
    status="PLACED",
    status_source="placed",
    starts_at=datetime(2026, 6, 20, 7, 0, tzinfo=KARACHI),
    starts_at_source="2026-06-20T07:00:00+05:00",
    ends_at=datetime(2026, 6, 20, 21, 30, tzinfo=KARACHI),
    ends_at_source="2026-06-20T21:30:00+05:00",
    lines=(
        BookingLine(1, "Seat B7", 2, Decimal("2400.00"), Decimal("4800.00")),
        BookingLine(2, "Lunch", 1, Decimal("350.50"), Decimal("350.50")),
    ),
    total=Decimal("5150.50"),
    currency="PKR",
    payment_transaction_id="TX-970",
    refund_transaction_id=None,
    voucher=None,
    policy_ref=None,
)
CANCELLED_BOOKING = replace(BOOKING, status="CANCELLED", status_source="cancelled", refund_transaction_id="TX-971")
E_VOUCHER = replace(
    BOOKING,
    booking_id="BK-9",
    category="E_VOUCHER",
    category_source="E_VOUCHER",
    status="CONFIRMED",
    status_source="confirmed",
    starts_at=None,
    starts_at_source=None,
    ends_at=None,
    ends_at_source=None,
    lines=(),
    voucher=BookingVoucher("WV-1", "7Q4X", date(2026, 6, 1)),
    policy_ref="POL-1",
)
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
    priced_on=None,
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
    priced_on=date(2026, 2, 27),
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
    valued_on=date(2026, 2, 27),
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
    5, OBSERVED_AT, OBSERVED_AT - timedelta(seconds=90), 3, 1, (StreamBehind(ACCOUNT, "lending", "STALE", None),), ()
)
CHECKPOINT_BY_DOMAIN = replace(
    CHECKPOINT,
    polled_until=OBSERVED_AT - timedelta(minutes=20),
    reconciled_until=None,
    domains=(
        DomainUntil("transactions", OBSERVED_AT - timedelta(seconds=5), OBSERVED_AT - timedelta(minutes=40)),
        DomainUntil("investments", OBSERVED_AT - timedelta(minutes=20), None),
    ),
    epoch=EPOCH,
    chain_tip="c4" * 32,
)

RECORDS: dict[str, tuple[Record, ...]] = {
    "account": (HOLDER, BANK_ACCOUNT, BALANCE),
    "transactions": (PENDING, POSTED, UNKNOWN_RAIL, BROKEN, NAMED, NAMELESS),
    "bills": (BILL, PAID_BILL),
    "bookings": (BOOKING, CANCELLED_BOOKING, E_VOUCHER),
    "cards": (CARD, AUTHORIZATION),
    "investments": (SHARES, UNITS, ORDER, SUBSCRIPTION, NAV),
    "lending": (LOAN, INSTALLMENT, REPAYMENT),
    "loyalty": (POINTS, VOUCHER),
    "lifecycle": (LINK, CONSENT, CHECKPOINT, CHECKPOINT_BY_DOMAIN),
}
VERSIONS = dict.fromkeys(RECORDS, 1)
"""How many versions of each schema there are golden bytes of; what is written today is of the last."""

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
                    BookingKey(5, "x"), True, BookingKey(-3, ""), BookingKey(6, "y"), OBSERVED_AT, b"\x0a", b"\x0b",
                    OBSERVED_AT, Held("mass_removal", OBSERVED_AT, 21, "rejected"), 2,
                ),
                "transactions:2": ResourceMeta(),
            },
            7, 45, OBSERVED_AT, "ab12", EPOCH,
        ),
    ),
    "new head": ("lending", StreamHead()),
}  # fmt: skip
POSITION = Position(7, "0123456789abcdef", bytes(range(32)), 1 << 250, "vlt_invented", 3)
"""Where a shard of the same key stands."""

STATE_VERSIONS = dict.fromkeys((*HEADS, "position"), 1) | {
    name: VERSIONS[domain] if entity.record else 1 for name, (domain, entity) in ENTITIES.items()
}
"""The file in which the golden bytes of today's state are: an entity without a record has none of its domain's."""


def event(
    domain: str, op: str, version: int, event_type: str, *, before: Record | None = None, after: Record | None = None
) -> Event:
    record = after or before
    entity_id = record.entity_id if record else "stream"
    effective = after.effective if after else None
    instant = effective if isinstance(effective, datetime) else None
    source = Provenance("app-session", "bank", "2", "1", "live", "ab" * 16 if after else None)
    sighting = Sighting(ACCOUNT, domain, domain, OBSERVED_AT, "consent-1", source, EPOCH)
    return Event(
        event_id=event_id(sighting, entity_id, *([event_type] if op == "s" else []), str(version)),
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
        source=source,
        before=before,
        after=after,
        epoch=EPOCH,
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
        "named": event("transactions", "c", 1, "TransactionPosted", after=NAMED),
        "nameless": event("transactions", "u", 2, "TransactionAmended", before=NAMED, after=NAMELESS),
        "removed": event("transactions", "d", 3, "TransactionRemoved", before=POSTED),
        "chain_broken": event("transactions", "c", 1, "BalanceChainBroken", after=BROKEN),
        "stream_closed": replace(event("transactions", "s", 2, "StreamClosed"), reason="consent"),
        "epoch_began": replace(event("transactions", "s", 3, "EpochBegan"), reason=PARENT_EPOCH),
    },
    "cards": {
        "card": event("cards", "u", 2, "CardStatusChanged", before=replace(CARD, status="BLOCKED"), after=CARD),
        "authorization": replace(
            event("cards", "u", 2, "AuthorizationCleared", before=AUTHORIZATION, after=CLEARED),
            related=(
                Related("card", "cards", "card/C-1"),
                Related("clearing_transaction", "transactions", "TX-1002"),
            ),
        ),
    },
    "account": {
        "linked": event("account", "c", 1, "AccountLinked", after=HOLDER),
        "came_of_age": replace(
            event(
                "account",
                "u",
                2,
                "TierChanged",
                before=replace(HOLDER, minor=True, segment="gen_z", email=None),
                after=replace(HOLDER, email=None),
            ),
            changed=("minor", "segment"),
        ),
        "closed": replace(
            event(
                "account",
                "u",
                2,
                "AccountClosed",
                before=BANK_ACCOUNT,
                after=replace(BANK_ACCOUNT, status="CLOSED", status_source="CLOSED"),
            ),
            changed=("status", "status_source"),
        ),
        "balance": event("account", "c", 1, "BalanceChanged", after=BALANCE),
    },
    "bills": {
        "presented": event("bills", "c", 1, "BillPresented", after=BILL),
        "paid": replace(
            event("bills", "u", 2, "BillPaid", before=BILL, after=PAID_BILL),
            related=(Related("payment_transaction", "transactions", "TX-960"),),
        ),
        "overdue": event("bills", "u", 2, "BillOverdue", before=BILL, after=replace(BILL, status="OVERDUE")),
    },
    "bookings": {
        "placed": replace(
            event("bookings", "c", 1, "BookingPlaced", after=BOOKING),
            related=(Related("payment_transaction", "transactions", "TX-970"),),
        ),
        "confirmed": event("bookings", "c", 1, "BookingConfirmed", after=E_VOUCHER),
        "cancelled": replace(
            event("bookings", "u", 2, "BookingCancelled", before=BOOKING, after=CANCELLED_BOOKING),
            related=(
                Related("payment_transaction", "transactions", "TX-970"),
                Related("refund_transaction", "transactions", "TX-971"),
            ),
            changed=("status", "status_source", "refund_transaction_id"),
        ),
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
        "checkpoint by domain": replace(
            event("lifecycle", "c", 2, "Checkpoint", after=CHECKPOINT_BY_DOMAIN), account_id="shard/5"
        ),
    },
}
