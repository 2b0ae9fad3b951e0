"""The yardsticks do the work that they stand for."""

from __future__ import annotations

import io
import json
from pathlib import Path

import anyio
import fastavro
import pytest

from connector.avro import decode_event
from connector.clock import SystemClock
from connector.journal.choice import open_reader
from connector.proving.broker import Broker
from connector.settings import JournalSettings
from connector.sources.zindigi.transactions import read_transactions
from tests.bench import raw_loops
from tests.bench.canned_bank import BankSpec, running_bank
from tests.bench.feed import CannedFeed, invent_history
from tests.bench.linked import DOMAIN, Place
from tests.bench.raw_sinks import opened_sink
from tests.support.scripted_bank import resource

PLAIN = ("same libraries", "same, branches named")
BODY = CannedFeed(invent_history(7, 0, 60)).page(60, None, None, 100).body


@pytest.mark.parametrize("loop", PLAIN)
def test_a_loop_over_the_same_libraries_writes_what_the_connector_would(loop: str) -> None:
    _, encoding, branch = raw_loops.LOOPS[loop]
    events, cursor = encoding(branch)(0, BODY)
    told = [decode_event(value)["after"]["transaction"] for _, value, _ in events]
    wanted = [entry.record for entry in read_transactions(resource("transactions"), BODY).entries]
    assert cursor is None
    for one, record in zip(told, wanted, strict=True):
        for name in ("transaction_id", "amount", "initiated_at", "posted_at_source", "balance_after", "biller"):
            assert one[name] == getattr(record, name), name
        assert (one["counterparty"] is None) == (record.counterparty is None)


def test_naming_branches_changes_nothing_that_is_written() -> None:
    guessed, named = (raw_loops.same_libraries(branch)(0, BODY)[0] for branch in (raw_loops.guessed, raw_loops.named))
    assert len(guessed) == 60
    for (_, one, _), (_, other, _) in zip(guessed, named, strict=True):
        assert {**decode_event(one), "observed_at": None} == {**decode_event(other), "observed_at": None}


def test_the_leanest_loop_counts_money_in_paisa() -> None:
    events, _ = raw_loops.leanest(raw_loops.named)(0, BODY)
    schema = fastavro.parse_schema(raw_loops.lean(raw_loops.published_schema()))
    datum = fastavro.schemaless_reader(io.BytesIO(events[0][1][10:]), schema, None)
    assert datum["after"]["transaction"]["amount"] == round(json.loads(BODY)["items"][0]["amount"] * 100)


def test_a_loop_that_did_not_write_everything_is_no_measurement(tmp_path: Path) -> None:
    with running_bank(BankSpec(7, 1, 1, 10)) as bank, pytest.raises(RuntimeError, match="10 events were written of 11"):
        anyio.run(raw_loops.copy, Place.fresh(tmp_path, None), bank.base_url, "leanest", 1, 11)


async def kept(place: Place, count: int) -> int:
    """How many events the journal's own reader finds after `count` were put, from four lanes at once."""
    async with opened_sink(place) as sink:
        async with anyio.create_task_group() as lanes:
            for _ in range(4):
                lanes.start_soon(sink.put, [("key", bytes(100_000), ())] * (count // 4))
        await sink.flush()
    settings = place.settings("http://127.0.0.1:1")
    if place.brokers is None:
        settings = settings.model_copy(update={"journal": JournalSettings(path=place.directory / "raw.db")})
    reader = await open_reader(settings, SystemClock())
    try:
        return len([event async for event in reader.read_events((DOMAIN,))])
    finally:
        await reader.close()


def test_the_sqlite_sink_keeps_what_it_was_given(tmp_path: Path) -> None:
    assert anyio.run(kept, Place.fresh(tmp_path, None), 40) == 40


def test_the_kafka_sink_keeps_more_than_a_batch_holds(tmp_path: Path, broker: Broker) -> None:
    assert anyio.run(kept, Place.fresh(tmp_path, broker.bootstrap_servers), 40) == 40
