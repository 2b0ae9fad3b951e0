"""What a backend answers, before the gateway turns it into HTTP."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from connector.sandbox.ledger import Domain
    from connector.sandbox.wire import Body, Json


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
    """Items of a resource; `next_token` is None on the last page, `envelope` wraps the items into the body."""

    visit: Visit
    rows: tuple[Row, ...]
    next_token: str | None
    envelope: Callable[[list[Json], str | None], Body]


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


def bad_request(message: str) -> Refusal:
    """The client asked for something that has no meaning."""
    return Refusal(400, "BAD_REQUEST", message)
