"""What the connector wrote, read by programs that are none of ours: Kafka's console consumer, Java's Avro, a script."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import anyio.to_thread
import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord

from connector.avro import decode_event, schema_directory
from connector.domains.registry import DOMAINS
from connector.journal.kafka.options import EVENT_TOPICS
from connector.proving.broker import Broker
from tests.conftest import EXAMPLES, QUICK
from tests.contract.journal.backends import KafkaBackend, fresh_kafka
from tests.contract.test_readers import comparable, read
from tests.kafka.raw import open_transaction
from tests.support.virtual_clock import VirtualClock
from tests.support.world import World, people

pytestmark = pytest.mark.anyio

HEADERS = {
    "ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject", "ce_time", "content-type",
    "sequence", "commit", "epoch",
}  # fmt: skip


@pytest.fixture
async def world(tmp_path: Path, broker: Broker) -> AsyncIterator[World]:
    """Two holders read twice; and a transaction in every topic of theirs that its owner thought better of."""
    place = await fresh_kafka(broker.bootstrap_servers, shard_count=1, tuning=QUICK)
    async with World.open(tmp_path, people("adult", "borrower"), seed=21, clock=VirtualClock(), place=place) as opened:
        await opened.link()
        async with opened.working() as worker:
            await worker.sweep()
            opened.bank.step()
            await worker.sweep()
            await worker.checkpoint()
        aborted = await open_transaction(place, f"aborter-{place.options.prefix}", *EVENT_TOPICS, shard=0)
        await aborted.abort_transaction()
        await aborted.stop()
        yield opened


def place_of(world: World) -> KafkaBackend:
    assert isinstance(world.place, KafkaBackend)
    return world.place


async def console(broker: Broker, topic: str, isolation: str) -> list[tuple[dict[str, str], str]]:
    """Headers and key of each record, as Kafka's own console consumer prints them until nothing more comes."""
    shown = ("print.headers=true", "print.key=true", "print.value=false", "headers.separator=|", "key.separator=%")
    printed = await anyio.to_thread.run_sync(
        lambda: broker.tool(
            "org.apache.kafka.tools.consumer.ConsoleConsumer",
            *("--bootstrap-server", broker.bootstrap_servers, "--topic", topic, "--from-beginning"),
            *("--isolation-level", isolation, "--timeout-ms", "2000"),
            *(word for one in shown for word in ("--formatter-property", one)),
        )
    )
    # It ends by itself, and says so in its log, when nothing more comes.
    lines = printed.split("\n")
    end = next(number for number, line in enumerate(lines) if " ERROR ConsoleConsumer " in line)
    assert lines[end + 1] == "org.apache.kafka.common.errors.TimeoutException"
    records = []
    for line in lines[:end]:
        headers, key = line.split("%")
        named = {} if headers == "NO_HEADERS" else dict(header.split(":", 1) for header in headers.split("|"))
        records.append((named, key))
    return records


async def test_kafkas_console_consumer_counts_what_we_count_and_sees_no_aborted_record(
    world: World, broker: Broker
) -> None:
    for name in ("lending", "lifecycle"):
        told = [event async for event in world.reader.read_events((name,))]
        topic = place_of(world).options.topic(name)
        committed = await console(broker, topic, "read_committed")
        assert [(headers, key) for headers, key in committed] == [
            ({header: value.decode() for header, value in event.headers}, event.key) for event in told
        ]
        for headers, event in zip((headers for headers, _ in committed), told, strict=True):
            decoded = decode_event(event.value)
            assert headers.keys() == HEADERS
            assert headers["ce_id"] == decoded["event_id"]
            assert f".{decoded['event_type']}." in headers["ce_type"]
        # Whoever does not ask for committed records only is shown what never happened.
        assert len(await console(broker, topic, "read_uncommitted")) == len(committed) + 1


async def test_java_decodes_the_values(world: World, avro_jars: Path) -> None:
    records = await place_of(world).records(*EVENT_TOPICS, committed=True)
    assert len(records) > 100
    prefix = f"{place_of(world).options.prefix}."
    lines = "".join(f"{record.topic.removeprefix(prefix)}\t{record.value.hex()}\n" for record in records)
    command = ["java", "-cp", f"{avro_jars}/*", str(EXAMPLES / "ReadEvents.java"), str(schema_directory())]
    assert await anyio.to_thread.run_sync(read, command, lines) == [
        {"topic": record.topic.removeprefix(prefix), **comparable(decode_event(record.value))} for record in records
    ]


SCRIPT = EXAMPLES / "read_kafka.py"
CHECKPOINTS = EXAMPLES / "read_checkpoints.py"


