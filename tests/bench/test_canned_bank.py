"""The canned bank is a bank by its contract, and the same seed makes the same one."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import httpx
import pytest

from tests.bench.canned_bank import API, TOKEN, BankSpec, running_bank
from tests.bench.feed import CannedFeed, iban_of, invent_history
from tests.support.contract import Contract

SEED = 7
FEED = f"/accounts/{iban_of(1)}/transactions"


class Client:
    """Asks as the second holder, and holds every answer against the contract."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._contract = Contract()

    def ask(self, path: str, query: str = "", **headers: str) -> tuple[int, httpx.Headers, Any]:
        sent = {"Authorization": f"Bearer {TOKEN}1", **headers}
        request = Request(f"{self._base_url}{API}{path}{query}", headers=sent)  # noqa: S310  # loopback http
        try:
            answer = urlopen(request, timeout=10)  # noqa: S310  # loopback http
        except HTTPError as refused:
            answer = refused
        with answer:
            status, told, body = answer.status, httpx.Headers(dict(answer.headers)), answer.read()
        self._contract.check("GET", path, status, told, body)
        return status, told, json.loads(body) if body else None


def test_it_answers_as_the_contract_says() -> None:
    with running_bank(BankSpec(SEED, 2, 1, 120)) as bank:
        client = Client(bank.base_url)
        assert client.ask("/me")[2]["accounts"][0]["iban"] == iban_of(1)
        seen, query = [], "?limit=50"
        while query:
            _, _, page = client.ask(FEED, query)
            seen += page["items"]
            query = page["next_cursor"] and f"?limit=50&cursor={page['next_cursor']}"
        assert len({item["id"] for item in seen}) == 120
        balances = [(item["balance_after"], item["amount"]) for item in seen]
        for (newer, amount), (older, _) in pairwise(balances):
            assert round(newer * 100) == round(older * 100) + round(amount * 100)
        assert client.ask(FEED, "?cursor=nonsense")[0] == 400
        _, _, bounded = client.ask(FEED, "?limit=100&from=2026-02-28")
        assert 0 < len(bounded["items"]) < 100
        assert min(item["initiated_at"] for item in bounded["items"]) >= "2026-02-28"


@pytest.mark.parametrize("tags", [True, False])
def test_it_says_that_nothing_changed_where_it_has_tags(*, tags: bool) -> None:
    with running_bank(BankSpec(SEED, 2, 1, 20, tags)) as bank:
        bank.show(10)
        request = Request(f"{bank.base_url}{API}{FEED}", headers={"Authorization": f"Bearer {TOKEN}1"})  # noqa: S310  # loopback http
        with urlopen(request, timeout=10) as answer:  # noqa: S310  # loopback http
            tag = answer.headers["ETag"]
        assert (tag is not None) == tags
        if tag is not None:
            client = Client(bank.base_url)
            assert client.ask(FEED, **{"If-None-Match": tag})[0] == 304
            bank.show(11)
            assert client.ask(FEED, **{"If-None-Match": tag})[0] == 200


def test_what_was_not_shown_comes_up_as_one_new_entry() -> None:
    history = invent_history(SEED, 0, 12)
    feed = CannedFeed(history)
    ten, eleven = (json.loads(feed.page(shown, None, None, 100).body)["items"] for shown in (10, 11))
    assert eleven[1:] == ten
    assert eleven[0]["id"] == history[10].id


def test_the_same_seed_makes_the_same_bytes() -> None:
    first, again, other = (CannedFeed(invent_history(seed, 0, 12)).items for seed in (SEED, SEED, SEED + 1))
    assert first == again
    assert first != other
