"""Every fault: that it strikes what it should, as often as it should, and what the client then sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from connector.sandbox.clock import ManualClock
from connector.sandbox.core import Bank
from connector.sandbox.faults import Faults, FaultSpec, Kind, Target
from connector.sandbox.scenario import load_scenario

pytestmark = pytest.mark.anyio


@pytest.fixture
async def adult(visitor: Any) -> Any:
    return await visitor("adult").log_in()


@pytest.fixture
async def borrower(visitor: Any) -> Any:
    return await visitor("borrower").log_in()


async def fired(one: Any) -> int:
    return sum(fault["fired"] for fault in (await one.http.get("/sandbox/faults")).json())


@pytest.mark.parametrize(
    ("kind", "params", "status", "code"),
    [
        ("expire_token", {}, 401, "TOKEN_EXPIRED"),
        ("session_ended", {}, 401, "SESSION_ENDED"),
        ("device_unbound", {}, 403, "DEVICE_UNBOUND"),
        ("pin_lock", {"seconds": 60}, 423, "LOCKED"),
        ("app_upgrade", {"minimum": "5.1.0"}, 426, "APP_UPGRADE_REQUIRED"),
        ("rate_limit", {"retry_after": 7}, 429, "RATE_LIMITED"),
        ("server_error", {"status": 500}, 500, "INTERNAL"),
        ("server_error", {"status": 502}, 502, "BAD_GATEWAY"),
        ("server_error", {"retry_after": 3}, 503, "UNAVAILABLE"),
    ],
)
async def test_a_call_is_refused(adult: Any, kind: str, params: dict[str, Any], status: int, code: str) -> None:
    await adult.fault(kind, params=params)
    answer = await adult.get("/me")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    if "retry_after" in params:
        assert answer.headers["retry-after"] == str(params["retry_after"])
    assert await fired(adult) == 1


@pytest.mark.parametrize("kind", ["rate_limit", "server_error", "app_upgrade"])
async def test_a_passing_fault_passes(adult: Any, kind: str) -> None:
    await adult.fault(kind, count=2)
    assert [(await adult.get("/me")).status_code < 400 for _ in range(3)] == [False, False, True]


async def test_an_expired_token_is_mended_by_one_refresh(adult: Any) -> None:
    await adult.fault("expire_token")
    assert (await adult.get("/me")).status_code == 401
    assert (await adult.refresh()).status_code == 200
    assert (await adult.get("/me")).status_code == 200


@pytest.mark.parametrize(
    ("kind", "code"),
    [("refresh_expired", "REFRESH_EXPIRED"), ("refresh_reused", "REFRESH_REUSED"), ("session_ended", "SESSION_ENDED")],
)
async def test_a_refresh_is_refused(adult: Any, kind: str, code: str) -> None:
    await adult.fault(kind)
    answer = await adult.refresh()
    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert (await adult.refresh()).status_code == 401


@pytest.mark.parametrize(("kind", "code"), [("otp_wrong", "OTP_INVALID"), ("otp_expired", "OTP_EXPIRED")])
async def test_a_right_code_is_refused(visitor: Any, bank: Any, kind: str, code: str) -> None:
    basic = visitor("basic")
    challenge = (await basic.ask_session()).json()["challenge_id"]
    await basic.fault(kind)
    answer = await basic.ask_session(otp=bank.desk.messages[-1].otp, challenge_id=challenge)
    assert (answer.status_code, answer.json()["code"]) == (401, code)


async def test_an_unbound_device_is_bound_again_by_a_code(adult: Any) -> None:
    await adult.fault("device_unbound")
    await adult.get("/me")
    assert (await adult.refresh()).json()["code"] == "DEVICE_UNBOUND"
    assert (await adult.ask_session()).json()["code"] == "OTP_REQUIRED"
    await adult.log_in()
    assert (await adult.get("/me")).status_code == 200


async def test_latency_waits(adult: Any, clock: ManualClock) -> None:
    await adult.fault("latency", params={"seconds": 9})
    before = clock.monotonic()
    assert (await adult.get("/me")).status_code == 200
    assert clock.monotonic() - before == 9


async def test_a_trickle_arrives_whole(adult: Any, clock: ManualClock) -> None:
    whole = await adult.feed_page()
    await adult.fault("trickle", params={"seconds": 4})
    before = clock.monotonic()
    assert (await adult.feed_page()).content == whole.content
    assert clock.monotonic() - before == pytest.approx(4)


async def test_json_breaks_off(adult: Any) -> None:
    whole = await adult.feed_page()
    await adult.fault("truncated_json")
    broken = await adult.feed_page(headers={"If-None-Match": whole.headers["etag"]})
    assert broken.status_code == 200
    assert whole.content.startswith(broken.content)
    assert len(broken.content) < len(whole.content)


async def test_html_comes_instead(adult: Any) -> None:
    await adult.fault("non_json")
    answer = await adult.feed_page()
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/html")


async def test_a_cursor_is_repeated(adult: Any) -> None:
    cursor = (await adult.feed_page(limit=5)).json()["next_cursor"]
    await adult.fault("repeat_cursor")
    assert (await adult.feed_page(limit=5, cursor=cursor)).json()["next_cursor"] == cursor
    assert (await adult.feed_page(limit=5, cursor=cursor)).json()["next_cursor"] != cursor


async def test_a_cursor_is_refused(adult: Any) -> None:
    cursor = (await adult.feed_page(limit=5)).json()["next_cursor"]
    await adult.fault("invalid_cursor")
    assert (await adult.feed_page(limit=5)).status_code == 200
    assert (await adult.feed_page(limit=5, cursor=cursor)).json()["code"] == "CURSOR_INVALID"
    assert (await adult.feed_page(limit=5, cursor=cursor)).status_code == 200


async def test_an_entry_is_seen_twice_with_other_content(adult: Any) -> None:
    first = (await adult.feed_page(limit=5)).json()
    await adult.fault("mutate_while_paging")
    second = (await adult.feed_page(limit=5, cursor=first["next_cursor"])).json()
    seen = {item["id"]: item for item in first["items"]}
    twice = [item for item in second["items"] if item["id"] in seen]
    assert len(twice) == 1
    assert twice[0] != seen[twice[0]["id"]]
    again = {item["id"]: item for item in (await adult.feed_page(limit=5)).json()["items"]}
    assert again[twice[0]["id"]]["amount"] == twice[0]["amount"]


async def test_the_lending_core_fails_with_http_200(borrower: Any) -> None:
    for code in ("14", "68", "91", "96", "05", "77"):
        await borrower.fault("advance_cash_code", params={"response_code": code})
        answer = await borrower.inquire()
        assert (answer.status_code, answer.json()["RESPONSE_CODE"], answer.json()["DATA"]) == (200, code, None)
    assert (await borrower.inquire()).json()["RESPONSE_CODE"] == "00"


async def test_fields_move(adult: Any) -> None:
    whole = (await adult.feed_page()).json()["items"]
    await adult.fault("field_renamed", count=2, params={"field": "amount", "to": "amt"})
    items = (await adult.feed_page()).json()["items"]
    assert [item.get("amt") for item in items[:3]] == [whole[0]["amount"], whole[1]["amount"], None]
    await adult.http.delete("/sandbox/faults")
    struck = next(item for item in whole if item["counterparty"])
    await adult.fault("field_missing", count=None, params={"field": "counterparty.name", "entity": struck["id"]})
    for _ in range(2):
        items = {item["id"]: item for item in (await adult.feed_page()).json()["items"]}
        assert "name" not in items[struck["id"]]["counterparty"]
        assert (
            sum(item["counterparty"] is not None and "name" not in item["counterparty"] for item in items.values()) == 1
        )
    await adult.http.delete("/sandbox/faults")
    await adult.fault("field_retyped", params={"field": "$.next_cursor", "value": 12})
    assert (await adult.feed_page()).json()["next_cursor"] == 12
    assert (await adult.feed_page()).json()["items"] == whole


async def test_fields_move_on_every_surface(borrower: Any) -> None:
    await borrower.fault("field_missing", backend="advance_cash", params={"field": "OUTSTANDING"})
    loans = (await borrower.inquire()).json()["DATA"]["LOANS"]
    assert ["OUTSTANDING" in loan for loan in loans[:2]] == [False, True]
    await borrower.fault("field_retyped", backend="advance_cash", params={"field": "SCHEDULE.DUE_ON", "value": "soon"})
    assert (await borrower.inquire()).json()["DATA"]["LOANS"][0]["SCHEDULE"][0]["DUE_ON"] == "soon"
    await borrower.fault("field_renamed", path="/z-miles/ledger", params={"field": "points"})
    assert "points_v2" in (await borrower.get("/z-miles/ledger")).json()["entries"][0]
    await borrower.fault("field_retyped", path="/me", params={"field": "tier", "value": 7})
    assert (await borrower.get("/me")).json()["tier"] == 7


async def test_a_hidden_entry_breaks_the_balance_chain(adult: Any) -> None:
    whole = (await adult.feed_page()).json()["items"]
    await adult.fault("hide_entry")
    items = (await adult.feed_page()).json()["items"]
    assert len(items) == len(whole) - 1
    missing = next(item for item in whole if item not in items)
    assert missing["balance_after"] is not None
    assert (await adult.feed_page()).json()["items"] == whole


async def test_a_fault_keeps_to_its_holder_backend_and_path(visitor: Any, adult: Any) -> None:
    teen = await visitor("teen").log_in()
    await adult.fault("server_error", holder="teen", count=None)
    assert ((await adult.get("/me")).status_code, (await teen.get("/me")).status_code) == (200, 503)
    await adult.http.delete("/sandbox/faults")
    await adult.fault("server_error", backend="z_miles", count=None)
    assert ((await adult.get("/me")).status_code, (await adult.get("/z-miles/summary")).status_code) == (200, 503)
    await adult.http.delete("/sandbox/faults")
    await adult.fault("server_error", path="/accounts/*/transactions", count=None)
    assert ((await adult.get("/me")).status_code, (await adult.feed_page()).status_code) == (200, 503)
    await adult.fault("server_error", path="/auth/refresh", holder=adult.spec.msisdn)
    assert (await adult.refresh()).status_code == 503


async def test_one_fault_is_cleared_by_its_id(adult: Any) -> None:
    one, two = await adult.fault("server_error"), await adult.fault("rate_limit")
    assert (await adult.http.delete("/sandbox/faults", params={"id": two})).json() == {"cleared": 1}
    assert [fault["id"] for fault in (await adult.http.get("/sandbox/faults")).json()] == [one]


@pytest.mark.parametrize(
    "body", [{"kind": "explode"}, {"kind": "latency", "secs": 1}, {"kind": "latency", "params": {"second": 1}}, {}]
)
async def test_an_order_that_means_nothing_is_refused(adult: Any, body: dict[str, Any]) -> None:
    assert (await adult.http.post("/sandbox/faults", json=body)).status_code == 400


async def test_a_fault_for_nobody_is_refused(adult: Any) -> None:
    assert (await adult.http.post("/sandbox/faults", json={"kind": "latency", "holder": "nobody"})).status_code == 409


def test_chances_are_seeded() -> None:
    spec = FaultSpec(kind="server_error", count=None, rate=0.3)
    strikes = [
        [faults.fire("server_error", Target("bank", "/me")) is not None for _ in range(200)]
        for faults in (Faults((spec,), 1), Faults((spec,), 1), Faults((spec,), 2))
    ]
    assert strikes[0] == strikes[1] != strikes[2]
    assert 30 < sum(strikes[0]) < 90


def test_bad_weather_leaves_the_truth_alone() -> None:
    stormy = load_scenario("faults")
    calm = stormy.model_copy(update={"faults": ()})
    truths = []
    for scenario in (stormy, calm):
        bank = Bank(scenario, 3, ManualClock())
        for _ in range(50):
            bank.faults.fire("server_error", Target("bank", "/me"))
        bank.step(10)
        truths.append(
            [c.body for life in bank.lives.values() for ledger in life.ledgers.values() for c in ledger.changes]
        )
    assert truths[0] == truths[1]


def test_every_kind_of_fault_is_tested_here() -> None:
    texts = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert [kind for kind in get_args(Kind) if f'"{kind}"' not in texts] == []
