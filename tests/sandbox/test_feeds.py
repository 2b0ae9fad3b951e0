"""Paging: keyset cursors, bounds, conditional requests."""

from __future__ import annotations

from typing import Any

import pytest

from connector.sandbox.wire import decode_cursor, encode_cursor

pytestmark = pytest.mark.anyio
ORDERED_BY = {"transactions": "initiated_at", "bills": "presented_at", "bookings": "placed_at"}
"""The newest-first feeds, and the time that each is ordered by."""


@pytest.fixture(params=ORDERED_BY)
async def filled(request: pytest.FixtureRequest, visitor: Any) -> tuple[Any, str]:
    """Somebody whose feed has entries, and the name of the feed."""
    adult = await visitor("adult").log_in()
    await adult.fill(request.param, 60)
    return adult, request.param


async def test_pages_make_up_the_whole_feed_newest_first(filled: Any) -> None:
    adult, of = filled
    for limit in (1, 7, 50, 100):
        items = await adult.feed(of=of, limit=limit)
        places = [(item[ORDERED_BY[of]], item["id"]) for item in items]
        assert len(set(places)) == len(places)
        assert [item["id"] for item in items] == [item["id"] for item in await adult.feed(of=of, limit=100)]


async def test_arrivals_shift_no_page(filled: Any) -> None:
    adult, of = filled
    before = [item["id"] for item in await adult.feed(of=of, limit=10)]
    await adult.fault("arrive_while_paging", count=1)
    during = [item["id"] for item in await adult.feed(of=of, limit=10)]
    assert during == before
    after = [item["id"] for item in await adult.feed(of=of, limit=10)]
    assert after[1:] == before


async def test_the_same_position_has_the_same_cursor(filled: Any) -> None:
    adult, of = filled
    first, again = [(await adult.feed_page(of=of, limit=10)).json()["next_cursor"] for _ in range(2)]
    assert first == again
    assert (await adult.feed_page(of=of, limit=20)).json()["next_cursor"] != first


async def test_from_is_a_karachi_date_and_inclusive(filled: Any) -> None:
    adult, of = filled
    everything = await adult.feed(of=of, limit=100)
    day = everything[len(everything) // 2][ORDERED_BY[of]][:10]
    wanted = [item["id"] for item in everything if item[ORDERED_BY[of]][:10] >= day]
    got = await adult.feed(of=of, limit=3, **{"from": day})
    assert [item["id"] for item in got] == wanted
    assert await adult.feed(of=of, **{"from": "2031-01-01"}) == []


async def test_a_cursor_keeps_the_range_that_it_was_begun_with(filled: Any) -> None:
    adult, of = filled
    page = (await adult.feed_page(of=of, limit=2, **{"from": "2026-02-01"})).json()
    carried = (await adult.feed_page(of=of, limit=100, cursor=page["next_cursor"])).json()["items"]
    assert carried
    assert min(item[ORDERED_BY[of]] for item in carried) >= "2026-02-01"
    clash = await adult.feed_page(of=of, cursor=page["next_cursor"], **{"from": "2026-02-02"})
    assert clash.json()["code"] == "CURSOR_INVALID"


@pytest.mark.parametrize(
    "params",
    [{"limit": 0}, {"limit": 101}, {"limit": "ten"}, {"limit": ""}, {"from": "2026-02-30"}, {"from": "01-02-2026"},
     {"from": "0001-01-01"}, {"size": 10}, {"limit": "\u0661"}],
)  # fmt: skip
async def test_parameters_without_meaning_are_refused(filled: Any, params: dict[str, Any]) -> None:
    adult, of = filled
    answer = await adult.feed_page(of=of, **params)
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")


@pytest.mark.parametrize("cursor", ["", "x", "!!!!", "YWJjZA", encode_cursor("PK", "1", "T", ""), encode_cursor("a")])
async def test_a_cursor_that_the_bank_never_gave_is_refused(filled: Any, cursor: str) -> None:
    adult, of = filled
    answer = await adult.feed_page(of=of, cursor=cursor)
    assert (answer.status_code, answer.json()["code"]) == (400, "CURSOR_INVALID")


def test_a_cursor_carries_its_parts() -> None:
    assert decode_cursor(encode_cursor("PK1", "12", "T-9", "")) == ("PK1", "12", "T-9", "")
    assert decode_cursor(encode_cursor("PK1")[:-1]) is None


async def test_points_ascend_and_page_by_the_last_id(visitor: Any) -> None:
    teen = await visitor("teen").log_in()
    entries = await teen.points(limit=7)
    ids = [entry["id"] for entry in entries]
    assert ids == sorted(set(ids))
    tail = (await teen.get("/z-miles/ledger", after_id=ids[-3])).json()
    assert [entry["id"] for entry in tail["entries"]] == ids[-2:]
    assert not tail["has_more"]
    summary = (await teen.get("/z-miles/summary")).json()
    assert summary["balance"] == sum(entry["points"] for entry in entries)


@pytest.mark.parametrize("params", [{"limit": 0}, {"limit": 201}, {"after_id": -1}, {"after_id": "x"}, {"page": 1}])
async def test_points_refuse_parameters_without_meaning(visitor: Any, params: dict[str, Any]) -> None:
    teen = await visitor("teen").log_in()
    assert (await teen.get("/z-miles/ledger", **params)).status_code == 400


async def test_a_body_that_has_not_changed_is_not_sent_again(visitor: Any) -> None:
    adult = await visitor("adult").log_in()
    feeds = (f"/accounts/{adult.ibans[0]}/transactions", "/bills", "/bookings", "/z-miles/ledger")
    for path in ("/me", "/z-miles/summary", *feeds):
        first = await adult.get(path)
        same = await adult.get(path, headers={"If-None-Match": f'"other", {first.headers["etag"]}'})
        assert (same.status_code, same.content) == (304, b"")
        assert same.headers["etag"] == first.headers["etag"]
    feed = await adult.feed_page()
    await adult.mutate("transactions", "amend", age_days=0)
    changed = await adult.feed_page()
    assert changed.headers["etag"] != feed.headers["etag"]


async def test_entries_leave_the_feed_by_age(bank: Any, filled: Any, lockstep: Any) -> None:
    adult, of = filled
    everything = await adult.feed(of=of, limit=100)
    door = lockstep.front_door.model_copy(update={"retention_days": 10})
    bank.scenario = lockstep.model_copy(update={"front_door": door})
    kept = await adult.feed(of=of, limit=100)
    assert [item["id"] for item in kept] == [item["id"] for item in everything[: len(kept)]]
    assert kept[-1][ORDERED_BY[of]] >= "2026-02-19"
    assert kept[-1] == everything[len(kept) - 1]
    visible = [entry for entry in (await adult.truth(of))["present"].values() if entry["visible"]]
    assert len(visible) == len(kept)


async def test_loans_come_whole(visitor: Any) -> None:
    borrower = await visitor("borrower").log_in()
    answer = (await borrower.inquire()).json()
    assert answer["RESPONSE_CODE"] == "00"
    present = (await borrower.truth("lending"))["present"]
    shown: dict[str, Any] = {}
    for loan in answer["DATA"]["LOANS"]:
        shown |= {f"installment/{loan['LOAN_ID']}/{line['INSTALLMENT_NO']}": line for line in loan.pop("SCHEDULE")}
        shown |= {f"repayment/{repayment['REPAYMENT_ID']}": repayment for repayment in loan.pop("REPAYMENTS")}
        shown[f"loan/{loan['LOAN_ID']}"] = loan
    assert shown == {entity: entry["body"] for entity, entry in present.items()}
