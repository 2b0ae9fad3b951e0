"""What a backend answers, before the gateway turns it into HTTP."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from connector.sandbox.ledger import Domain
    from connector.sandbox.mutations import Mutation
    from connector.sandbox.wire import Body, Json


_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}$", re.ASCII)
_FIRST_DATE, _LAST_DATE = date(1900, 1, 1), date(2999, 12, 31)
_WHOLE = re.compile(r"^-?\d{1,18}$", re.ASCII)


@dataclass(frozen=True, slots=True)
class Visit:
    """Which part of a read a call asks for.

    `token` continues a read (a cursor, or the `after_id` of the last entry served), None begins one. `since` is the
    oldest booking key that the read covers, `asked` the range in the client's own words. `begins` says whether such a
    call may also be the first of a read: a cursor may not, an `after_id` may.
    """

    msisdn: str
    domain: Domain
    resource: str
    token: str | None
    since: int
    asked: Body
    begins: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One item of a page and the entity versions that it shows."""

    body: Mapping[str, Json]
    versions: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Items of a resource; `next_token` is None on the last page, `envelope` wraps the items into the body.

    `total` is how many the feed has, where its pages are numbered: a read during which it changes has shifted.

    For faults that move a feed under a read: `arrival` is what then comes in at the top, `shown_again` renders an
    entity of the feed as it stands (None: it is not there), and `amendment` is how one is changed.
    """

    visit: Visit
    rows: tuple[Row, ...]
    next_token: str | None
    envelope: Callable[[list[Json], str | None], Body]
    total: int | None = None
    arrival: Mutation | None = None
    amendment: Mutation | None = None
    shown_again: Callable[[str], Row | None] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; with a `page`, the body is the page's. `cacheable` asks for an ETag."""

    status: int = 200
    body: Json = None
    page: Page | None = None
    cacheable: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not a failure of ours
    """An error answer: `{"code", "message", ...extras}` under an HTTP status."""

    status: int
    code: str
    message: str
    extras: Body = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def reply(self) -> Reply:
        """As an answer."""
        return Reply(self.status, {"code": self.code, "message": self.message, **self.extras}, headers=self.headers)


def surface_forbidden() -> Refusal:
    """The holder's tier does not have this."""
    return Refusal(403, "SURFACE_FORBIDDEN", "This service is not available for the account.")


def bad_request(message: str) -> Refusal:
    """The client asked for something that has no meaning."""
    return Refusal(400, "BAD_REQUEST", message)


def whole_number(query: Mapping[str, str], name: str, default: int, bounds: tuple[int, int]) -> int:
    """A query parameter that counts.

    Raises:
        Refusal: BAD_REQUEST, where it is no whole number or out of bounds.
    """
    text = query.get(name)
    if text is None:
        return default
    least, most = bounds
    if not _WHOLE.match(text) or not least <= int(text) <= most:
        raise bad_request(f"{name} must be a whole number from {least} to {most}.")
    return int(text)


def calendar_date(text: str) -> date:
    """A query parameter that is a day.

    Raises:
        Refusal: BAD_REQUEST, where it is none, or of another century.
    """
    refusal = bad_request("from must be a calendar date, YYYY-MM-DD.")
    if not _DATE.match(text):
        raise refusal
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise refusal from None
    if not _FIRST_DATE <= day <= _LAST_DATE:
        raise refusal
    return day
