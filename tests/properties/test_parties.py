"""Two people are never one, own transfers are marked, and the fold can be undone: over generated families."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import phonenumbers
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from stdnum import iban as stdnum_iban
from stdnum.pk import cnic as stdnum_cnic

from connector.avro import decode_event, encode_event
from connector.consumers.parties import Evidence, PartyBook, evidence_of
from connector.domains.registry import DOMAINS
from connector.domains.transactions import Counterparty, Transaction
from connector.parties import Own, PartyNaming, own_identifiers, read_cnic, read_iban, read_mobile
from connector.runtime.sealed_state import Subject
from connector.sandbox.people import iban
from tests.golden.samples import ACCOUNT, DATA_KEY, POSTED, event
from tests.support.families import Families, Payment, cnic, families, mobile, spelled, spelled_mobile

KEY = Subject(ACCOUNT, DATA_KEY).token
Rule = Callable[[Evidence], Evidence]


def own_of(world: Families) -> Own:
    own = [account for account, owners in world.owners.items() if owners == {0}]
    return own_identifiers(ibans=own, cnic=world.cnics[0], mobile=world.holder_mobile, key=KEY)


def told(world: Families) -> list[dict[str, Any]]:
    """What a consumer decodes of the payments: through the record, its naming, its bytes."""
    name_party, naming = DOMAINS["transactions"].name_party, PartyNaming(own_of(world), KEY)
    assert name_party is not None
    feed = next(account for account, owners in world.owners.items() if owners == {0})
    events = []
    for payment in world.payments:
        record = replace(
            POSTED,
            transaction_id=f"TX-{payment.number}",
            replaces=None,
            initiated_at=payment.at,
            posted_at=payment.at,
            counterparty=Counterparty(payment.alias, payment.iban, payment.cnic, "Invented Person"),
        )
        named = name_party(record, naming)
        assert isinstance(named, Transaction)
        assert named == record, "naming is no change"
        one = replace(
            event("transactions", "c", 1, "TransactionPosted", after=named), resource=f"transactions:{KEY(feed)}"
        )
        events.append(decode_event(encode_event("transactions", one)))
    return events


def as_it_is(evidence: Evidence) -> Evidence:
    return evidence


def check(world: Families, rule: Rule = as_it_is) -> None:
    """Whatever stands under one person is of one person, whatever under one account is of one account."""
    payment_of = {f"TX-{payment.number}": payment for payment in world.payments}
    book = PartyBook()
    same: dict[tuple[str, str], set[object]] = defaultdict(set)
    for one in told(world):
        evidence = evidence_of(one)
        assert evidence is not None
        book.take(rule(evidence))
        party, payment = one["after"]["transaction"]["party"], payment_of[one["entity_id"]]
        if party is not None and party["party_id"] is not None:
            true = {"ACCOUNT": payment.account, "PERSON": payment.person, "ALIAS": None}[party["party_kind"]]
            same[party["party_kind"], party["party_id"]].add(true)
            assert party["own_transfer"] == is_own(world, payment)
        else:
            assert (payment.iban, payment.cnic, payment.alias) == (None, None, None)
    assert all(len(true) == 1 for true in same.values()), "one party id for two parties"
    true_person: dict[str, int] = {}
    for token in book.tokens("person"):
        people = {payment_of[record.entity_id].person for record in book.person(token).records}
        assert len(people) == 1, "two people are one"
        [true_person[token]] = people
    for token in book.tokens("account"):
        account = book.account(token)
        accounts = {payment_of[record.entity_id].account for record in account.records}
        assert {KEY(one) for one in accounts} == {token}, "two accounts are one"
        assert {true_person[one] for one in account.persons} <= world.owners[accounts.pop()], "it is somebody else's"
    own = {payment.number for payment in world.payments if is_own(world, payment)}
    assert {int(record.entity_id.removeprefix("TX-")) for record in book.own_transfers()} == own


def is_own(world: Families, payment: Payment) -> bool:
    """Stated by an identifier that is the holder's alone: an IBAN of his, or his CNIC."""
    by_iban = payment.iban is not None and world.owners[payment.account] == {0}
    return by_iban or payment.cnic_of == 0


# ── Families ────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(families())
def test_two_people_are_never_one_and_own_transfers_are_marked(world: Families) -> None:
    check(world)


def a_mobile_makes_a_person(evidence: Evidence) -> Evidence:
    return replace(evidence, person=evidence.person or evidence.alias)


