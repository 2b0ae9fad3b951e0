"""The lives: seeded, deterministic, and true to the rules of a bank."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from connector.sandbox.bookings.orders import CATEGORIES
from connector.sandbox.clock import ManualClock
from connector.sandbox.core import Bank, ControlError
from connector.sandbox.mutations import Mutation, MutationError
from connector.sandbox.scenario import load_scenario
from connector.sandbox.wire import dumps, local_date, micros

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connector.sandbox.ledger import Change, Ledger


def stepped(seed: int, steps: int = 60) -> Bank:
    bank = Bank(load_scenario("lockstep"), seed, ManualClock())
    bank.step(steps)
    return bank


def ledgers(bank: Bank) -> Iterator[Ledger]:
    for life in bank.lives.values():
        yield from life.ledgers.values()


def told(bank: Bank) -> bytes:
    """The whole truth but for the sandbox's own ordinals."""
    return b"\n".join(
        dumps([c.n, c.entity, c.version, c.op, c.at.isoformat(), c.body, c.resource, c.booking])
        for ledger in ledgers(bank)
        for c in ledger.changes
    )


def test_same_seed_and_steps_give_the_same_truth() -> None:
    assert told(stepped(3)) == told(stepped(3))
    assert told(stepped(3)) != told(stepped(4))


def test_how_often_free_running_time_is_asked_changes_nothing() -> None:
    demo = load_scenario("demo")
    often, once = ManualClock(), ManualClock()
    asked_often, asked_once = Bank(demo, 5, often), Bank(demo, 5, once)
    for _ in range(200):
        often.advance(0.1)
        asked_often.catch_up()
    once.advance(20.0)
    asked_once.catch_up()
    assert told(asked_often)[:-200] == told(asked_once)[:-200]
    assert abs(asked_often.ledger_now() - asked_once.ledger_now()) < timedelta(seconds=1)


def test_a_step_changes_several_entities_and_none_twice() -> None:
    bank = Bank(load_scenario("lockstep"), 1, ManualClock())
    sizes = []
    for _ in range(150):
        changes = bank.step()
        entities = Counter((change.holder, change.entity) for change in changes if not change.derived)
        assert set(entities.values()) == {1}
        sizes.append(len(changes))
    assert sum(sizes) / len(sizes) > 5


def test_changes_are_numbered_and_fold_to_the_present() -> None:
    for ledger in ledgers(stepped(2)):
        assert [change.n for change in ledger.changes] == list(range(1, len(ledger.changes) + 1))
        folded: dict[str, Change] = {}
        versions: Counter[str] = Counter()
        for change in ledger.changes:
            versions[change.entity] += 1
            assert change.version == versions[change.entity]
            assert (change.op == "c") == (change.version == 1)
            if change.op == "d":
                assert change.body is None
                del folded[change.entity]
            else:
                folded[change.entity] = change
        assert folded == ledger.present


def test_no_entity_returns_to_an_earlier_body_and_no_wire_id_is_used_twice() -> None:
    bank = stepped(6, 120)
    owner: dict[str, str] = {}
    for ledger in ledgers(bank):
        for entity, versions in ledger.history.items():
            # A balance may return: it is what the entries come to.
            bodies = [dumps(version.body) for version in versions if version.body is not None and not version.derived]
            assert len(set(bodies)) == len(bodies)
            for version in versions:
                if version.body is not None and ledger.domain == "transactions":
                    assert owner.setdefault(str(version.body["id"]), entity) == entity


