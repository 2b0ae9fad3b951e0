"""What the sandbox claims of what it served: observable, coalesced, uncertain, pending; reads and settling."""

from __future__ import annotations

from typing import Any

import pytest

from connector.sandbox.departments import resources_of

pytestmark = pytest.mark.anyio


@pytest.fixture
async def adult(visitor: Any) -> Any:
    adult = await visitor("adult").log_in()
    await adult.read_everything()
    await adult.read_everything()
    return adult


async def test_history_is_observable_once_the_client_came_back(visitor: Any) -> None:
    teen = await visitor("teen").log_in()
    truth = await teen.truth()
    assert truth["counts"]["pending"] == truth["counts"]["changes"]
    await teen.feed(limit=50)
    assert (await teen.truth())["counts"]["pending"] == truth["counts"]["changes"]
    await teen.feed_page(limit=1)
    counts = (await teen.truth())["counts"]
    assert counts["observable"] == counts["changes"]


async def test_a_version_is_observable_by_being_served_and_returned_from(adult: Any) -> None:
    (change,) = await adult.mutate("transactions", "amend", age_days=1)
    assert await adult.standing(change) == "pending"
    await adult.feed(limit=100)
    assert await adult.standing(change) == "pending"
    await adult.feed_page(limit=1)
    assert await adult.standing(change) == "observable"


async def test_a_version_that_nobody_was_shown_is_coalesced(adult: Any) -> None:
    (entered,) = await adult.mutate("transactions", "add")
    (amended,) = await adult.mutate("transactions", "amend", entity=entered["entity"])
    await adult.feed(limit=100)
    await adult.feed(limit=100)
    assert await adult.standing(entered) == "coalesced"
    assert await adult.standing(amended) == "observable"


async def test_what_came_and_went_between_reads_is_coalesced(adult: Any) -> None:
    (entered,) = await adult.mutate("transactions", "add")
    (removed,) = await adult.mutate("transactions", "remove", entity=entered["entity"])
    for _ in range(4):
        await adult.feed(limit=100)
    assert (await adult.standing(entered), await adult.standing(removed)) == ("coalesced", "coalesced")


async def test_a_removal_takes_two_complete_reads_and_a_return(adult: Any) -> None:
    (removed,) = await adult.mutate("transactions", "remove", age_days=1)
    for expected in ("pending", "pending", "observable"):
        await adult.feed(limit=100)
        assert await adult.standing(removed) == expected


async def test_reads_that_do_not_cover_it_prove_no_removal(adult: Any) -> None:
    (removed,) = await adult.mutate("transactions", "remove", age_days=10)
    for _ in range(4):
        await adult.feed(limit=100, **{"from": "2026-02-27"})
        await adult.feed_page(limit=50)
    assert await adult.standing(removed) == "pending"
    for _ in range(3):
        await adult.feed(limit=100, **{"from": "2026-02-10"})
    assert await adult.standing(removed) == "observable"


async def test_a_killed_client_counts_absence_anew(adult: Any) -> None:
    (removed,) = await adult.mutate("transactions", "remove", age_days=1)
    await adult.feed(limit=100)
    await adult.feed(limit=100)
    await adult.http.post("/sandbox/client-lost")
    await adult.feed(limit=100)
    await adult.feed(limit=100)
    assert await adult.standing(removed) == "pending"
    await adult.feed(limit=100)
    assert await adult.standing(removed) == "observable"


async def test_what_only_a_killed_client_saw_is_uncertain(adult: Any) -> None:
    (first,) = await adult.mutate("transactions", "amend", age_days=1)
    await adult.feed(limit=100)
    await adult.http.post("/sandbox/client-lost")
    assert await adult.standing(first) == "pending"
    (second,) = await adult.mutate("transactions", "amend", entity=first["entity"])
    assert await adult.standing(first) == "uncertain"
    await adult.feed(limit=100)
    await adult.feed(limit=100)
    assert (await adult.standing(first), await adult.standing(second)) == ("uncertain", "observable")


