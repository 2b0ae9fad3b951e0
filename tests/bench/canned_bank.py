"""A bank in a process of its own that serves canned pages: as little work as a bank can have.

It answers `/me` and the transaction feed as the contract says (keyset cursors, entity tags, 304), and nothing else. A
holder's token is their number. `POST /canned/show/<n>` has every feed show its oldest n entries from then on.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from email.utils import format_datetime
from urllib.parse import parse_qsl
from urllib.request import Request, urlopen

from tests.bench.bank_process import ENDING_SECONDS, bank_process
from tests.bench.feed import NEWEST, CannedFeed, CannedPage, iban_of, invent_history, profile_of

API = "/zindigi/v2"
TOKEN = "holder-"
_DATE = format_datetime(NEWEST + timedelta(minutes=30), usegmt=True)
_FEED = re.compile(rf"{API}/accounts/([A-Z0-9]+)/transactions")


@dataclass(frozen=True, slots=True)
class BankSpec:
    """What is served: `histories` different feeds of `entries` each, shared by `holders` in turn."""

    seed: int
    holders: int
    histories: int
    entries: int
    tags: bool = True


class CannedBank:
    """Answers to requests, as bytes."""

    def __init__(self, spec: BankSpec) -> None:
        histories = min(spec.histories, spec.holders)
        feeds = [CannedFeed(invent_history(spec.seed, number, spec.entries)) for number in range(histories)]
        self._spec = spec
        self._feeds = {iban_of(number): feeds[number % histories] for number in range(spec.holders)}
        self._shown = spec.entries

    def answer(self, head: str) -> bytes:
        """The whole response to a request that is all head."""
        line, *lines = head.split("\r\n")
        method, target, _ = line.split(" ")
        headers = {name.lower(): value for name, _, value in (text.partition(": ") for text in lines)}
        path, _, query = target.partition("?")
        if method == "POST":
            self._shown = int(path.rpartition("/")[2])
            return _response(204, b"")
        known_tag = headers.get("if-none-match")
        if path == f"{API}/me":
            number = int(headers["authorization"].rpartition(TOKEN)[2])
            return self._page_response(CannedPage.of(profile_of(number)), known_tag)
        match = _FEED.fullmatch(path)
        if match is None or match[1] not in self._feeds:
            return _response(404, b'{"code":"NOT_FOUND","message":"There is no such thing."}')
        asked = dict(parse_qsl(query))
        page = self._feeds[match[1]].page(
            self._shown, asked.get("cursor"), asked.get("from"), int(asked.get("limit", "50"))
        )
        return self._page_response(page, known_tag)

    def _page_response(self, page: CannedPage | None, known_tag: str | None) -> bytes:
        if page is None:
            return _response(400, b'{"code":"CURSOR_INVALID","message":"The cursor is not valid."}')
        if not self._spec.tags:
            return _response(200, page.body)
        if known_tag == page.etag:
            return _response(304, b"", page.etag)
        return _response(200, page.body, page.etag)


def _response(status: int, body: bytes, tag: str | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} {'OK' if status == 200 else 'Other'}", f"Date: {_DATE}"]
    if tag is not None:
        lines.append(f"ETag: {tag}")
    if status not in {204, 304}:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


class _Connection(asyncio.Protocol):
    def __init__(self, bank: CannedBank) -> None:
        self._bank = bank
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            self._transport.write(self._bank.answer(head.decode()))  # type: ignore[attr-defined]


async def _serve(spec: BankSpec) -> None:
    bank = CannedBank(spec)
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(bank), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@dataclass(frozen=True, slots=True)
class RunningBank:
    """A canned bank that is up."""

    base_url: str

    def show(self, entries: int) -> None:
        """Have every feed show its oldest `entries`."""
        request = Request(f"{self.base_url}/canned/show/{entries}", method="POST")  # noqa: S310  # loopback http
        with urlopen(request, timeout=ENDING_SECONDS):  # noqa: S310  # loopback http
            pass


@contextmanager
def running_bank(spec: BankSpec) -> Iterator[RunningBank]:
    """A canned bank in its own process, ended with the block."""
    numbers = (spec.seed, spec.holders, spec.histories, spec.entries, int(spec.tags))
    with bank_process(__name__, numbers) as base_url:
        yield RunningBank(base_url)


if __name__ == "__main__":
    seed, holders, histories, entries, tags = (int(argument) for argument in sys.argv[1:])
    asyncio.run(_serve(BankSpec(seed, holders, histories, entries, bool(tags))))
