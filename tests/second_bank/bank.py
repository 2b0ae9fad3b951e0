"""The second bank: an ASGI application made from the published contract alone.

It serves `Books` in a `Manner`, keeps sessions as the contract says, and lies only where a test lays an overlay over
its answers.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from email.utils import format_datetime
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qsl, unquote

from tests.second_bank.books import KARACHI, Books, Entry, Feed, Now
from tests.second_bank.manner import Manner
from tests.second_bank.surfaces import millis, printed

API = "/zindigi/v2"
TOKEN_LIFE = timedelta(seconds=600)


@dataclass(frozen=True, slots=True)
class Request:
    """A call, its path without the API's own."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """`value` is printed as JSON, bytes go out as they are. `tagged`: it may be asked for by its entity tag."""

    status: int
    value: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    tagged: bool = False


Overlay = Callable[[Request, Answer], Answer | None]
"""What is answered instead; None: the answer stands."""


@dataclass(slots=True)
class _Session:
    books: Books
    device: str
    access: str
    refresh: str
    good_until: datetime
    over: bool = False


class SecondBank:
    """Holders by number, and what stands between their books and who asks. Access tokens live for `token_life`.

    `date_offset` shifts what the `Date` header says; None: there is none. `refresh_life` is in seconds.
    """

    def __init__(self, now: Now, manner: Manner | None = None) -> None:
        self.now = now
        self.manner = manner or Manner()
        self.holders: dict[str, Books] = {}
        self.overlays: list[tuple[str, Overlay]] = []
        self.calls: list[tuple[str, str, int]] = []
        self.date_offset: timedelta | None = timedelta()
        self.token_life = TOKEN_LIFE
        self.grant: dict[str, Any] = {"expires_in": 600, "refresh_expires_in": 315_360_000}
        self._devices: dict[tuple[str, str], str] = {}
        self._sessions: list[_Session] = []
        self._count = 0

    def open(self, books: Books) -> Books:
        """Take a holder in."""
        self.holders[books.msisdn] = books
        return books

    @contextmanager
    def overlaid(self, pattern: str, overlay: Overlay) -> Iterator[None]:
        """Lay an overlay over the answers to paths that fit, for the length of the block."""
        laid = (pattern, overlay)
        self.overlays.append(laid)
        try:
            yield
        finally:
            self.overlays.remove(laid)

    # ── ASGI ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        request = Request(
            scope["method"],
            unquote(scope["path"]).removeprefix(API),
            dict(parse_qsl(scope["query_string"].decode())),
            {name.decode().lower(): value.decode() for name, value in scope["headers"]},
            body,
        )
        answer = self.answer(request)
        self.calls.append((request.method, request.path, answer.status))
        content, headers = self._printed(request, answer)
        status = 304 if content is None else answer.status
        lines = [(self.manner.header(name).encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": lines})
        content = content or b""
        half = len(content) // 2
        for piece in (content[:half], content[half:]) if self.manner.pieces else ():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"" if self.manner.pieces else content})

    def _printed(self, request: Request, answer: Answer) -> tuple[bytes | None, dict[str, str]]:
        """The body (None: the client has it), and the headers."""
        headers = {"content-type": "application/json", **answer.headers}
        if self.date_offset is not None:
            headers.setdefault("date", format_datetime(self.now() + self.date_offset, usegmt=True))
        if isinstance(answer.value, bytes):
            return answer.value, headers
        seed = len(self.calls)
        body = self.manner.text(answer.value, seed).encode()
        if answer.tagged and self.manner.tags != "none":
            shuffled = self.manner.shuffled
            plain = replace(self.manner, shuffled=False).text(answer.value, 0).encode() if shuffled else body
            tag = f'"{hashlib.sha256(plain).hexdigest()[:24]}"'
            headers.setdefault("etag", tag if self.manner.tags == "strong" else f"W/{tag}")
        if "etag" in headers and request.headers.get("if-none-match") == headers["etag"]:
            return None, headers
        content, encoding = self.manner.encoded(body)
        return content, headers if encoding is None else {**headers, "content-encoding": encoding}

    # ── Answers ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def answer(self, request: Request) -> Answer:
        """What is answered, overlays and all. Those over a refresh stand before the bank: it does not hear of it."""
        answer = self._unheard(request) or self._answer(request)
        for pattern, overlay in tuple(self.overlays):
            if fnmatchcase(request.path, pattern):
                answer = overlay(request, answer) or answer
        return answer

    def _unheard(self, request: Request) -> Answer | None:
        laid = request.path == "/auth/refresh" and any(fnmatchcase(request.path, one) for one, _ in self.overlays)
        return _error(503, "UNAVAILABLE") if laid else None

    def _answer(self, request: Request) -> Answer:  # noqa: PLR0911  # a refusal a line
        if "x-app-version" not in request.headers:
            return _error(400, "BAD_REQUEST")
        if request.path == "/auth/session" and request.method == "POST":
            return self._log_in(json.loads(request.body))
        if request.path == "/auth/refresh":
            return self._refresh(json.loads(request.body))
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        session = next((one for one in self._sessions if one.access == token), None)
        if session is not None and session.over:
            return _error(401, "SESSION_ENDED")
        if session is None or session.good_until <= self.now():
            if request.path.startswith("/invest"):
                return Answer(401, {"errorCode": "BRK-401", "errorMessage": "", "timestamp": millis(self.now())})
            return _error(401, "TOKEN_EXPIRED")
        if request.headers.get("x-device-id") != session.device:
            return _error(403, "DEVICE_UNBOUND")
        if request.path == "/auth/session" and request.method == "DELETE":
            session.over = True
            return Answer(204)
        return self._surface(request, session.books)

    def _log_in(self, asked: Mapping[str, str]) -> Answer:
        books = self.holders.get(asked["msisdn"])
        if books is None or asked["pin"] != books.pin:
            return _error(401, "PIN_INVALID", attempts_left=2)
        if asked.get("otp") is None:
            self._count += 1
            challenge = f"challenge-{self._count}"
            return _error(401, "OTP_REQUIRED", challenge_id=challenge, channel="SMS", expires_in=300)
        session = _Session(books, asked["device_id"], "", "", self.now())
        self._sessions.append(session)
        return self._granted(session)

    def _refresh(self, asked: Mapping[str, str]) -> Answer:
        session = next((one for one in self._sessions if one.refresh == asked["refresh_token"]), None)
        if session is None:
            return _error(401, "REFRESH_REUSED")
        if session.over:
            return _error(401, "SESSION_ENDED")
        return self._granted(session)

    def _granted(self, session: _Session) -> Answer:
        self._count += 1
        session.access, session.refresh = f"access-{self._count}", f"refresh-{self._count}"
        session.good_until = self.now() + self.token_life
        return Answer(200, {"access_token": session.access, "refresh_token": session.refresh, **self.grant})

    def _surface(self, request: Request, books: Books) -> Answer:  # noqa: C901, PLR0911  # one line a surface
        path = request.path.strip("/").split("/")
        match path:
            case ["me"]:
                return Answer(200, _profile(books), tagged=True)
            case ["accounts", iban] if iban in books.ibans:
                return Answer(200, self._bank_account(books, iban), tagged=True)
            case ["accounts", iban, "transactions"] if iban in books.ibans:
                return self._page(request, books, books.feed("transactions", iban))
            case ["cards"]:
                return Answer(200, {"cards": self._whole(books, "cards")}, tagged=True)
            case ["cards", card, "authorizations"] if card in books.feed("cards").entries:
                return self._page(request, books, books.feed("authorizations", card))
            case ["bills" | "bookings" as surface]:
                return self._page(request, books, books.feed(surface))
            case ["invest", "v1", "portfolio"]:
                return Answer(200, self._portfolio(books), tagged=True)
            case ["invest", "v1", "orders"]:
                return self._orders(request, books)
            case ["invest", "v1", "funds", fund, "nav"] if fund == books.fund:
                return Answer(200, {"fundId": fund, "navs": self._whole(books, "nav")}, tagged=True)
            case ["advance-cash", "inquiry"]:
                data = {"LOANS": self._whole(books, "loans")}
                return Answer(200, {"RESPONSE_CODE": "00", "RESPONSE_DESC": "SUCCESS", "DATA": data})
            case ["z-miles", "summary"]:
                vouchers = self._whole(books, "vouchers")
                return Answer(200, {"member_id": "ZM0000701", "balance": 0, "vouchers": vouchers}, tagged=True)
            case ["z-miles", "ledger"]:
                return self._points(request, books)
        return _error(404, "NOT_FOUND")

    def _whole(self, books: Books, surface: str) -> list[Any]:
        return list(printed(surface, books.feed(surface).ascending(), books, self.manner))

    def _bank_account(self, books: Books, iban: str) -> Mapping[str, Any]:
        standing = self.manner.amount(books.feed("balance").entries[iban].amount)
        return {
            "iban": iban,
            "title": "Zindigi Wallet",
            "balance": standing,
            "available": standing,
            "ccy": "PKR",
            "status": books.feed("bank_account").entries[iban].status,
            "tier": books.tier,
        }

    def _portfolio(self, books: Books) -> Mapping[str, Any]:
        fund = {
            "fundId": books.fund,
            "name": "Invented Income Fund",
            "fundClass": "INCOME",
            "units": "0",
            "averageNav": "100.2100",
            "nav": "101.3344",
            "navDate": None,
            "marketValue": "0.00",
            "costValue": "0.00",
            "currency": "PKR",
        }
        changed = [version.at for one in books.feed("holdings").history.values() for version in one]
        as_of = millis(max(changed, default=self.now() - timedelta(days=9)))
        return {
            "portfolioId": "P0000701",
            "asOf": as_of,
            "equities": self._whole(books, "holdings"),
            "funds": [fund],
        }

    # ── Pages ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _size(self, asked: str | None, default: int) -> int:
        return min(int(asked or default), self.manner.short_pages or 1000)

    def _page(self, request: Request, books: Books, feed: Feed) -> Answer:
        shown = feed.ascending()[::-1]
        if "from" in request.query:
            first = date.fromisoformat(request.query["from"])
            shown = [one for one in shown if one.at.astimezone(KARACHI).date() >= first]
        if "cursor" in request.query:
            ended = _opened(request.query["cursor"])
            if ended is None:
                return _error(400, "CURSOR_INVALID")
            shown = [one for one in shown if feed.order(one) < ended]
        size = self._size(request.query.get("limit"), 50)
        page = shown[:size]
        cursor = _sealed(feed, page[-1], self.manner.cursor_length) if len(shown) > size else None
        items = printed(feed.surface, page, books, self.manner, feed.part)
        return Answer(200, {"items": list(items), "next_cursor": cursor}, tagged=True)

    def _orders(self, request: Request, books: Books) -> Answer:
        shown = books.feed("orders").ascending()[::-1]
        size = self._size(request.query.get("size"), 20)
        number = int(request.query.get("page", "0"))
        rows = list(printed("orders", shown, books, self.manner))
        value = {
            "content": rows[number * size : (number + 1) * size],
            "page": number,
            "size": size,
            "totalPages": -(-len(rows) // size),
            "totalElements": len(rows),
        }
        return Answer(200, value, tagged=True)

    def _points(self, request: Request, books: Books) -> Answer:
        after = int(request.query.get("after_id", "0"))
        shown = [one for one in books.feed("points").ascending() if int(one.id) > after]
        size = self._size(request.query.get("limit"), 100)
        entries = list(printed("points", shown[:size], books, self.manner))
        return Answer(200, {"entries": entries, "has_more": len(shown) > size}, tagged=True)


def _profile(books: Books) -> Mapping[str, Any]:
    return {
        "holder": {
            "name": "Sania Khuhro",
            "cnic": books.cnic,
            "msisdn": books.msisdn,
            "email": None,
        },
        "tier": books.tier,
        "segment": "standard",
        "minor": books.minor,
        "accounts": [
            {"iban": iban, "title": "Zindigi Wallet", "status": books.feed("bank_account").entries[iban].status}
            for iban in books.ibans
        ],
    }


def _error(status: int, code: str, **more: Any) -> Answer:
    return Answer(status, {"code": code, "message": "No.", **more})


def _sealed(feed: Feed, last: Entry, length: int) -> str:
    order, tie = feed.order(last)
    text = base64.urlsafe_b64encode(f"{order}|{tie}".encode()).decode()
    return text + "~" * max(0, length - len(text))


def _opened(cursor: str) -> tuple[int, str] | None:
    try:
        order, _, tie = base64.urlsafe_b64decode(cursor.rstrip("~")).decode().partition("|")
        return int(order), tie
    except ValueError:
        return None