async def test_a_kill_leaves_what_was_returned_from(adult: Any) -> None:
    (first,) = await adult.mutate("transactions", "amend", age_days=1)
    await adult.feed(limit=100)
    await adult.feed_page(limit=1)
    await adult.http.post("/sandbox/client-lost")
    await adult.mutate("transactions", "amend", entity=first["entity"])
    assert await adult.standing(first) == "observable"


async def test_the_removal_of_what_only_a_killed_client_saw_is_uncertain(adult: Any) -> None:
    (entered,) = await adult.mutate("transactions", "add")
    await adult.feed(limit=100)
    await adult.http.post("/sandbox/client-lost")
    (removed,) = await adult.mutate("transactions", "remove", entity=entered["entity"])
    for _ in range(4):
        await adult.feed(limit=100)
    assert (await adult.standing(entered), await adult.standing(removed)) == ("uncertain", "uncertain")


@pytest.mark.parametrize("kind", ["truncated_json", "non_json"])
async def test_a_spoiled_answer_showed_nothing(adult: Any, kind: str) -> None:
    (first,) = await adult.mutate("transactions", "amend", age_days=0)
    await adult.fault(kind)
    await adult.feed_page(limit=100)
    await adult.mutate("transactions", "amend", entity=first["entity"])
    await adult.feed(limit=100)
    await adult.feed(limit=100)
    assert await adult.standing(first) == "coalesced"


async def test_a_field_that_moved_hides_that_item_only(adult: Any) -> None:
    spoiled, sound = await adult.mutate("transactions", "amend", age_days=0, count=2)
    await adult.fault("field_missing", params={"field": "amount", "entity": spoiled["entity"]})
    await adult.feed_page(limit=100)
    for change in (spoiled, sound):
        await adult.mutate("transactions", "amend", entity=change["entity"])
    await adult.feed(limit=100)
    await adult.feed(limit=100)
    assert (await adult.standing(spoiled), await adult.standing(sound)) == ("coalesced", "observable")


async def test_a_field_that_moved_in_a_loan_leaves_its_other_parts(visitor: Any) -> None:
    borrower = await visitor("borrower").log_in()
    await borrower.mutate("lending", "disburse")
    await borrower.mutate("lending", "repay")
    for field, hidden in (("OUTSTANDING", {"loan"}), ("SCHEDULE.AMOUNT", {"installment"}), ("LOAN_ID", set())):
        await borrower.http.delete("/sandbox/faults")
        await borrower.fault("field_missing", count=None, params={"field": field})
        await borrower.inquire()
        changes = (await borrower.truth("lending"))["changes"]
        read = (await borrower.http.get("/sandbox/reads")).json()[0]["reads"]
        shown = {c["entity"].split("/")[0] for c in changes if c["served"] is not None and c["served"]["last"] == read}
        assert shown == ({"loan", "installment", "repayment"} - hidden if hidden else set())


@pytest.mark.parametrize("kind", ["server_error", "invalid_cursor", "rate_limit", "expire_token"])
async def test_a_read_whose_continuation_failed_is_doubtful(adult: Any, kind: str) -> None:
    (first,) = await adult.mutate("transactions", "amend", age_days=0)
    cursor = (await adult.feed_page(limit=50)).json()["next_cursor"]
    await adult.fault(kind)
    assert (await adult.feed_page(limit=50, cursor=cursor)).status_code >= 400
    await adult.log_in()
    await adult.mutate("transactions", "amend", entity=first["entity"])
    await adult.feed(limit=100)
    await adult.feed(limit=100)
    assert await adult.standing(first) == "uncertain"


async def test_a_continuation_that_was_tried_again_heals_the_read(adult: Any) -> None:
    (first,) = await adult.mutate("transactions", "amend", age_days=0)
    cursor = (await adult.feed_page(limit=50)).json()["next_cursor"]
    await adult.fault("expire_token")
    assert (await adult.feed_page(limit=50, cursor=cursor)).status_code == 401
    await adult.refresh()
    await adult.feed(limit=50, cursor=cursor)
    await adult.mutate("transactions", "amend", entity=first["entity"])
    await adult.feed(limit=100)
    assert await adult.standing(first) == "observable"
    log = await transactions_log(adult)
    assert log[-2]["outcome"] == "complete"