async def run_script(place: KafkaBackend, script: Path = SCRIPT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(script), place.options.bootstrap_servers, place.options.prefix]
    return await anyio.to_thread.run_sync(
        lambda: subprocess.run(
            [*command, str(schema_directory())],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={"PATH": os.environ["PATH"]},
        )
    )


@pytest.mark.parametrize(("script", "lines"), [(SCRIPT, 41), (CHECKPOINTS, 50)])
def test_the_script_is_a_strangers(script: Path, lines: int) -> None:
    text = script.read_text(encoding="utf-8")
    assert "connector" not in text
    assert len(text.splitlines()) <= lines


async def test_a_plain_script_proves_that_nothing_is_missing(world: World) -> None:
    done = await run_script(place_of(world))
    assert done.returncode == 0, done.stderr
    last: dict[str, int] = {}
    for topic, event in await world.events():
        last[f"{event['account_id']} {place_of(world).options.topic(topic)}"] = event["sequence"]
    assert done.stdout.splitlines() == [f"{stream}: up to sequence {last[stream]}" for stream in sorted(last)]
    assert len(last) == 2 * (len(DOMAINS) + 1) + 1, "every domain and lifecycle for each holder, and the shard's own"


async def copied(place: KafkaBackend, change: Callable[[list[ConsumerRecord]], list[ConsumerRecord]]) -> KafkaBackend:
    """The events in topics of another prefix, after a change to those of `lending`."""
    other = await fresh_kafka(place.options.bootstrap_servers, shard_count=1, tuning=QUICK)
    producer = AIOKafkaProducer(**other.options.client_arguments())
    await producer.start()
    try:
        for name in EVENT_TOPICS:
            records = await place.records(name, committed=True)
            for record in change(records) if name == "lending" else records:
                await producer.send_and_wait(other.options.topic(name), record.value, key=record.key, partition=0)
    finally:
        await producer.stop()
    return other


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda records: records, None),
        (lambda records: records[:3] + records[4:], "after"),
        (lambda records: [*records[:4], records[3], *records[4:]], "after"),
        (lambda records: [*records[:3], records[4], records[3], *records[5:]], "after"),
        (lambda records: records[1:], "after 0"),
    ],
    ids=["a faithful copy", "a hole", "one twice", "two out of order", "the first is missing"],
)
async def test_the_script_finds_holes_repeats_and_disorder(
    world: World, change: Callable[[list[ConsumerRecord]], list[ConsumerRecord]], said: str | None
) -> None:
    done = await run_script(await copied(place_of(world), change))
    assert done.returncode == (1 if said else 0), done.stdout
    if said:
        assert ".lending: " in done.stderr
        assert said in done.stderr


async def test_the_script_finds_an_event_id_that_comes_twice(world: World) -> None:
    def forge(records: list[ConsumerRecord]) -> list[ConsumerRecord]:
        """The second value says, in the right place of the sequence, what the first one did."""
        first, second = (decode_event(record.value) for record in records[:2])
        value = records[1].value.replace(second["event_id"].encode(), first["event_id"].encode())
        assert decode_event(value)["event_id"] == first["event_id"], json.dumps(second, default=str)
        return [records[0], replace(records[1], value=value), *records[2:]]

    done = await run_script(await copied(place_of(world), forge))
    assert done.returncode == 1
    assert "sequence 2, after 1" in done.stderr


async def test_a_plain_script_says_up_to_when_that_is_everything(world: World) -> None:
    done = await run_script(place_of(world), CHECKPOINTS)
    assert done.returncode == 0, done.stderr
    *_, newest = [
        event["after"]["checkpoint"]
        for _, event in await world.events("lifecycle")
        if event["event_type"] == "Checkpoint"
    ]
    assert [claim["domain"] for claim in newest["domains"]] == list(DOMAINS)
    assert done.stdout.splitlines() == [
        f"partition 0, {claim['domain']}: nothing new is missing up to {claim['polled_until']}; "
        f"no amendment, late entry or removal up to {claim['reconciled_until']}"
        for claim in newest["domains"]
    ]


async def test_the_script_names_every_stream_that_is_behind(world: World) -> None:
    async with world.working() as worker:
        await worker.checkpoint()  # Of a connector that has just started, and has read nothing yet.
    done = await run_script(place_of(world), CHECKPOINTS)
    assert done.returncode == 0, done.stderr
    unread = [
        f"partition 0, {domain} of {account}: NOT_READY, read up to (never)"
        for domain in DOMAINS
        for account in world.msisdn_of
    ]
    unknown = [
        f"partition 0, {domain}: nothing new is missing up to (not yet); "
        "no amendment, late entry or removal up to (not yet)"
        for domain in DOMAINS
    ]
    assert sorted(done.stdout.splitlines()) == sorted([*unread, *unknown])