def test_lives_hold_everything_that_can_happen() -> None:
    bank = stepped(9, 240)
    seen: Counter[str] = Counter()
    for ledger in ledgers(bank):
        for entity, versions in ledger.history.items():
            for before, after in pairwise(versions):
                seen[_kind(before, after)] += 1
            _note_creation(seen, entity, versions[0])
    for kind in (
        "transaction posted", "transaction replaced", "transaction amended", "transaction reversed", "pending removed",
        "posted removed", "back-dated", "loan", "loan CLOSED", "installment DUE", "installment PAID",
        "installment OVERDUE", "loan OVERDUE", "repayment", "points EARN", "points REDEEM", "points EXPIRE",
        "points ADJUST", "points amended", "points removed", "voucher ISSUED", "voucher REDEEMED", "voucher EXPIRED",
        "bill", "bill amended", "bill overdue", "bill paid", "bill cancelled", "bill removed",
        "booking", "booking confirmed", "booking amended", "booking cancelled", "booking completed", "booking removed",
        "card", "card ACTIVE", "card BLOCKED", "card HOTLISTED", "card EXPIRED", "authorization authorized",
        "authorization adjusted", "authorization cleared", "authorization reversed", "authorization expired",
        "authorization declined",
        "holding", "holding moved", "holding valued", "holding removed", "nav", "nav valued", "order",
        "order PARTIALLY_FILLED", "order FILLED", "order CANCELLED", "order REJECTED", "order EXPIRED", "order settled",
    ):  # fmt: skip
        assert seen[kind], (kind, seen)
    rails = {
        change.body["rail"]
        for life in bank.lives.values()
        for change in life.ledgers["transactions"].changes
        if change.body is not None
    }
    assert rails >= {
        "RAAST_P2P", "RAAST_P2M", "RAAST_RETURN", "IBFT", "ZINDIGI_INTERNAL", "CNIC_TRANSFER", "CARD", "ATM",
        "BILL_PAY", "TOPUP", "INVESTMENT", "LOAN_DISBURSAL", "LOAN_REPAYMENT", "REWARD", "FEE", "REVERSAL",
    }  # fmt: skip


def _kind(before: Change, after: Change) -> str:
    assert before.body is not None
    name = after.entity.split("/")[0] if "/" in after.entity else "transaction"
    if name == "transaction":
        if after.body is None:
            return f"{before.body['status']} removed"
        if after.body["id"] != before.body["id"]:
            assert after.body["replaces"] == before.body["id"]
            assert after.body["initiated_at"] == before.body["initiated_at"]
            return "transaction replaced"
        return f"transaction {after.body['status'] if after.body['status'] != before.body['status'] else 'amended'}"
    if after.body is None:
        return f"{name} removed"
    fields = ("STATUS", "status", "state")
    status, was = [next((body[field] for field in fields if field in body), None) for body in (after.body, before.body)]
    if name in {"holding", "nav"}:
        status = "valued" if _held(before) == _held(after) else "moved"
    elif after.body.get("settlementTransactionId") != before.body.get("settlementTransactionId"):
        status = "settled"
    elif status == was:
        status = "amended"
    return f"{name} {status}"


def _held(change: Change) -> object:
    assert change.body is not None
    return change.body.get("quantity", change.body.get("units"))


def _note_creation(seen: Counter[str], entity: str, change: Change) -> None:
    assert change.body is not None
    if "/" not in entity:
        seen["back-dated"] += micros(change.at) - change.booking > 3_600_000_000
    elif entity.startswith("points/"):
        seen[f"points {change.body['type']}"] += 1
    elif entity.startswith("authorization/"):
        seen[f"authorization {change.body['state']}"] += 1
    elif entity.startswith("voucher/"):
        seen[f"voucher {change.body['status']}"] += 1
    else:
        seen[entity.split("/", maxsplit=1)[0]] += 1


def test_what_changes_late_is_no_older_than_thirty_days() -> None:
    month = 30 * 86_400 * 1_000_000
    for life in stepped(9, 150).lives.values():
        newest: dict[str, int] = {}
        for change in life.ledgers["transactions"].changes:
            newest[change.resource] = max(newest.get(change.resource, 0), change.booking)
            if change.op != "c" or change.version > 1:
                assert newest[change.resource] - change.booking < month


def chain_holds(items: list[dict[str, Any]]) -> bool:
    posted = [item for item in items if item["status"] == "posted"]
    return all(
        Decimal(str(newer["balance_after"])) == Decimal(str(older["balance_after"])) + Decimal(str(newer["amount"]))
        for newer, older in pairwise(posted)
    ) and all(item["balance_after"] is None for item in items if item["status"] != "posted")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_balance_chain_holds_through_every_step(seed: int) -> None:
    bank = Bank(load_scenario("lockstep"), seed, ManualClock())
    for _ in range(25):
        bank.step(3)
        for life in bank.lives.values():
            for feed in life.transactions.feeds.values():
                assert chain_holds([dict(entry.body()) for entry in feed.newest_first()])


def test_the_balance_chain_holds_through_commands(bank: Bank) -> None:
    for op in ("add", "back_date", "amend", "remove", "reverse"):
        mutation = Mutation.model_validate(
            {"holder": "adult", "domain": "transactions", "op": op, "count": 3, "age_days": 2.0}
        )
        assert len(bank.mutate(mutation)) == 3
        feed = bank.life("adult").transactions.feeds[bank.life("adult").ibans[0]]
        assert chain_holds([dict(entry.body()) for entry in feed.newest_first()])


