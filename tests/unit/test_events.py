"""Events: identity, envelope and headers, by example."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from connector.diff import Change, diff
from connector.events import (
    STREAM_ENTITY,
    Event,
    Provenance,
    Related,
    Sighting,
    change_event,
    cloud_event_headers,
    event_id,
    stream_event,
)
from tests.golden.samples import LOAN, PENDING, POSTED, VOUCHER
from tests.unit.feed import state

OBSERVED_AT = datetime(2026, 3, 1, 4, 31, 2, 5, tzinfo=UTC)
SOURCE = Provenance("app-session", "bank", "2", "1", "live")
SIGHTING = Sighting("acc", "transactions", "transactions/1", OBSERVED_AT, "consent-1", SOURCE, "e" * 16)


def told(change: Change, **facts: object) -> Event:
    return change_event(SIGHTING, change, sequence=9, event_type="X", source=SOURCE, **facts)  # type: ignore[arg-type]


def test_an_event_carries_the_change_and_its_identity() -> None:
    (change,) = diff({"TX-1001": state(PENDING, 4)}, {"TX-1001": state(POSTED, 4, "TX-1002", entity_id="TX-1001")})
    related = (Related("voucher", "loyalty", "V"),)
    event = told(change, supersedes="TX-1001", related=related, reason="why")
    assert event.event_id == event_id(SIGHTING, "TX-1001", "5")
    assert event.epoch == SIGHTING.epoch
    assert (event.op, event.entity_id, event.entity_version, event.sequence) == ("u", "TX-1001", 5, 9)
    assert (event.before, event.after) == (PENDING, POSTED)
    assert event.changed[:2] == ("transaction_id", "replaces")
    assert "balance_after" not in event.changed
    assert (event.supersedes, event.related, event.reason) == ("TX-1001", related, "why")
    assert (event.effective_at, event.effective_date) == (POSTED.posted_at, None)
    assert (event.observed_at, event.consent_id, event.source) == (OBSERVED_AT, "consent-1", SOURCE)


def test_a_removal_has_no_time_of_effect() -> None:
    (change,) = diff({"TX-1001": state(PENDING)}, {})
    event = told(change)
    assert (event.op, event.before, event.after) == ("d", PENDING, None)
    assert (event.effective_at, event.effective_date) == (None, None)


def test_a_date_stays_a_date() -> None:
    (loan,) = diff({}, {"l": state(LOAN, 0)})
    assert (told(loan).effective_at, told(loan).effective_date) == (None, LOAN.disbursed_on)
    (expired,) = diff({}, {"v": state(VOUCHER, 0)})
    assert told(expired).effective_date == date(2026, 4, 1)
    (issued,) = diff({}, {"v": state(replace(VOUCHER, status="ISSUED"), 0)})
    assert (told(issued).effective_at, told(issued).effective_date) == (VOUCHER.issued_at, None)


def test_what_only_we_remember_cannot_be_told() -> None:
    with pytest.raises(ValueError, match="without op"):
        told(Change(None, None, state(PENDING)))


def test_an_event_about_the_stream_has_neither_side() -> None:
    event = stream_event(
        SIGHTING, "StreamClosed", sequence=3, entity_id=STREAM_ENTITY, entity_version=2, reason="consent"
    )
    assert (event.op, event.before, event.after, event.reason) == ("s", None, None, "consent")
    assert event.event_id == event_id(SIGHTING, "stream", "StreamClosed", "2")


def test_identity_does_not_depend_on_how_or_when_it_was_seen() -> None:
    (change,) = diff({}, {"TX-1001": state(PENDING, 0)})
    other = replace(SIGHTING, observed_at=datetime(2027, 1, 1, tzinfo=UTC), consent_id="other")
    again = change_event(other, change, sequence=77, event_type="Y", source=replace(SOURCE, mode="reconcile"))
    assert again.event_id == told(change).event_id


def test_headers_are_cloud_events_without_personal_data() -> None:
    (change,) = diff({}, {"TX-1001": state(PENDING, 0)})
    event = replace(told(change), event_type="TransactionPending")
    headers = dict(cloud_event_headers(event, "transactions", 3))
    assert headers == {
        "ce_specversion": b"1.0",
        "ce_id": event.event_id.encode(),
        "ce_type": b"pk.zindigi.transactions.TransactionPending.v1",
        "ce_source": b"/zindigi-connector/app-session/bank",
        "ce_subject": b"acc/transactions",
        "ce_time": b"2026-03-01T04:31:02.000005Z",
        "content-type": b"application/avro",
        "sequence": b"9",
        "commit": b"3",
        "epoch": b"e" * 16,
    }
    assert PENDING.iban.encode() not in b"".join(headers.values())


def test_no_two_epochs_routes_or_kinds_of_event_share_an_identity() -> None:
    other_route = replace(SIGHTING, source=replace(SOURCE, route="partner"))
    ids = [
        event_id(SIGHTING, "x", "1"),
        event_id(replace(SIGHTING, epoch="f" * 16), "x", "1"),
        event_id(other_route, "x", "1"),
        event_id(SIGHTING, "x", "StreamOpened", "1"),
        event_id(SIGHTING, "x", "EpochBegan", "1"),
    ]
    assert len(set(ids)) == len(ids)
