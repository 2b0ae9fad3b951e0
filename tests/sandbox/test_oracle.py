"""The oracle on what goes there and back: a balance that stands again where it stood, a tier that returns.

Histories are made by hand, of one balance; letters are amounts. What the client was shown, and what it told, decides.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from connector.sandbox.oracle import Verdict, judge

IBAN = "PK65JSBL9999903000000011"
OBSERVED, UNSEEN, DOUBTFUL = "observable", "coalesced", "uncertain"
History = list[tuple[str, str]]


def amount(letter: str) -> Decimal:
    return Decimal(ord(letter))


def truth(history: History) -> dict[str, Any]:
    changes = [
        {
            "domain": "account",
            "entity": f"balance/{IBAN}",
            "name": "balance",
            "iban": IBAN,
            "version": number,
            "op": "c" if number == 1 else "u",
            "derived": True,
            "standing": standing,
            "served": None if standing == UNSEEN else {"first": number},
            "body": {"iban": IBAN, "balance": amount(letter), "available": amount(letter), "ccy": "PKR"},
        }
        for number, (letter, standing) in enumerate(history, start=1)
    ]
    counts = {
        "changes": len(changes),
        **{name: sum(change["standing"] == name for change in changes) for name in (OBSERVED, UNSEEN)},
    }
    facts = {"changes": changes, "counts": counts, "present": {f"balance/{IBAN}": {}}}
    return {"holders": [{"msisdn": "+92", "domains": {"account": facts}}]}


def record(letter: str) -> dict[str, Any]:
    return {"balance": {"iban": IBAN, "balance": amount(letter), "available": amount(letter), "currency": "PKR"}}


def verdict(history: History, told: str, *, settled: bool = True) -> Verdict:
    events = [
        (
            "account",
            {
                "account_id": "acc",
                "event_id": f"e{number}",
                "event_type": "BalanceChanged",
                "op": "c" if number == 1 else "u",
                "entity_id": "balance",
                "entity_version": number,
                "sequence": number,
                "before": None if number == 1 else record(told[number - 2]),
                "after": record(letter),
            },
        )
        for number, letter in enumerate(told, start=1)
    ]
    return judge(truth(history), events, {"acc": "+92"}, settled=settled)


@pytest.mark.parametrize(
    ("history", "told"),
    [
        # All of it was seen.
        ([("A", OBSERVED), ("B", OBSERVED), ("A", OBSERVED)], "ABA"),
        # There and back between two reads: nothing to tell.
        ([("A", OBSERVED), ("B", UNSEEN), ("A", OBSERVED)], "A"),
        ([("A", OBSERVED), ("B", UNSEEN), ("A", OBSERVED), ("C", OBSERVED)], "AC"),
        # What a killed client saw may have been told or not; and either way all that follows is right.
        ([("A", OBSERVED), ("B", DOUBTFUL), ("A", OBSERVED), ("B", OBSERVED)], "ABAB"),
        ([("A", OBSERVED), ("B", DOUBTFUL), ("A", OBSERVED), ("B", OBSERVED)], "AB"),
        ([("A", OBSERVED), ("B", DOUBTFUL), ("C", DOUBTFUL), ("B", OBSERVED)], "AB"),
        ([("A", OBSERVED), ("B", DOUBTFUL), ("C", DOUBTFUL), ("B", OBSERVED)], "ABCB"),
        ([("A", OBSERVED), ("B", DOUBTFUL), ("C", DOUBTFUL), ("B", OBSERVED)], "ACB"),
    ],
)
def test_there_and_back_is_sound(history: History, told: str) -> None:
    found = verdict(history, told)
    assert found.sound, found.findings


@pytest.mark.parametrize(
    ("history", "told", "fault"),
    [
        ([("A", OBSERVED), ("B", OBSERVED), ("A", OBSERVED)], "A", "missing"),
        ([("A", OBSERVED), ("B", OBSERVED), ("A", OBSERVED)], "AB", "missing"),
        ([("A", OBSERVED), ("B", UNSEEN), ("A", OBSERVED)], "ABA", "illegal"),
        ([("A", OBSERVED), ("B", OBSERVED), ("A", OBSERVED)], "ABAB", "illegal"),
        ([("A", OBSERVED), ("B", DOUBTFUL), ("A", OBSERVED), ("B", OBSERVED)], "ABA", "missing"),
        ([("A", OBSERVED), ("B", OBSERVED), ("A", UNSEEN), ("B", OBSERVED)], "A", "missing"),
        # The first look of an entity is nothing that it could have returned to.
        ([("A", OBSERVED)], "", "missing"),
    ],
)
def test_what_was_seen_and_is_not_told_or_told_and_never_seen_is_found(history: History, told: str, fault: str) -> None:
    found = verdict(history, told, settled=False)
    assert getattr(found.row("account"), fault) > 0, found.rows


def test_a_fold_that_ends_where_the_bank_does_not_stand_is_found() -> None:
    found = verdict([("A", OBSERVED), ("B", OBSERVED), ("A", OBSERVED)], "AB")
    assert found.row("account").fold_differs == 1
