"""The shared bank is the sandbox: what it answers from memory is what it would answer, until it lives on."""

from __future__ import annotations

import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.bench.canned_bank import API, TOKEN
from tests.bench.shared_bank import Asked, RunningSharedBank, running_shared_bank, shared_scenario

SEED = 7


def ask(bank: RunningSharedBank, number: int, path: str, tag: str = "", content: bytes | None = None) -> Any:
    """Status, entity tag and body."""
    headers = {"Authorization": f"Bearer {TOKEN}{number}", "X-Device-Id": "any", "X-App-Version": "4.2.0"}
    if tag:
        headers["If-None-Match"] = tag
    request = Request(f"{bank.base_url}{API}{path}", content, headers)  # noqa: S310  # loopback http
    try:
        answer = urlopen(request, timeout=10)  # noqa: S310  # loopback http
    except HTTPError as refused:
        answer = refused
    with answer:
        body = answer.read()
        return answer.status, answer.headers["ETag"], json.loads(body) if body else None


def test_accounts_read_the_life_of_their_number_until_it_goes_on() -> None:
    with running_shared_bank(SEED, 1) as bank:
        profiles = [ask(bank, number, "/me")[2] for number in range(bank.lives + 1)]
        told = [profile["holder"]["msisdn"] for profile in profiles]
        assert told[:-1] == [spec.msisdn for spec in shared_scenario(1).holders]
        assert profiles[-1] == profiles[0]
        assert ask(bank, 0, "/no-such-thing")[0] == 404
        feeds = [f"/accounts/{profile['accounts'][0]['iban']}/transactions?limit=100" for profile in profiles]
        pages = [ask(bank, number, feed) for number, feed in enumerate(feeds)]
        status, tag, page = pages[0]
        assert (status, page) == (200, pages[bank.lives][2])
        assert ask(bank, bank.lives, feeds[0], tag)[0] == 304
        # Nobody is shown what is another's.
        assert ask(bank, 1, feeds[0])[0] == 404
        stepped = bank.step(24)
        assert stepped.hours >= 24
        again = [ask(bank, number, feed) for number, feed in enumerate(feeds)]
        changed = {life for life, domain in stepped.changes if domain == "transactions"}
        assert changed
        assert {life for life in range(bank.lives) if again[life] != pages[life]} == changed


def test_it_notes_what_it_is_asked_when_told_to() -> None:
    with running_shared_bank(SEED, 1) as bank:
        ask(bank, 0, "/me")
        bank.record()
        ask(bank, 1, "/z-miles/ledger?after_id=3", tag='"x"')
        ask(bank, 2, "/advance-cash/inquiry", content=b'{"CHANNEL":"APP"}')
        told = bank.recorded()
        ask(bank, 0, "/me")
        assert told == [
            Asked(1, f"{API}/z-miles/ledger?after_id=3", '"x"', None),
            Asked(2, f"{API}/advance-cash/inquiry", None, '{"CHANNEL":"APP"}'),
        ]
        assert bank.recorded() == []


def test_most_of_its_people_may_hold_everything() -> None:
    holders = shared_scenario(3).holders
    adults = [spec for spec in holders if not spec.minor and spec.tier != "L0"]
    assert len(adults) > len(holders) / 2
    assert {spec.persona for spec in holders} - {spec.persona for spec in adults}
