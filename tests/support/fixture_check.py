"""What the client makes of a recorded answer, and in what that differs from what it should be, field by field.

The answer goes through the whole client: HTTP, session, examination, normalisation. The contract has its say, too, for
what the client reads no further.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

import httpx

from connector.domains.model import Entry, Unreadable
from connector.errors import ConnectorError
from connector.ports import Page, PageRequest, Session
from connector.sources.zindigi.login import OtpRequest
from connector.sources.zindigi.refusals import Answer
from tests.support.contract import Contract
from tests.support.recorded import FIXTURES, Fixture, pretty
from tests.support.scripted_bank import ACCOUNT, MSISDN, Bench, refused, resource

CONTRACT = Contract()
_NAMED_PATH = re.compile(r"([A-Za-z_][\w.]*): ")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was recorded. `path` is where, `by` is who saw it."""

    by: Literal["client", "contract"]
    path: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return f"{'.'.join(self.path) or 'the page'}: {self.text} [{self.by}]"


async def check(fixture: Fixture, page: Any) -> list[Finding]:
    """Every finding about `page` in the place of the recorded one; none where all is well."""
    body = pretty(page)
    expected, outcome = fixture.outcome(), await outcome_of(fixture, body)
    findings = [
        Finding("contract", *fault) for fault in CONTRACT.faults(fixture.method, fixture.path, fixture.status, body)
    ]
    if "error" in outcome and "error" not in expected:
        # Everything is gone: to list that would name every field, and so none.
        return [*findings, *_named(outcome["error"]["text"], None), Finding("client", (), outcome["error"]["text"])]
    return [*findings, *_stated(outcome, expected), *differences(expected, outcome, ())]


async def outcome_of(fixture: Fixture, body: bytes) -> dict[str, Any]:
    """Records, profile, session or error, as plain JSON: what the client makes of the answer."""
    bench = Bench()
    answer = httpx.Response(fixture.status, content=body)
    outcome: dict[str, Any] = {}
    if not answer.is_success:
        outcome["code"] = Answer(fixture.status, body).code
    try:
        outcome |= await _ask(bench, fixture, answer, outcome)
    except ConnectorError as error:
        outcome["error"] = {"kind": type(error).__name__, "text": str(error), "reason": getattr(error, "reason", None)}
    finally:
        await bench.source.close()
    return outcome


async def _ask(bench: Bench, fixture: Fixture, answer: httpx.Response, outcome: dict[str, Any]) -> dict[str, Any]:
    if fixture.path in {"/auth/session", "/auth/otp/resend"}:
        return await _log_in(bench, fixture, answer, outcome)
    if fixture.path == "/auth/refresh":
        bench.hold_session(expires_in_seconds=0)
        bench.bank.add(fixture.method, fixture.path, answer)
        await bench.keeper.access_token(ACCOUNT)
        return {"session": _session(bench.vault.sessions[ACCOUNT])}
    bench.hold_session()
    bench.bank.always(fixture.method, fixture.path, answer)
    if fixture.kind is None:
        return {"profile": plain(asdict(await bench.source.fetch_profile(ACCOUNT)))}
    wanted = resource(fixture.kind)
    if wanted.part is not None:
        wanted = replace(wanted, part=fixture.part)
    raw = await bench.source.fetch_page(wanted, PageRequest())
    return _page(bench.source.normalise(wanted, raw.body or b""))


async def _log_in(bench: Bench, fixture: Fixture, answer: httpx.Response, outcome: dict[str, Any]) -> dict[str, Any]:
    """A login during which the bank gives this answer; what the holder was asked for on the way."""
    asked: list[dict[str, Any]] = []
    outcome["asked"] = asked
    challenge = pretty(FIXTURES["auth.otp-required"].page())
    if fixture.name in {"auth.otp-invalid", "auth.resend"}:
        bench.bank.add("POST", "/auth/session", httpx.Response(401, content=challenge))
    if fixture.name == "auth.resend":
        bench.bank.add("POST", "/auth/session", refused(401, "OTP_EXPIRED"))
    bench.bank.add("POST", fixture.path, answer)
    bench.bank.always("POST", "/auth/session", bench.bank.grant())

    async def ask_pin() -> str:
        return "0000"

    async def ask_otp(request: OtpRequest) -> str:
        # Under the names that the bank gives them.
        asked.append(
            {
                "channel": request.channel,
                "expires_in": request.expires_in_seconds,
                "attempts_left": request.attempts_left,
                "renewed": request.renewed,
            }
        )
        return "000000"

    session = await bench.source.log_in(MSISDN, ask_pin, ask_otp)
    sent = [json.loads(request.content).get("challenge_id") for request in bench.bank.requests]
    return {"challenge_id": sent, "session": _session(session)}


def _session(session: Session) -> dict[str, Any]:
    return {
        "access_token": session.access_token,
        "refresh_token": session.refresh_token,
        "access_expires_at": session.access_expires_at.isoformat(),
        "refresh_expires_at": session.refresh_expires_at.isoformat() if session.refresh_expires_at else None,
    }


def _page(page: Page) -> dict[str, Any]:
    return {
        "entries": {
            entry.record.entity_id: {
                "kind": entry.record.KIND,
                "booking_key": list(entry.record.booking_key),
                "settled": entry.record.settled,
                "record": plain(asdict(entry.record)),  # type: ignore[call-overload]  # records are dataclasses
            }
            for entry in page.entries
            if isinstance(entry, Entry)
        },
        "unreadable": [
            {"entity_id": entry.entity_id, "reason": entry.reason}
            for entry in page.entries
            if isinstance(entry, Unreadable)
        ],
        "next_cursor": page.next_cursor,
        **({} if page.total is None else {"total": page.total}),
        "unknown_fields": dict(page.unknown_fields),
    }


def plain(value: Any) -> Any:
    """A record's value as JSON; amounts as text, so that their scale shows."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


def _stated(outcome: dict[str, Any], expected: dict[str, Any]) -> Iterator[Finding]:
    """What the client itself names: entries that it cannot read, and another error than expected."""
    for unreadable in outcome.get("unreadable", ()):
        yield from _named(unreadable["reason"], unreadable["entity_id"])
    if outcome.get("error") != expected.get("error"):
        yield from _named(outcome.get("error", {}).get("text", ""), None)


def _named(reason: str, entity_id: str | None) -> Iterator[Finding]:
    for name in _NAMED_PATH.findall(reason):
        yield Finding("client", tuple(name.split(".")), f"{entity_id or 'no entity'}: {reason}")


def differences(expected: Any, found: Any, path: tuple[str, ...]) -> Iterator[Finding]:
    """Where two outcomes part. What one of them lacks is one finding, whatever there is below it."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in [*expected, *(key for key in found if key not in expected)]:
            inner = (*path, *(key.split(".") if path == ("unknown_fields",) else (key,)))
            if key not in found:
                yield Finding("client", inner, "is gone")
            elif key not in expected:
                yield Finding("client", inner, "was not there")
            else:
                yield from differences(expected[key], found[key], inner)
        if expected.keys() == found.keys() and list(expected) != list(found):
            yield Finding("client", path, "is in another order")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for number, (one, other) in enumerate(zip(expected, found, strict=True)):
            yield from differences(one, other, (*path, str(number)))
    elif expected != found:
        yield Finding("client", path, f"{expected!r} became {found!r}")
