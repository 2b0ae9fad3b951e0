"""Between HTTP and the backends: who is asking, what goes wrong on the way, and what was really served."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import format_datetime
from typing import TYPE_CHECKING, TypeAlias

import orjson
from starlette.responses import Response

from connector.sandbox.delivery import Broken, Trickle, broken_delivery
from connector.sandbox.faults import Backend, Target
from connector.sandbox.replies import Refusal, Reply, Visit, bad_request
from connector.sandbox.tampering import Outcome, arrive, tamper, tamper_reply
from connector.sandbox.wire import Json, dumps, etag

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from starlette.requests import Request

    from connector.sandbox.core import Bank

BASE_PATH = "/zindigi/v2"
_SEMVER = re.compile(r"^(\d{1,4})\.(\d{1,4})\.(\d{1,4})$")
_SERVER_ERRORS = {500: "INTERNAL", 502: "BAD_GATEWAY", 503: "UNAVAILABLE"}
_LONGEST_BODY = 16_384


@dataclass(frozen=True, slots=True)
class Call:
    """A request, as backends see it. `msisdn` is whoever it concerns, as far as that is known."""

    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    parts: Mapping[str, str]
    body: Json
    target: Target
    msisdn: str | None = None

    @property
    def holder(self) -> str:
        """The msisdn of an authorised caller."""
        if self.msisdn is None:
            raise Refusal(401, "SESSION_ENDED", "Please log in.")
        return self.msisdn

    @property
    def access(self) -> str | None:
        """The bearer token."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token if scheme.lower() == "bearer" and token else None

    @property
    def device_id(self) -> str:
        """The device that the call says it comes from."""
        device_id = self.headers.get("x-device-id", "")
        if not device_id:
            raise bad_request("X-Device-Id is missing.")
        return device_id


