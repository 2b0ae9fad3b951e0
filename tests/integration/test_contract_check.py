"""The check of answers against the contract does find an answer that breaks it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.contract import DOCUMENT, Contract, ContractError

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