def test_loans_add_up(bank: Bank) -> None:
    bank.step(120)
    for life in bank.lives.values():
        for loan in life.lending.loans.values():
            paid = sum(repayment.amount_paisa for repayment in loan.repayments)
            owed = loan.principal_paisa + loan.markup_paisa
            assert sum(line.amount_paisa for line in loan.schedule) == owed
            assert loan.outstanding_paisa == owed - paid
            assert (loan.status == "CLOSED") == (loan.outstanding_paisa == 0)
            known = life.ledgers["transactions"].history
            assert all(repayment.transaction_id in known for repayment in loan.repayments if loan.closed_on is None)


def test_a_paid_bill_and_its_payment_are_one_thing(bank: Bank) -> None:
    bank.step(120)
    late = 0
    for life in bank.lives.values():
        payments: list[str] = []
        for _, bill in life.bills.newest_first():
            assert (bill.status == "paid") == (bill.payment is not None)
            if bill.payment is None or bill.payment.transaction_id is None:
                continue
            paid = life.transactions.get(bill.payment.transaction_id)
            assert paid is not None
            assert (paid.rail, paid.status, paid.biller) == ("BILL_PAY", "posted", bill.biller.name)
            assert paid.posted_at == bill.payment.at
            assert paid.amount_paisa == -bill.payment.amount_paisa
            payments.append(bill.payment.transaction_id)
            was_late = local_date(bill.payment.at) > bill.due_on
            late += was_late and bill.amount_after_due_paisa is not None
            stated = bill.amount_after_due_paisa if was_late else bill.amount_paisa
            assert bill.payment.amount_paisa == (stated or bill.amount_paisa)
        of_bills = [entry for feed in life.transactions.feeds.values() for entry in feed.newest_first()]
        paying = {entry.entity for entry in of_bills if entry.transaction.rail == "BILL_PAY"}
        assert sorted(payments) == sorted(paying)
    assert late


def test_an_order_names_what_paid_it_and_what_came_back(bank: Bank) -> None:
    bank.step(120)
    refunds = 0
    for life in bank.lives.values():
        named: list[str] = []
        for _, booking in life.bookings.newest_first():
            paid = life.transactions.get(booking.payment_transaction_id or "")
            assert paid is not None
            assert (paid.status, paid.amount_paisa) == ("posted", -booking.total_paisa)
            assert (booking.status == "cancelled") == (booking.refund_transaction_id is not None)
            named.append(paid.id)
            if booking.refund_transaction_id is not None:
                given_back = life.transactions.get(booking.refund_transaction_id)
                assert given_back is not None
                assert (given_back.status, given_back.amount_paisa) == ("posted", booking.total_paisa)
                named.append(given_back.id)
                refunds += 1
        assert len(set(named)) == len(named)
    assert refunds


def test_people_of_every_tier_order_everything(bank: Bank) -> None:
    bank.step(120)
    ordered = [{one.category for _, one in life.bookings.newest_first()} for life in bank.lives.values()]
    assert set.union(*ordered) == set(CATEGORIES)
    assert all(ordered)


def test_points_are_never_owed(bank: Bank) -> None:
    for _ in range(60):
        bank.step(2)
        assert all(life.loyalty.balance >= 0 for life in bank.lives.values())


def test_money_has_two_decimals_on_the_wire(bank: Bank) -> None:
    feed = next(iter(bank.life("adult").transactions.feeds.values()))
    for entry in feed.newest_first():
        text = dumps(entry.body()).decode()
        for key in ("amount", "balance_after"):
            value = text.split(f'"{key}":')[1].split(",")[0].rstrip("}")
            assert value == "null" or value[-3] == "."


def test_history_is_one_creation_each() -> None:
    for ledger in ledgers(Bank(load_scenario("demo"), 1, ManualClock())):
        assert {(change.op, change.version) for change in ledger.changes} <= {("c", 1)}
        assert len(ledger.changes) == len(ledger.present)


