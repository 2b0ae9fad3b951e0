"""The yardsticks of first sync: fetch, parse, envelope, encode, write. They neither diff nor remember nor promise.

Both write the event of the published schema, entry by entry, as somebody would who wants nothing but throughput: no
running sequence, no digest of the entry, the bank's id for an id. Where branches of unions are not named, fastavro
finds out which one a record fits by checking it against each.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import fastavro
import orjson
from fastavro.schema import fingerprint, to_parsing_canonical_form
from pydantic import BaseModel

from connector.avro import MAGIC, schema_directory
from connector.domains.transactions import RAILS
from tests.bench.feed import iban_of
from tests.bench.linked import CONCURRENCY, DOMAIN, Place
from tests.bench.measure import Sample, metered
from tests.bench.raw_http import CLIENTS, PAGE_LIMIT, feed_path, headers_of
from tests.bench.raw_sinks import RawEvent, opened_sink

Branch = Callable[[str, dict[str, Any]], Any]
"""A record as a branch of a union: named for fastavro, or left for it to guess."""
Encode = Callable[[int, bytes], tuple[list[RawEvent], str | None]]
"""(holder's number, body) → its events, and the cursor of the next page."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Party(BaseModel):
    alias: str | None
    iban: str | None
    cnic: str | None
    name: str | None


class Item(BaseModel):
    id: str
    rail: str
    amount: Decimal
    ccy: str
    counterparty: Party | None
    biller: str | None
    initiated_at: str
    posted_at: str | None
    balance_after: Decimal | None
    status: str
    replaces: str | None
    receipt_ref: str | None


class FeedPage(BaseModel):
    items: list[Item]
    next_cursor: str | None


def published_schema() -> Any:
    """The schema of the transactions topic."""
    return json.loads((schema_directory() / f"{DOMAIN}.avsc").read_text(encoding="utf-8"))


def lean(schema: Any) -> Any:
    """The same schema with money as a long of paisa and instants as plain longs: nothing is converted on the way."""
    if isinstance(schema, list):
        return [lean(option) for option in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("logicalType") == "decimal":
        return "long"
    if "logicalType" in schema:
        return schema["type"]
    return {name: lean(value) if name in {"type", "fields", "items"} else value for name, value in schema.items()}


def _writer(schema: Any) -> Callable[[dict[str, Any]], bytes]:
    parsed = fastavro.parse_schema(schema)
    write = fastavro.schemaless_writer
    header = MAGIC + bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))

    def encode(datum: dict[str, Any]) -> bytes:
        out = io.BytesIO()
        out.write(header)
        write(out, parsed, datum)
        return out.getvalue()

    return encode


_BRANCH = "0" * 16
_NAMESPACE = "pk.zindigi.transactions"
_SOURCE = {"route": "app-session", "backend": "bank", "api_version": "v2", "parser_version": "1", "mode": "backfill"}


def named(name: str, record: dict[str, Any]) -> Any:
    """The record with the name of its type."""
    return f"{_NAMESPACE}.{name}", record


def guessed(_name: str, record: dict[str, Any]) -> Any:
    """The record alone, as the documentation of fastavro shows it first."""
    return record


def account_of(number: int) -> str:
    """An account id as long as the real ones."""
    return f"acc_{number:026d}"


def _envelope(account_id: str, item_id: str, effective: Any, observed: Any, state: Any) -> dict[str, Any]:
    return {
        "event_id": item_id,
        "event_type": "TransactionPosted",
        "op": "c",
        "account_id": account_id,
        "entity_id": item_id,
        "entity_version": 1,
        "sequence": 1,
        "resource": DOMAIN,
        "effective_at": effective,
        "observed_at": observed,
        "consent_id": "",
        "source": _SOURCE,
        "after": state,
        "epoch": _BRANCH,
    }


def _headers(item_id: str, account_id: str, observed: str) -> tuple[tuple[str, bytes], ...]:
    """The headers of every event: CloudEvents, and where it stands."""
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", item_id.encode()),
        ("ce_type", b"pk.zindigi.transactions.TransactionPosted.v1"),
        ("ce_source", b"/zindigi-connector/app-session/bank"),
        ("ce_subject", f"{account_id}/transactions".encode()),
        ("ce_time", observed.encode()),
        ("content-type", b"application/avro"),
        ("sequence", b"1"),
        ("commit", b"1"),
        ("epoch", _BRANCH.encode()),
    )


