"""The sandbox bank as a process, every answer of which is held against the contract before it goes out.

What breaks it stands in `contract.failures` beside the port file; `opened_rig` looks there at the end.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from starlette.types import Message, Receive, Scope, Send

from connector.proving.bank import main
from connector.proving.rig import Rig
from connector.sandbox.gateway import BASE_PATH
from tests.support.contract import Contract, ContractError, spoiled

FAILURES = "contract.failures"


class CheckedApp:
    """Passes answers of the bank through the contract; those that a fault spoiled on purpose, unchecked."""

    def __init__(self, app: Any, failed: Callable[[str], object]) -> None:
        self._app = app
        self._bank = app.state.bank
        self._contract = Contract()
        self._failed = failed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].startswith(BASE_PATH):
            await self._app(scope, receive, send)
            return
        started: Message = {}
        body = bytearray()
        spoiled_before = spoiled(self._bank)

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                started.update(message)
            elif message["type"] == "http.response.body":
                body.extend(message.get("body", b""))
                if not message.get("more_body", False) and spoiled(self._bank) == spoiled_before:
                    self._check(scope, started, bytes(body))
            await send(message)

        await self._app(scope, receive, noted)

    def _check(self, scope: Scope, started: Message, body: bytes) -> None:
        headers = httpx.Headers(started["headers"])
        path = scope["path"].removeprefix(BASE_PATH)
        try:
            self._contract.check(scope["method"], path, started["status"], headers, body)
        except ContractError as error:
            self._failed(str(error))


@asynccontextmanager
async def opened_rig(directory: Path, scenario: str, **options: Any) -> AsyncIterator[Rig]:
    """`Rig.open` with a bank that is held to its contract."""
    async with Rig.open(directory, scenario, bank_entry="tests.support.checked_bank", **options) as rig:
        yield rig
    failures = directory / FAILURES
    assert not failures.exists(), failures.read_text(encoding="utf-8")


def _append(path: Path, failure: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{failure}\n")


def around(port_file: Path) -> Callable[[Any], CheckedApp]:
    """Holds an app to the contract; failures go beside the port file."""
    return partial(CheckedApp, failed=partial(_append, port_file.with_name(FAILURES)))


if __name__ == "__main__":
    main(*sys.argv[1:], around=around(Path(sys.argv[3])))