def test_commands_leave_other_lives_alone() -> None:
    scenario = load_scenario("lockstep")
    plain, commanded = Bank(scenario, 4, ManualClock()), Bank(scenario, 4, ManualClock())
    commanded.mutate(Mutation(holder="adult", domain="transactions", op="amend", age_days=1.0))
    plain.step(20)
    commanded.step(20)
    for label in ("basic", "freelancer", "borrower", "teen"):
        mine, theirs = plain.life(label), commanded.life(label)
        for domain, ledger in mine.ledgers.items():
            assert [c.body for c in ledger.changes] == [c.body for c in theirs.ledgers[domain].changes]


def test_only_lockstep_is_stepped_and_only_free_time_freezes(clock: ManualClock) -> None:
    bank = Bank(load_scenario("demo"), 1, clock)
    with pytest.raises(ControlError, match="runs freely"):
        bank.step()
    bank.freeze()
    still = bank.ledger_now()
    clock.advance(5)
    assert bank.ledger_now() == still
    bank.thaw()
    clock.advance(1)
    assert bank.ledger_now() - still == timedelta(seconds=load_scenario("demo").pace)


def test_a_static_scenario_has_nothing_to_step() -> None:
    with pytest.raises(ControlError, match="nothing is left"):
        Bank(load_scenario("peers"), 1, ManualClock()).step()


@pytest.mark.parametrize(
    ("domain", "op"),
    [
        ("cards", "issue"), ("cards", "block"), ("cards", "unblock"), ("cards", "limits"), ("cards", "international"),
        ("cards", "replace"), ("cards", "expire_card"), ("cards", "withdraw"), ("cards", "authorize"),
        ("cards", "authorize_abroad"), ("cards", "decline"), ("cards", "adjust"), ("cards", "clear"),
        ("cards", "reverse"), ("cards", "expire"), ("cards", "amend"), ("cards", "remove"),
        ("lending", "repay"), ("lending", "close"), ("lending", "overdue"), ("lending", "due"), ("lending", "disburse"),
        ("loyalty", "earn"), ("loyalty", "redeem"), ("loyalty", "adjust"), ("loyalty", "expire"), ("loyalty", "amend"),
        ("loyalty", "remove"), ("loyalty", "redeem_voucher"), ("loyalty", "expire_voucher"),
        ("transactions", "add"), ("transactions", "back_date"), ("transactions", "amend"), ("transactions", "remove"),
        ("transactions", "reverse"),
    ],
)  # fmt: skip
def test_every_command_changes_something(bank: Bank, domain: Any, op: Any) -> None:
    for setup in (
        ("lending", "disburse"), ("loyalty", "redeem"), ("cards", "issue"), ("cards", "block"), ("cards", "issue"),
        ("cards", "authorize"),
    ):  # fmt: skip
        bank.mutate(Mutation.model_validate({"holder": "borrower", "domain": setup[0], "op": setup[1]}))
    assert bank.mutate(Mutation(holder="borrower", domain=domain, op=op))


@pytest.mark.parametrize("way", ["same_id", "replaces", "new_id"])
def test_a_pending_entry_is_posted_on_command_in_three_ways(bank: Bank, way: Any) -> None:
    (entered,) = bank.mutate(Mutation(holder="adult", domain="transactions", op="add", pending=True))
    changes = bank.mutate(Mutation(holder="adult", domain="transactions", op="post", way=way, entity=entered.entity))
    assert [change.op for change in changes] == (["d", "c"] if way == "new_id" else ["u"])
    body = changes[-1].body
    assert body is not None
    assert body["status"] == "posted"
    assert body["replaces"] == (entered.entity if way == "replaces" else None)
    assert (body["id"] == entered.entity) == (way == "same_id")


def test_a_command_that_has_no_target_says_so(bank: Bank) -> None:
    with pytest.raises(MutationError):
        bank.mutate(Mutation(holder="teen", domain="lending", op="repay"))
    with pytest.raises(MutationError):
        bank.mutate(Mutation(holder="adult", domain="transactions", op="earn"))
    with pytest.raises(ControlError, match="nobody"):
        bank.mutate(Mutation(holder="nobody", domain="loyalty", op="earn"))


def test_age_chooses_the_entry(bank: Bank) -> None:
    feed = bank.life("adult").transactions.feeds[bank.life("adult").ibans[0]]
    newest = feed.newest_first()[0].transaction.initiated_at
    for days in (0.0, 1.0, 10.0):
        (change,) = bank.mutate(Mutation(holder="adult", domain="transactions", op="amend", age_days=days))
        age = (micros(newest) - change.booking) / 86_400_000_000
        assert abs(age - days) < 1.5
