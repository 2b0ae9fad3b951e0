"""The check of answers against the contract does find an answer that breaks it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from connector.sandbox.app import create_app
from connector.sandbox.gateway import BASE_PATH
from tests.support.checked_bank import CheckedApp, around, opened_rig
from tests.support.contract import DOCUMENT, Contract, ContractError
from tests.support.world import people

FEED = "/accounts/PK36JSBL0000001123456702/transactions"
HEADERS = httpx.Headers({"content-type": "application/json", "etag": '"x"'})


def page() -> dict[str, Any]:
    described = DOCUMENT["paths"]["/accounts/{iban}/transactions"]["get"]["responses"]["200"]
    example: dict[str, Any] = json.loads(json.dumps(described["content"]["application/json"]["example"]))
    return example


BREAKS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "retyped": lambda body: body["items"][0].update(amount="-2500.00"),
    "missing": lambda body: body["items"][0].pop("status"),
    "envelope": lambda body: body.pop("next_cursor"),
}


def test_the_contract_s_own_example_passes() -> None:
    Contract().check("GET", FEED, 200, HEADERS, json.dumps(page()).encode())


@pytest.mark.parametrize("name", BREAKS)
def test_a_body_that_breaks_the_contract_is_found(name: str) -> None:
    body = page()
    BREAKS[name](body)
    with pytest.raises(ContractError):
        Contract().check("GET", FEED, 200, HEADERS, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("method", "path", "status", "headers"),
    [
        ("GET", FEED, 418, HEADERS),
        ("GET", "/nowhere", 200, HEADERS),
        ("PUT", FEED, 200, HEADERS),
        ("GET", FEED, 200, httpx.Headers({"content-type": "text/html", "etag": '"x"'})),
    ],
)
def test_an_answer_that_the_contract_does_not_know_is_found(
    method: str, path: str, status: int, headers: httpx.Headers
) -> None:
    with pytest.raises(ContractError):
        Contract().check(method, path, status, headers, json.dumps(page()).encode())


@pytest.mark.anyio
@pytest.mark.parametrize(("broken", "failures"), [(False, 0), (True, 1)])
async def test_a_bank_in_a_process_of_its_own_is_held_to_it_too(broken: bool, failures: int) -> None:
    failed: list[str] = []
    app = create_app(people("adult"), 1)
    checked = CheckedApp(app, failed.append)

    async def dropping_a_header(scope: Scope, receive: Receive, send: Send) -> None:
        async def without(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [header for header in message["headers"] if header[0] != b"content-type"]
            await send(message)

        await app(scope, receive, without)

    if broken:
        checked._app = dropping_a_header
    async with httpx.AsyncClient(transport=httpx.ASGITransport(checked), base_url="http://bank") as client:
        assert (await client.get(f"{BASE_PATH}/me")).status_code == 400
        assert (await client.get("/sandbox/holders")).status_code in {200, 403}
    assert len(failed) == failures


@pytest.mark.anyio
async def test_what_breaks_the_contract_in_a_process_fails_its_test(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="GET /me 200 is wrong"):
        async with opened_rig(tmp_path, "crash", seed=1):
            around(tmp_path / "bank.port")(create_app(people("adult"), 1))._failed("GET /me 200 is wrong")
