"""What events add up to, and every complaint about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from connector.domains.transactions import Transaction
from connector.events import Event, Provenance, Sighting, event_id
from connector.fold import StreamFold

AT = datetime(2026, 3, 1, tzinfo=UTC)
RESOURCE = "transactions:1"
SOURCE = Provenance("app-session", "bank", "2", "1", "live")


def transaction(name: str, *, amount: int = 1, replaces: str | None = None) -> Transaction:
    return Transaction(
        iban="PK00ZIND0000000000000001",
        transaction_id=name,
        replaces=replaces,
        rail="IBFT",
        rail_source="IBFT",
        bank_transaction_code=None,
        amount=Decimal(amount),
        currency="PKR",
        status="POSTED",
        status_source="posted",
        initiated_at=AT,
        initiated_at_source=AT.isoformat(),
        posted_at=None,
        posted_at_source=None,
        balance_after=None,
        counterparty=None,
        biller=None,
        receipt_ref=None,
    )


class Telling:
    """A stream that is told as the connector would."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._stream = 0
        self._entities: dict[str, tuple[int, Transaction | None]] = {}

    def change(self, entity_id: str, after: Transaction | None) -> Event:
        version, before = self._entities.get(entity_id, (0, None))
        op = "d" if after is None else "u" if before is not None else "c"
        self._entities[entity_id] = (version + 1, after)
        return self._tell(op, "TransactionPosted", entity_id, version + 1, before, after)

    def about(self, event_type: str, entity_id: str = "stream", reason: str | None = None) -> Event:
        self._stream += 1
        return replace(self._tell("s", event_type, entity_id, self._stream), reason=reason)

    def _tell(
        self,
        op: str,
        event_type: str,
        entity_id: str,
        version: int,
        before: Transaction | None = None,
        after: Transaction | None = None,
    ) -> Event:
        sighting = Sighting("acc", "transactions", RESOURCE, AT, "consent-1", SOURCE, "epoch")
        which = (event_type,) if op == "s" else ()
        told = Event(
            event_id=event_id(sighting, entity_id, *which, str(version)),
            event_type=event_type,
            op=op,
            account_id="acc",
            entity_id=entity_id,
            entity_version=version,
            sequence=len(self.events) + 1,
            resource=RESOURCE,
            effective_at=None,
            effective_date=None,
            observed_at=AT,
            consent_id="consent-1",
            source=SOURCE,
            before=before,
            after=after,
            epoch="epoch",
        )
        self.events.append(told)
        return told


def folded(events: list[Event]) -> StreamFold:
    fold = StreamFold("acc", "transactions")
    for number, event in enumerate(events, start=1):
        fold.take(event, number)
    return fold


def a_life() -> list[Event]:
    telling = Telling()
    telling.about("StreamOpened")
    telling.change("a", transaction("a"))
    telling.change("b", transaction("b"))
    telling.about("BackfillCompleted")
    telling.change("a", transaction("a", amount=2))
    telling.about("EntryQuarantined", "c", "amount: missing")
    telling.change("b", None)
    return telling.events


def test_a_life_adds_up() -> None:
    fold = folded(a_life())
    assert fold.complaints == []
    assert fold.whole
    assert (fold.first, fold.sequence, fold.stream_version, fold.status) == (1, 7, 3, "live")
    entities = dict(fold.of_resource(RESOURCE))
    assert (entities["a"].version, entities["a"].record) == (2, transaction("a", amount=2))
    assert (entities["b"].version, entities["b"].record) == (2, None)
    assert entities["b"].key == transaction("b").booking_key
    assert (entities["c"].version, entities["c"].unreadable) == (0, True)


def test_a_replaced_id_is_another_name_until_it_speaks_for_itself() -> None:
    telling = Telling()
    telling.change("a", transaction("a"))
    telling.change("a", transaction("b", replaces="a"))
    telling.change("a", transaction("c", replaces="b"))
    fold = folded(telling.events)
    assert dict(fold.of_resource(RESOURCE))["a"].aliases == ("b", "c")
    telling.change("b", transaction("b"))
    fold = folded(telling.events)
    assert dict(fold.of_resource(RESOURCE))["a"].aliases == ("c",)
    # An id that was given away a second time is no name of the first holder's.
    telling.change(":again/c", transaction("c", amount=5))
    fold = folded(telling.events)
    assert dict(fold.of_resource(RESOURCE))[":again/c"].aliases == ()
    assert fold.complaints == []


def test_a_stream_that_was_backfilled_once_goes_on_where_it_stopped() -> None:
    telling = Telling()
    told = [
        (telling.about(event_type), folded(telling.events).status)
        for event_type in ("StreamOpened", "BackfillCompleted", "StreamClosed", "StreamOpened")
    ]
    assert [status for _, status in told] == ["backfilling", "live", "closed", "live"]


Damage = Callable[[list[Event]], list[Event]]
DAMAGES: dict[str, tuple[str, Damage]] = {
    "an event that is missing": ("those between are missing", lambda events: events[:3] + events[4:]),
    "an event that stands twice": ("stands again", lambda events: [*events, events[-1]]),
    "an entity that skips a version": (
        "is version 3 of its entity, after 1",
        lambda events: [*events[:4], replace(events[4], entity_version=3), *events[5:]],
    ),
    "an event with another content": (
        "another `before`",
        lambda events: [*events[:1], replace(events[1], after=transaction("a", amount=9)), *events[2:]],
    ),
    "a removal of what is not there": (
        "not ready for",
        lambda events: [*events[:1], replace(events[1], op="d", after=None), *events[2:]],
    ),
    "an id that does not fit": (
        "bears an id",
        lambda events: [*events[:1], replace(events[1], event_id="0" * 32), *events[2:]],
    ),
    "an unknown op": ("none of this release's", lambda events: [*events[:-1], replace(events[-1], op="r")]),
    "a counter that skips": (
        "should stand",
        lambda events: [*events[:3], replace(events[3], entity_version=5), *events[4:]],
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_every_damage_is_complained_of(name: str) -> None:
    said, damage = DAMAGES[name]
    complaints = folded(damage(a_life())).complaints
    assert any(said in complaint for complaint in complaints), complaints
    assert "PK00" not in " ".join(complaints)


def test_a_commit_that_comes_before_an_earlier_one_is_complained_of() -> None:
    fold = StreamFold("acc", "transactions")
    for number, event in zip((5, 4), a_life(), strict=False):
        fold.take(event, number)
    assert "is of commit 4, after one of commit 5" in fold.complaints[0]


def test_of_a_history_without_its_beginning_what_is_there_is_judged() -> None:
    fold = folded(a_life()[2:])
    assert fold.complaints == []
    assert (fold.whole, fold.first) == (False, 3)
    assert dict(fold.of_resource(RESOURCE))["a"].version == 2