def an_account_makes_a_person(evidence: Evidence) -> Evidence:
    return replace(evidence, person=evidence.person or evidence.account)


def a_mobile_makes_an_account(evidence: Evidence) -> Evidence:
    return replace(evidence, account=evidence.account or evidence.alias)


@pytest.mark.parametrize(
    ("rule", "wrong"),
    [
        (a_mobile_makes_a_person, "two people are one"),
        (an_account_makes_a_person, "two people are one"),
        (a_mobile_makes_an_account, "two accounts are one"),
    ],
)
def test_a_broken_rule_is_found(rule: Rule, wrong: str) -> None:
    # Shrinking would take minutes, for an example that nobody needs.
    @settings(phases=[Phase.generate], max_examples=2_000)
    @given(families())
    def broken(world: Families) -> None:
        check(world, rule)

    with pytest.raises(AssertionError, match=wrong):
        broken()


@given(families(), st.integers())
def test_the_fold_knows_no_order_and_can_be_undone(world: Families, seed: int) -> None:
    evidence = [found for one in told(world) if (found := evidence_of(one))]
    shuffled = Random(seed).sample(evidence, len(evidence))
    book = PartyBook(shuffled)
    assert views(book) == views(PartyBook(evidence))
    half = len(shuffled) // 2
    kept, left_out = shuffled[:half], shuffled[half:]
    for one in left_out:
        book.take(one)
    assert views(book) == views(PartyBook(evidence)), "told again"
    for one in left_out:
        book.leave_out(one.record)
    assert book == PartyBook(kept)
    assert views(book) == views(PartyBook(kept))
    for one in left_out:
        book.take(one)
    assert views(book) == views(PartyBook(evidence))


def views(book: PartyBook) -> object:
    """All that a book says."""
    return (
        {token: book.account(token) for token in book.tokens("account")},
        {token: book.person(token) for token in book.tokens("person")},
        {token: book.alias(token) for token in book.tokens("alias")},
        book.own_transfers(),
    )


# ── Spellings ───────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.data(), st.integers(0, 999))
def test_every_spelling_is_read_as_the_same(data: st.DataObject, number: int) -> None:
    assert read_mobile(data.draw(spelled_mobile(mobile(number)))).canonical == mobile(number)
    assert read_cnic(data.draw(spelled(cnic(number)))) == (cnic(number), ())
    account = iban("HABB", f"{number:016d}")
    assert read_iban(data.draw(spelled(account))) == (account, ())


@given(st.text(max_size=40))
@example("0300-0000123 ext 5")
@example("+92300****123")
def test_any_text_is_read_or_flagged(text: str) -> None:
    for reader in (read_mobile, read_iban, read_cnic):
        canonical, flags = reader(text)
        assert canonical is not None or len(flags) == 1
        if canonical is not None:
            assert reader(canonical) == (canonical, flags), "a canonical form is its own"


@given(st.from_regex(r"(\+|00)?(92)?0?3[0-9]{8,10}", fullmatch=True))
def test_the_short_way_for_mobiles_is_the_library_s(text: str) -> None:
    try:
        parsed = phonenumbers.parse(text, "PK")
    except phonenumbers.NumberParseException:
        assert read_mobile(text).canonical is None
        return
    found = read_mobile(text)
    if phonenumbers.is_valid_number(parsed):
        e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
        assert found.canonical == e164
    else:
        assert found.flags


@given(st.from_regex(r"PK[0-9]{2}[A-Z]{4}[A-Z0-9]{16}", fullmatch=True), st.booleans())
def test_the_short_way_for_ibans_is_the_library_s(text: str, repaired: bool) -> None:
    if repaired:
        text = f"PK{stdnum_iban.calc_check_digits(text)}{text[4:]}"
    assert (read_iban(text).canonical is not None) == (
        stdnum_iban.is_valid(text) and text[2:4] not in {"00", "01", "99"}
    )


@given(st.from_regex(r"[0-9]{13}", fullmatch=True))
def test_cnics_are_the_library_s_and_those_of_regions_that_it_does_not_know(text: str) -> None:
    canonical, flags = read_cnic(text)
    if stdnum_cnic.is_valid(text) and len(set(text)) > 1:
        assert (canonical, flags) == (text, ())
    else:
        assert flags == (("CNIC_UNLIKELY",) if canonical else ("CNIC_INVALID",))
        assert canonical is None or text[0] in "89"
