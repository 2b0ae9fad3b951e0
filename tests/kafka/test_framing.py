"""Topics framed by ids of a real schema registry, written by the connector and read by programs none of ours."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord

from connector.avro import decode_event, schema_store
from connector.domains.model import EPOCH, micros
from connector.errors import DataError, UnavailableError
from connector.journal.kafka.framing import confluent, event_subjects
from connector.journal.kafka.options import EVENT_TOPICS
from connector.journal.registration import look, register, require
from connector.journal.registry import SchemaRegistry
from connector.journal.registry_options import RegistryOptions
from connector.proving.broker import Broker, BrokerError
from connector.proving.maven import resolved
from connector.proving.registry import Registry, running_registry
from tests.conftest import EXAMPLES, QUICK
from tests.contract.journal.backends import KafkaBackend, fresh_kafka
from tests.contract.test_readers import comparable, read
from tests.kafka.conftest import Command
from tests.kafka.test_topics import refused
from tests.support.virtual_clock import VirtualClock
from tests.support.world import World, people

pytestmark = pytest.mark.anyio

SCRIPT = EXAMPLES / "read_registry.py"
CONSOLE = "org.apache.kafka.tools.consumer.ConsoleConsumer"
DESERIALIZER = "io.apicurio.registry.serde.avro.AvroKafkaDeserializer"


@pytest.fixture
async def place(broker: Broker, registry: Registry) -> KafkaBackend:
    """Topics of its own, framed by ids of schemas that a start registers."""
    options = RegistryOptions(registry.url, auto_register=True)
    return await fresh_kafka(broker.bootstrap_servers, shard_count=1, tuning={**QUICK, "registry": options})


@pytest.fixture
async def world(tmp_path: Path, place: KafkaBackend) -> AsyncIterator[World]:
    """Two holders, read before and after a step of the bank."""
    async with World.open(tmp_path, people("adult", "borrower"), seed=21, clock=VirtualClock(), place=place) as opened:
        await opened.link()
        async with opened.working() as worker:
            await worker.sweep()
            opened.bank.step()
            for _ in range(2):  # two complete reads prove a removal
                await worker.sweep()
            await worker.checkpoint()
        yield opened


@pytest.fixture(scope="session")
def deserializer_jars(registry: Registry) -> Path:
    """Apicurio's Avro deserializer, by Maven."""
    del registry  # whoever has that has Maven
    return resolved(Path(__file__).parent / "deserializer.xml", "the Java deserializer")


def as_java(value: Any) -> Any:
    """What we decode, as Avro in Java spells it where no logical type is looked at: bytes, micros, days."""
    if isinstance(value, dict):
        return {name: as_java(item) for name, item in value.items()}
    if isinstance(value, list):
        return [as_java(item) for item in value]
    if isinstance(value, datetime):
        return micros(value)
    if isinstance(value, date):
        return (value - EPOCH.date()).days
    if isinstance(value, Decimal):
        number = int(value.scaleb(-int(value.as_tuple().exponent)))
        return number.to_bytes((8 + (number + (number < 0)).bit_length()) // 8, signed=True).decode("latin-1")
    return value


async def in_java(broker: Broker, registry: Registry, jars: Path, topic: str, count: int) -> list[Any]:
    """The first values of a topic, as Kafka's console consumer prints them with Apicurio's Avro deserializer."""
    told = {
        "value.deserializer": DESERIALIZER,
        "value.deserializer.apicurio.registry.url": registry.url.replace("/apis/ccompat/v7", "/apis/registry/v2"),
        "value.deserializer.apicurio.registry.as-confluent": "true",
        "value.deserializer.apicurio.registry.use-id": "contentId",
    }
    printed = await anyio.to_thread.run_sync(
        lambda: broker.tool(
            CONSOLE,
            *("--bootstrap-server", broker.bootstrap_servers, "--topic", topic, "--from-beginning"),
            *("--isolation-level", "read_committed", "--max-messages", str(count), "--timeout-ms", "20000"),
            *(word for name, value in told.items() for word in ("--formatter-property", f"{name}={value}")),
            plugins=jars,
        )
    )
    return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]


def confluents(broker: Broker, registry: Registry, topic: str) -> list[str]:
    """The command of a reader that has confluent-kafka alone."""
    return [sys.executable, str(SCRIPT), broker.bootstrap_servers, topic, registry.url]


def test_the_script_is_a_strangers() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    assert "connector" not in text
    assert "fastavro" not in text
    assert len(text.splitlines()) < 40


def frames(records: list[ConsumerRecord]) -> set[bytes]:
    """What the values begin with, before Avro's own bytes."""
    return {record.value[:5] for record in records}


async def test_every_value_bears_the_id_that_its_subject_has_in_the_registry(
    world: World, place: KafkaBackend, client: SchemaRegistry
) -> None:
    ids = await require(client, event_subjects(place.options))
    assert len(set(ids.values())) == len(EVENT_TOPICS)
    for name in EVENT_TOPICS:
        records = await place.records(name, committed=True)
        assert records
        assert frames(records) == {b"\x00" + ids[name].to_bytes(4, "big")}
        stored = [event.value async for event in world.reader.read_events((name,))]
        header = schema_store().events[name].header
        assert stored == [header + record.value[5:] for record in records]
    await world.assert_sound()


async def test_java_reads_what_we_read(
    world: World, place: KafkaBackend, broker: Broker, registry: Registry, deserializer_jars: Path
) -> None:
    for name in EVENT_TOPICS:
        told = [as_java(event) for _, event in await world.events(name)]
        topic = place.options.topic(name)
        assert await in_java(broker, registry, deserializer_jars, topic, len(told)) == told