Delivery: TypeAlias = "Response | Broken | Trickle"
Answer: TypeAlias = "Callable[[Bank, Call], Reply]"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation of one backend, with the query parameters it knows.

    `visit` says which resource a call reads, where it reads one; `identify` whom it concerns, allowed or not; `refuse`
    is how the backend puts a refusal.
    """

    method: str
    path: str
    backend: Backend
    answer: Answer
    needs_session: bool = True
    visit: Callable[[Bank, Call], Visit] | None = None
    query: frozenset[str] = frozenset()
    refuse: Callable[[Refusal, datetime], Reply] = field(default=lambda refusal, _: refusal.reply())
    identify: Callable[[Bank, Call], str | None] = field(
        default=lambda bank, call: bank.desk.holder_of(access=call.access)
    )


async def handle(bank: Bank, endpoint: Endpoint, request: Request) -> Delivery:
    """Answer one request."""
    bank.catch_up()
    call = await _call(bank, endpoint, request)
    params = bank.faults.fire("latency", call.target)
    if params is not None:
        await bank.clock.sleep(params.seconds)
        bank.catch_up()
    gone = params is not None and await request.is_disconnected()
    visit: Visit | None = None
    try:
        visit = endpoint.visit(bank, call) if endpoint.visit and call.msisdn else None
        _strike(bank, endpoint, call)
        if endpoint.needs_session:
            bank.desk.authorise(call.access or "", call.device_id)
        unknown = set(call.query) - endpoint.query
        if unknown:
            raise _unknown_parameter(unknown)
        reply = endpoint.answer(bank, call)
    except Refusal as refusal:
        reply = endpoint.refuse(refusal, bank.ledger_now())
    bank.record_call(endpoint.method, endpoint.path, call.msisdn, reply.status)
    if reply.page is None and visit is not None:
        bank.watch.fail(visit)
    return _deliver(bank, call, reply, gone=gone)


async def _call(bank: Bank, endpoint: Endpoint, request: Request) -> Call:
    path = request.url.path.removeprefix(BASE_PATH)
    target = Target(endpoint.backend, path)
    body = _parse(await request.body()) if endpoint.method == "POST" else None
    call = Call(path, request.headers, request.query_params, request.path_params, body, target)
    msisdn = endpoint.identify(bank, call)
    if msisdn not in bank.lives:
        return call
    holder = (msisdn, bank.lives[msisdn].spec.label)
    return Call(path, call.headers, call.query, call.parts, body, Target(endpoint.backend, path, holder), msisdn)


def _parse(raw: bytes) -> Json:
    if len(raw) > _LONGEST_BODY:
        return None
    try:
        parsed: Json = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return parsed


def _unknown_parameter(names: set[str]) -> Refusal:
    return bad_request(f"There is no parameter {min(names)[:40]!r}.")


def _strike(bank: Bank, endpoint: Endpoint, call: Call) -> None:
    """The faults that befall a call before its backend sees it, and the checks of the front door itself."""
    fire = bank.faults.fire
    if params := fire("app_upgrade", call.target):
        raise _upgrade(params.minimum)
    _check_app(call, bank.scenario.front_door.minimum_app)
    if params := fire("rate_limit", call.target):
        wait = {"Retry-After": str(1 if params.retry_after is None else params.retry_after)}
        raise Refusal(429, "RATE_LIMITED", "Too many requests.", headers=wait)
    if params := fire("server_error", call.target):
        headers = {} if params.retry_after is None else {"Retry-After": str(params.retry_after)}
        status = params.status or 503
        code = params.code or _SERVER_ERRORS.get(status, "INTERNAL")
        raise Refusal(status, code, "Something went wrong on our side.", headers=headers)
    if call.msisdn is not None:
        _strike_session(bank, endpoint, call, call.msisdn)


def _strike_session(bank: Bank, endpoint: Endpoint, call: Call, msisdn: str) -> None:
    fire = bank.faults.fire
    if params := fire("pin_lock", call.target):
        bank.desk.lock(
            msisdn, params.seconds if "seconds" in params.model_fields_set else bank.scenario.front_door.lock_seconds
        )
    if fire("device_unbound", call.target):
        bank.desk.unbind_devices(msisdn)
        raise Refusal(403, "DEVICE_UNBOUND", "This device is not bound to the account.")
    if endpoint.path != "/auth/session" and fire("session_ended", call.target):
        bank.desk.end_sessions(msisdn)
    if endpoint.needs_session and fire("expire_token", call.target):
        bank.desk.expire_access(msisdn)


def _check_app(call: Call, minimum: str) -> None:
    given = _SEMVER.match(call.headers.get("x-app-version", ""))
    if given is None:
        raise bad_request("X-App-Version is missing or is no version.")
    if tuple(map(int, given.groups())) < tuple(map(int, minimum.split("."))):
        raise _upgrade(minimum)


def _upgrade(minimum: str) -> Refusal:
    return Refusal(426, "APP_UPGRADE_REQUIRED", "Please update the app.", {"minimum": minimum})


def _deliver(bank: Bank, call: Call, reply: Reply, *, gone: bool) -> Delivery:
    page = reply.page
    outcome: Outcome | None = None
    if page is not None:
        outcome = tamper(bank, call.target, page)
        body: Json = outcome.body
    else:
        body = tamper_reply(bank, call.target, reply.body) if reply.status == 200 else reply.body
    content = b"" if reply.status == 204 else dumps(body)
    broken = broken_delivery(bank.faults, call.target, content) if reply.status == 200 else None
    if page is not None and outcome is not None:
        _watch(bank, page.visit, outcome, page.total, intact=broken is None and not gone)
        arrive(bank, call.target, page)
    if broken is not None:
        return broken
    # The bank's own clock is the ledger's: what it serves is measured by it (RFC 9110, Date).
    date = format_datetime(bank.ledger_now().astimezone(UTC), usegmt=True)
    headers = {"content-type": "application/json", "date": date, **reply.headers}
    if reply.status == 200 and reply.cacheable:
        headers["etag"] = etag(content)
        if headers["etag"] in _tags(call.headers.get("if-none-match", "")):
            return Response(status_code=304, headers={"etag": headers["etag"], "date": date})
    if reply.status == 204:
        return Response(status_code=204, headers=dict(reply.headers))
    response = Response(content, reply.status, headers)
    slow = bank.faults.fire("trickle", call.target)
    return response if slow is None else Trickle(response, slow.seconds, bank.clock)


def _watch(bank: Bank, visit: Visit, outcome: Outcome, total: int | None, *, intact: bool) -> None:
    if not intact:
        bank.watch.fail(visit)
        return
    read = bank.watch.serve(visit, outcome.shown, outcome.next_token)
    read.tampered = read.tampered or outcome.tampered
    shifted = read.pages > 1 and read.total != total
    read.mutated = read.mutated or outcome.cursor_repeated or shifted
    read.total = total


def _tags(header: str) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in header.split(",")}
