"""Every surface against every status: only 200 shows anything, and only a code of the contract says anything."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from connector.errors import (
    ActionRequiredError,
    ConnectorError,
    DataError,
    ForbiddenError,
    RateLimitedError,
    TokenError,
    UnavailableError,
)
from connector.ports import Page, PageRequest
from connector.sources.zindigi.surfaces import surfaces
from tests.support.scripted_bank import ACCOUNT, Bench, assert_nothing_planted, resource
from tests.support.wire_samples import BANK_ACCOUNT, ENVELOPES, ME, encode
from tests.unit.sources.test_refusals import MEANINGS, STATUSES

pytestmark = pytest.mark.anyio

KINDS = sorted(surfaces())
GOOD: dict[str, bytes] = {
    **{name: encode(wrap(item)) for name, (wrap, item) in ENVELOPES.items()},
    "holder": encode(ME),
    "bank_account": encode(BANK_ACCOUNT),
}


@dataclass
class Told:
    """What a bank that always answers the same got out of the client."""

    error: ConnectorError
    refreshes: int
    calls: int


async def told(kind: str | None, answer: httpx.Response) -> Told:
    """The error of a read of the kind (None: the profile) at a bank that gives one answer to all reads."""
    bench = Bench()
    bench.hold_session()
    generation = bench.vault.sessions[ACCOUNT].generation
    for method, path in PATHS[kind]:
        bench.bank.always(method, path, answer)
    asked = (
        bench.source.fetch_profile(ACCOUNT) if kind is None else bench.source.fetch_page(resource(kind), PageRequest())
    )
    with pytest.raises(ConnectorError) as caught:
        await asked
    assert_nothing_planted(str(caught.value))
    refreshes = bench.bank.count("/auth/refresh")
    assert bench.vault.sessions[ACCOUNT].generation == generation + refreshes
    return Told(caught.value, refreshes, len(bench.bank.requests))


def _path(kind: str) -> tuple[str, str]:
    call = surfaces()[kind].call(Bench().options, resource(kind), PageRequest())
    return call.method, call.path


PATHS: dict[str | None, list[tuple[str, str]]] = {None: [("GET", "/me")], **{kind: [_path(kind)] for kind in KINDS}}
WITHOUT_A_CODE: list[tuple[bytes, str | None]] = [
    (b"<html>planted</html>", "text/html; charset=utf-8"),
    (b"", None),
    (b'{"planted": 1}', "application/json"),
    (b'{"code": "SOMETHING_NEW", "message": "planted"}', "application/json"),
    (b'{"errorCode": "BRK-999", "errorMessage": "planted"}', "application/json"),
    (b'{"RESPONSE_CODE": "77", "RESPONSE_DESC": "planted", "DATA": null}', "application/json"),
]


@pytest.mark.parametrize("kind", [None, *KINDS])
async def test_no_status_without_a_code_is_more_than_away(kind: str | None) -> None:
    for status in STATUSES:
        bodies = [*WITHOUT_A_CODE, (GOOD[kind or "holder"], "application/json")]
        for body, media in bodies if status != 200 else ():
            headers = {"Content-Type": media} if media else {}
            found = await told(kind, httpx.Response(status, content=body, headers=headers))
            assert type(found.error) is (RateLimitedError if status == 429 else UnavailableError), (status, body)
            assert (found.refreshes, found.calls) == (0, 1)


@pytest.mark.parametrize("kind", [None, *KINDS])
@pytest.mark.parametrize(
    ("body", "media"),
    [
        (b"<html>planted</html>", "text/html"),
        (b"", None),
        (b"planted: back soon", "text/plain"),
        (None, "text/html"),
        (None, " TEXT/HTML; charset=utf-8"),
    ],
)
async def test_a_page_of_maintenance_with_200_is_away(kind: str | None, body: bytes | None, media: str | None) -> None:
    content = GOOD[kind or "holder"] if body is None else body
    found = await told(kind, httpx.Response(200, content=content, headers={"Content-Type": media} if media else {}))
    assert type(found.error) is UnavailableError


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b'{"maintenance": true}', b'{"code": "MAINTENANCE"}'])
async def test_json_that_is_no_answer_of_the_surface_shows_nothing(kind: str, body: bytes) -> None:
    bench = Bench()
    bench.hold_session()
    for method, path in PATHS[kind]:
        bench.bank.always(method, path, httpx.Response(200, content=body))

    async def read() -> Page:
        page = await bench.source.fetch_page(resource(kind), PageRequest())
        return bench.source.normalise(resource(kind), page.body or b"")

    with pytest.raises((UnavailableError, DataError)):
        await read()


@pytest.mark.parametrize("kind", [None, *KINDS])
async def test_a_code_of_the_contract_means_what_it_says(kind: str | None) -> None:
    for (status, code), (error, reason) in MEANINGS.items():
        if code.startswith(("OTP_REQ", "OTP_INV", "OTP_EXP", "PIN_", "REFRESH_")):
            continue
        for name in ("code", "errorCode"):
            answer = httpx.Response(status, content=json.dumps({name: code, "message": "planted"}).encode())
            found = await told(kind, answer)
            if error is TokenError:
                # A new token is refused as well: then it is not the token.
                assert (type(found.error), found.refreshes) == (UnavailableError, 1)
                continue
            assert type(found.error) is error, (status, code)
            assert getattr(found.error, "reason", None) == reason
            assert found.refreshes == 0


@pytest.mark.parametrize("kind", [None, *KINDS])
async def test_nothing_changed_counts_only_where_it_was_asked_for(kind: str | None) -> None:
    found = await told(kind, httpx.Response(304))
    assert type(found.error) is UnavailableError


@pytest.mark.parametrize(
    ("code", "error"),
    [("05", ForbiddenError), ("68", UnavailableError), ("77", UnavailableError), ("", UnavailableError)],
)
async def test_the_lending_core_has_codes_of_its_own(code: str, error: type[ConnectorError]) -> None:
    body: dict[str, Any] = {"RESPONSE_CODE": code, "RESPONSE_DESC": "planted", "DATA": None}
    assert type((await told("loan", httpx.Response(200, content=json.dumps(body).encode()))).error) is error
    del body["RESPONSE_CODE"]
    assert type((await told("loan", httpx.Response(200, content=json.dumps(body).encode()))).error) is UnavailableError


async def test_a_firewall_asks_nothing_of_the_holder() -> None:
    for status in (401, 403, 423, 426):
        found = await told("transactions", httpx.Response(status, content=b"<html>planted</html>"))
        assert not isinstance(found.error, ActionRequiredError | ForbiddenError | TokenError)