@pytest.mark.parametrize("kind", ["mutate_while_paging", "repeat_cursor"])
async def test_a_feed_that_moved_under_a_read_breaks_it(adult: Any, kind: str) -> None:
    cursor = (await adult.feed_page(limit=20)).json()["next_cursor"]
    await adult.fault(kind)
    await adult.feed_page(limit=20, cursor=cursor)
    await adult.feed(limit=100)
    log = await transactions_log(adult)
    assert [read["outcome"] for read in log[-2:]] == ["broken", "open"]


async def transactions_log(one: Any) -> list[dict[str, Any]]:
    reads = (await one.http.get("/sandbox/reads")).json()
    log: list[dict[str, Any]] = next(entry["log"] for entry in reads if entry["resource"].startswith("transactions/"))
    return log


async def test_reads_are_counted_with_their_range(adult: Any) -> None:
    await adult.feed(limit=50, **{"from": "2026-02-01"})
    await adult.feed_page(limit=5)
    await adult.get("/z-miles/ledger", after_id=3)
    reads = {entry["resource"]: entry for entry in (await adult.http.get("/sandbox/reads")).json()}
    feed = reads[f"transactions/{adult.ibans[0]}"]
    assert (feed["reads"], feed["complete"], feed["in_progress"]) == (4, 3, 1)
    assert feed["log"][2]["range"] == {"from": "2026-02-01"}
    assert [read["outcome"] for read in feed["log"]] == ["complete", "complete", "complete", "open"]
    assert reads["points"]["log"][-1]["range"] == {"after_id": 3}


async def test_a_304_shows_what_it_stands_for(adult: Any) -> None:
    (change,) = await adult.mutate("transactions", "amend", age_days=0)
    tag = (await adult.feed_page(limit=100)).headers["etag"]
    same = await adult.feed_page(limit=100, headers={"If-None-Match": tag})
    assert same.status_code == 304
    served = (await adult.truth())["changes"][change["n"] - 1]["served"]
    assert served == {"first": 3, "last": 4, "reads": [[3, 4]]}


async def test_settling_wants_every_resource_of_whoever_is_logged_in(bank: Any, adult: Any) -> None:
    async def settled(**params: Any) -> Any:
        return (await adult.http.get("/sandbox/settled", params=params)).json()

    assert (await settled(k=2))["settled"]
    await adult.mutate("loyalty", "earn")
    after = await settled(k=1)
    assert not after["settled"]
    assert {entry["resource"] for entry in after["missing"]} == set(resources_of(bank.life("adult")))
    await adult.read_everything()
    assert (await settled(k=1))["settled"]
    assert not (await settled())["settled"]
    assert (await settled(k=1, domains="loyalty"))["settled"]


async def test_a_feed_of_numbered_pages_is_settled_though_its_last_page_is_not_asked_for(adult: Any) -> None:
    """A client that knows what stands on the later ones stops: nobody else can tell that it has read enough."""
    for _ in range(12):
        await adult.mutate("investments", "buy")

    async def missing() -> set[str]:
        answer = (
            await adult.http.get("/sandbox/settled", params={"k": 2, "domains": "investments,transactions"})
        ).json()
        return {entry["resource"] for entry in answer["missing"]}

    for _ in range(2):
        await adult.read_everything()
    await adult.mutate("investments", "buy")
    for number in range(3):
        await adult.get("/invest/v1/portfolio")
        page = (await adult.get("/invest/v1/orders", page=0, size=10)).json()
        assert page["totalPages"] > 1
        assert ("orders" in await missing()) is (number < 2), (
            "the last one is known to have arrived once the next began"
        )


