"""The sandbox bank in a process of its own, each of whose few lives is shared by many accounts.

The account with the token `holder-<n>` reads the life n modulo their number, by that life's session. What was answered
is given again, from memory, as long as nobody has the bank do anything: the bank is to be no bottleneck. Between
`POST /shared/record` and `GET /shared/recorded` it notes what it is asked.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.request import Request, urlopen

import orjson
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connector.sandbox.core import Bank
from connector.sandbox.replies import Refusal
from connector.sandbox.scenario import FrontDoor, HolderSpec, Scenario, load_scenario
from connector.sandbox.server import serve
from connector.sandbox.sessions import LoginRequest
from tests.bench.bank_process import bank_process
from tests.bench.canned_bank import TOKEN

FIRST_NUMBER = 101
STEP_SECONDS = 3600.0
CONTROL_SECONDS = 120.0
FOR_EVER = 1e9


def shared_scenario(adults: int) -> Scenario:
    """The people of the demonstration; an hour of their lives a step, and sessions for good.

    Of each kind of person who may hold everything there are `adults`, of any other kind there is one.
    """
    told = load_scenario("demo")
    kinds = [spec for spec in told.holders for _ in range(1 if spec.minor or spec.tier == "L0" else adults)]
    return Scenario(
        title="shared",
        mode="lockstep",
        opens_on=told.opens_on,
        history_days=told.history_days,
        step_seconds=STEP_SECONDS,
        rates=told.rates,
        front_door=FrontDoor(token_seconds=FOR_EVER, refresh_seconds=FOR_EVER),
        holders=tuple(_another(spec, FIRST_NUMBER + place) for place, spec in enumerate(kinds)),
    )


def _another(spec: HolderSpec, number: int) -> HolderSpec:
    """Somebody else of the same kind."""
    return spec.model_copy(
        update={"label": f"{spec.label}-{number}", "msisdn": f"+92300{number:07d}", "cnic": f"42000-{number:07d}-1"}
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: whose, for what (path with query), with which entity tag and which body."""

    number: int
    target: str
    tag: str | None
    content: str | None


@dataclass(frozen=True, slots=True)
class _Login:
    access: bytes
    device: bytes


class SharedBank:
    """An application before the sandbox's."""

    def __init__(self, app: Starlette) -> None:
        self._app = app
        bank: Bank = app.state.bank
        self._logins = [_log_in(bank, spec) for spec in bank.scenario.holders]
        self._answers: dict[tuple[int, str, str | None, bytes], list[Message]] = {}
        self._asked: list[Asked] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"]
        if path.startswith("/shared/"):
            told, self._asked = self._asked, [] if path == "/shared/record" else None
            await _respond(send, [[one.number, one.target, one.tag, one.content] for one in told or ()])
        elif path.startswith("/sandbox/"):
            self._answers.clear()
            await self._app(scope, receive, send)
        else:
            await self._share(scope, receive, send)

    async def _share(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        number = int(headers[b"authorization"].decode().rpartition(TOKEN)[2])
        life = number % len(self._logins)
        content = await _body(receive)
        query = scope["query_string"].decode()
        target = f"{scope['raw_path'].decode()}?{query}" if query else scope["raw_path"].decode()
        tag = headers[b"if-none-match"].decode() if b"if-none-match" in headers else None
        if self._asked is not None:
            self._asked.append(Asked(number, target, tag, content.decode() or None))
        question = (life, target, tag, content)
        if question not in self._answers:
            login = self._logins[life]
            told = {**headers, b"authorization": b"Bearer " + login.access, b"x-device-id": login.device}
            self._answers[question] = await _answer(self._app, {**scope, "headers": list(told.items())}, content)
        for message in self._answers[question]:
            await send(message)


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


async def _answer(app: ASGIApp, scope: Scope, content: bytes) -> list[Message]:
    """Everything that an application sends in answer to a request."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def _respond(send: Send, body: Any) -> None:
    content = orjson.dumps(body)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _log_in(bank: Bank, spec: HolderSpec) -> _Login:
    request = LoginRequest(spec.msisdn, f"device-{spec.label}", spec.pin)
    try:
        granted = bank.desk.login(request)
    except Refusal:
        # A device that the bank does not know yet: it has sent a one-time password.
        message = bank.desk.messages[-1]
        granted = bank.desk.login(replace(request, otp=message.otp, challenge_id=message.challenge_id))
    if not isinstance(granted, dict):
        raise TypeError("a grant is a JSON object")
    return _Login(str(granted["access_token"]).encode(), request.device_id.encode())


@dataclass(frozen=True, slots=True)
class Stepped:
    """What the bank did: over how much ledger time, how many changes by (number of the life, domain).

    Counted is what can be seen after it, in resources that were ever read.
    """

    hours: float
    changes: dict[tuple[int, str], int]


@dataclass(frozen=True, slots=True)
class RunningSharedBank:
    """A shared bank that is up. `lives` is how many it has."""

    base_url: str
    lives: int

    def step(self, steps: int) -> Stepped:
        """Let its lives go on; each step is an hour, or more where nothing happens in one."""
        before = datetime.fromisoformat(self._control("GET", "/sandbox/health")["ledger_now"])
        told = self._control("POST", "/sandbox/step", {"n": steps})
        hours = (datetime.fromisoformat(told["ledger_now"]) - before).total_seconds() / 3600
        shown = {(read["msisdn"], read["resource"]) for read in self._control("GET", "/sandbox/reads")}
        # Some of what the bank does it shows to nobody: what a card of a minor was used for. And a balance that moved
        # several times in a step is seen once.
        seen = {
            (change["msisdn"], change["domain"], change["entity"], 0 if change["derived"] else change["version"])
            for change in told["changes"]
            if (change["msisdn"], change["resource"]) in shown
        }
        changes = Counter((int(msisdn[-7:]) - FIRST_NUMBER, domain) for msisdn, domain, *_ in seen)
        return Stepped(hours, dict(changes))

    def record(self) -> None:
        """Note from now on what is asked."""
        self._control("POST", "/shared/record")

    def recorded(self) -> list[Asked]:
        """What was asked since `record`; notes nothing more."""
        return [Asked(*one) for one in self._control("GET", "/shared/recorded")]

    def _control(self, method: str, path: str, body: Any = None) -> Any:
        content = None if body is None else orjson.dumps(body)
        request = Request(f"{self.base_url}{path}", content, method=method)  # noqa: S310  # loopback http
        with urlopen(request, timeout=CONTROL_SECONDS) as response:  # noqa: S310  # loopback http
            return orjson.loads(response.read())


@contextmanager
def running_shared_bank(seed: int, adults: int) -> Iterator[RunningSharedBank]:
    """A shared bank in its own process, ended with the block."""
    with bank_process(__name__, (seed, adults)) as base_url:
        yield RunningSharedBank(base_url, len(shared_scenario(adults).holders))


if __name__ == "__main__":
    asyncio.run(
        serve(
            shared_scenario(int(sys.argv[2])),
            seed=int(sys.argv[1]),
            ready=lambda port: print(port, flush=True),
            around=SharedBank,
        )
    )
