"""The bank's newest-first feeds: how a page is asked for and how its envelope is read, whatever the items are. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import StringConstraints

from connector.domains.model import BookingKey, Entry, Unreadable, bank_entity
from connector.limits import MAXIMUM_CURSOR_CHARACTERS, MAXIMUM_ENTRIES_A_PAGE
from connector.ports import Page, PageRequest
from connector.sources.zindigi.aside import aside
from connector.sources.zindigi.exact_json import UnknownFields, parse_object
from connector.sources.zindigi.options import ZindigiOptions
from connector.sources.zindigi.surface import Call
from connector.sources.zindigi.wire import (
    Wire,
    bounded,
    field_names,
    identifier_of,
    micros_of,
    moment_micros,
    understand,
)

Cursor = Annotated[str, StringConstraints(min_length=1, max_length=MAXIMUM_CURSOR_CHARACTERS)]


class FeedEnvelope(Wire):
    """A page of a feed."""

    items: list[Any]
    next_cursor: Cursor | None


_ENVELOPE_FIELDS: Final = field_names(FeedEnvelope)


def call_feed(path: str, options: ZindigiOptions, request: PageRequest) -> Call:
    """The call for a page of the feed at `path`."""
    parameters = {"limit": str(options.transactions_page_limit)}
    if request.since is not None:
        parameters["from"] = request.since.isoformat()
    if request.cursor is not None:
        parameters["cursor"] = request.cursor
    return Call("GET", path, parameters=parameters, etag=request.etag)


def read_feed(body: bytes, read_item: Callable[[object, UnknownFields], Entry | Unreadable]) -> Page:
    """One page, its items read by `read_item`.

    Raises:
        DataError: the page has no `items` or `next_cursor` of the right type, lists too many, or is not JSON.
    """
    top = parse_object(body)
    envelope = understand(FeedEnvelope, top)
    unknown = UnknownFields()
    unknown.note("", top, _ENVELOPE_FIELDS)
    items = bounded(envelope.items, MAXIMUM_ENTRIES_A_PAGE, "items")
    entries = tuple(read_item(item, unknown) for item in items)
    return Page(entries=entries, next_cursor=envelope.next_cursor, unknown_fields=unknown.counts)


def unreadable(item: object, digest: bytes, reason: str, time_field: str, prefix: str = "") -> Unreadable:
    """An item that is not understood, with its entity and its place in the feed where they can be read.

    `prefix` stands before the bank's id in the entity's name; `time_field` is what the feed is ordered by.
    """
    bank_id = identifier_of(item, "id")
    if bank_id is None:
        return aside(item, digest, reason)
    order = micros_of(item, time_field, moment_micros)
    return aside(
        item, digest, reason, bank_entity(f"{prefix}{bank_id}"), None if order is None else BookingKey(order, bank_id)
    )