async def test_nobody_logged_in_is_not_settled(http: Any) -> None:
    assert not (await http.get("/sandbox/settled")).json()["settled"]


async def test_after_settling_nothing_is_pending(bank: Any, visitor: Any) -> None:
    people = [await visitor(label).log_in() for label in bank.labels()]
    for _ in range(3):
        bank.step(4)
        for person in people:
            await person.read_everything()
    bank.step(2)
    for _ in range(3):
        for person in people:
            await person.read_everything()
    assert (await people[0].http.get("/sandbox/settled")).json()["settled"]
    total = {"observable": 0, "coalesced": 0}
    for person in people:
        for domain in ("account", "transactions", "cards", "investments", "lending", "loyalty"):
            counts = (await person.truth(domain))["counts"]
            assert (counts["pending"], counts["uncertain"]) == (0, 0)
            assert counts["observable"] + counts["coalesced"] == counts["changes"]
            total = {name: total[name] + counts[name] for name in total}
    assert total["observable"] > total["coalesced"] > 0


async def test_calls_show_what_was_never_asked(adult: Any, visitor: Any) -> None:
    await visitor("teen").log_in()
    totals = (await adult.http.get("/sandbox/calls")).json()["totals"]
    asked = {(call["path"], call["msisdn"]) for call in totals}
    assert ("/advance-cash/inquiry", adult.spec.msisdn) in asked
    assert ("/advance-cash/inquiry", visitor("teen").spec.msisdn) not in asked
    assert ("/accounts/{iban}/transactions", adult.spec.msisdn) in asked


async def test_truth_follows_an_entity_through_its_ids(adult: Any) -> None:
    (entered,) = await adult.mutate("transactions", "add", pending=True)
    (posted,) = await adult.mutate("transactions", "post", way="replaces", entity=entered["entity"])
    present = (await adult.truth())["present"][entered["entity"]]
    assert posted["entity"] == entered["entity"]
    assert present["ids"] == [entered["entity"], posted["body"]["id"]]
    assert "balance_after" not in present["body"]


async def test_present_is_what_the_bank_shows(bank: Any, adult: Any) -> None:
    bank.step(10)
    present = {entry["body"]["id"]: entry["body"] for entry in (await adult.truth())["present"].values()}
    shown = {item["id"]: {k: v for k, v in item.items() if k != "balance_after"} for item in await adult.feed()}
    assert present == shown
    points = {entry["body"]["id"]: entry["body"] for key, entry in (await adult.truth("loyalty"))["present"].items() if
              key.startswith("points/")}  # fmt: skip
    assert points == {entry["id"]: entry for entry in await adult.points()}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/sandbox/step", {"n": 0}, 400),
        ("POST", "/sandbox/step", {"steps": 1}, 400),
        ("POST", "/sandbox/mutate", {"holder": "adult"}, 400),
        ("POST", "/sandbox/mutate", {"holder": "nobody", "domain": "loyalty", "op": "earn"}, 409),
        ("GET", "/sandbox/truth?domains=crypto", None, 409),
        ("GET", "/sandbox/truth?holder=nobody", None, 409),
        ("GET", "/sandbox/settled?k=many", None, 409),
        ("GET", "/sandbox/otp?msisdn=nobody", None, 409),
        ("DELETE", "/sandbox/faults?id=x", None, 409),
    ],
)
async def test_a_driver_is_told_what_it_asked_wrongly(
    http: Any, method: str, path: str, body: Any, status: int
) -> None:
    assert (await http.request(method, path, json=body)).status_code == status


async def test_a_step_says_what_it_changed(http: Any) -> None:
    answer = (await http.post("/sandbox/step", json={"n": 2})).json()
    assert answer["changes"]
    assert {"msisdn", "domain", "n", "entity", "version", "op", "at", "iban", "body"} <= set(answer["changes"][0])
    health = (await http.get("/sandbox/health")).json()
    assert (health["status"], health["mode"], health["ledger_now"]) == ("ok", "lockstep", answer["ledger_now"])