async def test_confluents_client_reads_what_we_read(
    world: World, place: KafkaBackend, broker: Broker, registry: Registry
) -> None:
    count = 0
    for name in EVENT_TOPICS:
        told = [comparable(event) for _, event in await world.events(name)]
        command = confluents(broker, registry, place.options.topic(name))
        assert await anyio.to_thread.run_sync(read, command, "") == told
        count += len(told)
    assert count > 100


async def test_a_value_under_the_id_of_another_schema_is_noticed(
    tmp_path: Path, place: KafkaBackend, client: SchemaRegistry, broker: Broker, registry: Registry
) -> None:
    """Broken on purpose: ids by topic, one off, instead of by what the value itself says."""

    def broken(journal: Any) -> Any:
        numbers = [*ids.values()]
        events = schema_store().events
        one_off = zip(ids, numbers[1:] + numbers[:1], strict=True)
        journal.framed = confluent({events[name].fingerprint: number for name, number in one_off})
        return journal

    await register(client, event_subjects(place.options))
    ids = await require(client, event_subjects(place.options))
    scenario = people("borrower")
    async with World.open(tmp_path, scenario, clock=VirtualClock(), place=place, journal=broken) as world:
        await world.link()
        async with world.working() as worker:
            await worker.sweep()
        assert frames(await place.records("lending", committed=True)) != {b"\x00" + ids["lending"].to_bytes(4, "big")}
        with pytest.raises(DataError, match="an Avro value is damaged"):
            await world.events("lending")
    command = confluents(broker, registry, place.options.topic("lending"))
    with pytest.raises(AssertionError, match="Traceback"):
        await anyio.to_thread.run_sync(read, command, "")


@pytest.mark.usefixtures("registry")  # for Java
async def test_a_connector_that_runs_needs_the_registry_no_more(tmp_path: Path, broker: Broker) -> None:
    with ExitStack() as stack:
        (tmp_path / "registry").mkdir()
        running = await anyio.to_thread.run_sync(stack.enter_context, running_registry(tmp_path / "registry"))
        tuning = {**QUICK, "registry": RegistryOptions(running.url, auto_register=True)}
        place = await fresh_kafka(broker.bootstrap_servers, shard_count=1, tuning=tuning)
        async with World.open(tmp_path, people("borrower"), clock=VirtualClock(), place=place) as world:
            await anyio.to_thread.run_sync(stack.close)
            await world.link()
            async with world.working() as worker:
                await worker.sweep()
            assert {frame[:1] for frame in frames(await place.records(*EVENT_TOPICS, committed=True))} == {b"\x00"}
            # Whoever reads has no id yet; and who starts anew needs all of them.
            for ask in (world.events, place.open_journal):
                with pytest.raises(UnavailableError, match="cannot be reached"):
                    await ask()


async def test_single_object_values_are_refused_by_readers_that_go_by_ids(
    broker: Broker, registry: Registry, place: KafkaBackend, deserializer_jars: Path
) -> None:
    """Broken on purpose: the very mistake that fixed framing keeps out."""
    value = schema_store().events["lending"].header + b"\x00" * 20
    topic = place.options.topic("lending")
    producer = AIOKafkaProducer(**place.options.client_arguments())
    await producer.start()
    try:
        await producer.send_and_wait(topic, value, key=b"a", partition=0)
    finally:
        await producer.stop()
    # It finds no id where one must be.
    with pytest.raises(BrokerError, match="artifactId cannot be null"):
        await in_java(broker, registry, deserializer_jars, topic, 1)
    with pytest.raises(AssertionError, match=r"SerializationError: .*magic byte"):
        await anyio.to_thread.run_sync(read, confluents(broker, registry, topic), "")
    reader = await place.open_reader()
    with pytest.raises(DataError, match="is not in Confluent's wire format"):
        _ = [event async for event in reader.read_events(("lending",))]
    await reader.close()


@pytest.mark.parametrize(("made", "opened"), [("confluent", "single-object"), ("single-object", "confluent")])
async def test_topics_of_another_framing_are_refused(
    broker: Broker, registry: Registry, client: SchemaRegistry, made: str, opened: str
) -> None:
    options = RegistryOptions(registry.url, auto_register=True)
    with_ids = {**QUICK, "registry": options}
    backend = await fresh_kafka(broker.bootstrap_servers, tuning=with_ids if made == "confluent" else QUICK)
    other = replace(backend, tuning=with_ids if opened == "confluent" else QUICK)
    why = await refused(other)
    assert f"values are framed as '{made}', not '{opened}'" in why
    assert f'Set journal.framing = "{made}", or begin new topics under another kafka.prefix' in why
    # Nothing is registered for topics that cannot be used.
    assert not any(one.registered for one in await look(client, event_subjects(other.options)))
    await (await backend.open_journal()).close()


async def test_events_are_shown_whatever_their_framing(world: World, place: KafkaBackend, zindigi: Command) -> None:
    told = [event["event_id"] for _, event in await world.events("lending")]
    code, out, _ = await anyio.to_thread.run_sync(
        lambda: zindigi("events", "--domain", "lending", "--json", kafka__prefix=place.options.prefix)
    )
    assert code == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["event_id"] for line in lines] == told
    code, out, _ = await anyio.to_thread.run_sync(
        lambda: zindigi("events", "--domain", "lending", "--raw", kafka__prefix=place.options.prefix)
    )
    assert [decode_event(bytes.fromhex(line.split("\t")[1]))["event_id"] for line in out.splitlines()] == told