def same_libraries(branch: Branch) -> Encode:
    """pydantic and Decimal, the published schema, the headers that the connector writes."""
    encode = _writer(published_schema())

    def page(number: int, body: bytes) -> tuple[list[RawEvent], str | None]:
        account_id, iban = account_of(number), iban_of(number)
        parsed = FeedPage.model_validate_json(body)
        observed = datetime.now(UTC)  # noqa: TID251  there is no clock to inject
        stated = observed.isoformat()
        events = []
        for item in parsed.items:
            initiated_at = datetime.fromisoformat(item.initiated_at)
            posted_at = datetime.fromisoformat(item.posted_at) if item.posted_at else None
            party = item.counterparty
            record = {
                "iban": iban,
                "transaction_id": item.id,
                "replaces": item.replaces,
                "rail": item.rail,
                "rail_source": item.rail,
                "bank_transaction_code": RAILS.get(item.rail),
                "amount": item.amount,
                "currency": item.ccy,
                "status": item.status.upper(),
                "status_source": item.status,
                "initiated_at": initiated_at,
                "initiated_at_source": item.initiated_at,
                "posted_at": posted_at,
                "posted_at_source": item.posted_at,
                "balance_after": item.balance_after,
                "counterparty": branch("Counterparty", party.__dict__) if party else None,
                "biller": item.biller,
                "receipt_ref": item.receipt_ref,
            }
            state = branch("TransactionsState", {"transaction": branch("Transaction", record)})
            datum = _envelope(account_id, item.id, posted_at or initiated_at, observed, state)
            events.append((account_id, encode(datum), _headers(item.id, account_id, stated)))
        return events, parsed.next_cursor

    return page


def _micros(text: str) -> int:
    delta = datetime.fromisoformat(text) - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def leanest(branch: Branch) -> Encode:
    """orjson, money and instants as long, no headers."""
    encode = _writer(lean(published_schema()))

    def page(number: int, body: bytes) -> tuple[list[RawEvent], str | None]:
        account_id, iban = account_of(number), iban_of(number)
        parsed = orjson.loads(body)
        observed = _micros(datetime.now(UTC).isoformat())  # noqa: TID251  there is no clock to inject
        events: list[RawEvent] = []
        for item in parsed["items"]:
            initiated_at, party = _micros(item["initiated_at"]), item["counterparty"]
            posted_at = _micros(item["posted_at"]) if item["posted_at"] else None
            balance = item["balance_after"]
            record = {
                "iban": iban,
                "transaction_id": item["id"],
                "replaces": item["replaces"],
                "rail": item["rail"],
                "rail_source": item["rail"],
                "amount": round(item["amount"] * 100),
                "currency": item["ccy"],
                "status": item["status"],
                "status_source": item["status"],
                "initiated_at": initiated_at,
                "initiated_at_source": item["initiated_at"],
                "posted_at": posted_at,
                "posted_at_source": item["posted_at"],
                "balance_after": None if balance is None else round(balance * 100),
                "counterparty": branch("Counterparty", party) if party else None,
                "biller": item["biller"],
                "receipt_ref": item["receipt_ref"],
            }
            state = branch("TransactionsState", {"transaction": branch("Transaction", record)})
            datum = _envelope(account_id, item["id"], posted_at or initiated_at, observed, state)
            events.append((account_id, encode(datum), ()))
        return events, parsed["next_cursor"]

    return page


LOOPS: dict[str, tuple[str, Callable[[Branch], Encode], Branch]] = {
    "same libraries": ("httpx", same_libraries, guessed),
    "same, branches named": ("httpx", same_libraries, named),
    "leanest": ("aiohttp", leanest, named),
}
"""Name → HTTP client, encoding, and how branches of unions are written."""


async def copy(place: Place, base_url: str, loop: str, holders: int, records: int) -> Sample:
    """Copy the feeds of `holders`, `records` entries in all.

    Raises:
        RuntimeError: it was not as many.
    """
    client, encoding, branch = LOOPS[loop]
    page, written = encoding(branch), 0
    async with opened_sink(place) as sink, CLIENTS[client](base_url) as get:

        async def lane(numbers: Iterator[int]) -> None:
            nonlocal written
            for number in numbers:
                cursor: str | None = ""
                while cursor is not None:
                    parameters = {"limit": str(PAGE_LIMIT)} | ({"cursor": cursor} if cursor else {})
                    body, _ = await get(feed_path(number), parameters, headers_of(number))
                    events, cursor = page(number, body)
                    await sink.put(events)
                    written += len(events)

        with metered() as meter:
            numbers = iter(range(holders))
            async with anyio.create_task_group() as lanes:
                for _ in range(CONCURRENCY):
                    lanes.start_soon(lane, numbers)
            await sink.flush()
    if written != records:
        raise RuntimeError(f"{written} events were written of {records} entries")
    return meter.sample(records)


def run(parent: Path, brokers: str | None, base_url: str, loop: str, holders: int, entries: int) -> Sample:
    """One run in this process, after a small one that warms it up."""

    async def both() -> Sample:
        await copy(Place.fresh(parent, brokers), base_url, loop, 1, entries)
        return await copy(Place.fresh(parent, brokers), base_url, loop, holders, holders * entries)

    return anyio.run(both)
