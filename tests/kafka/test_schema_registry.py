"""A real schema registry: what is registered there; and topics framed by its ids, read by programs none of ours."""

from __future__ import annotations

import base64
import json
import logging
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
import structlog
from aiokafka import AIOKafkaProducer, ConsumerRecord

from connector.avro import decode_event, schema_store
from connector.cli.main import execute
from connector.clock import SystemClock
from connector.domains.model import EPOCH, micros
from connector.errors import ConfigurationError, DataError, UnavailableError
from connector.journal.kafka.framing import confluent, event_subjects
from connector.journal.kafka.options import EVENT_TOPICS
from connector.journal.kafka.topics import apply_topics
from connector.journal.registration import Subject, canonical, look, register, require
from connector.journal.registry import FULL_TRANSITIVE, SchemaRegistry
from connector.journal.registry_options import RegistryOptions
from connector.proving.broker import Broker, BrokerError
from connector.proving.maven import resolved
from connector.proving.registry import Registry
from tests.conftest import EXAMPLES, QUICK
from tests.contract.journal.backends import KafkaBackend, fresh_kafka
from tests.contract.test_readers import comparable, read
from tests.support.virtual_clock import VirtualClock
from tests.support.world import World, people

pytestmark = pytest.mark.anyio

SCRIPT = EXAMPLES / "read_registry.py"
CONSOLE = "org.apache.kafka.tools.consumer.ConsoleConsumer"
DESERIALIZER = "io.apicurio.registry.serde.avro.AvroKafkaDeserializer"


# ── The registry ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def client(registry: Registry) -> AsyncIterator[SchemaRegistry]:
    async with SchemaRegistry(RegistryOptions(registry.url)) as opened:
        yield opened


@pytest.fixture
def lending() -> Subject:
    """The schema of lending, under a subject of its own."""
    return Subject(f"test-{secrets.token_hex(4)}.lending-value", "lending", changed(lambda _: None))


def changed(change: Callable[[dict[str, Any]], object]) -> str:
    """The schema of lending after a change."""
    schema = json.loads(canonical(schema_store().events["lending"].written))
    change(schema)
    return canonical(schema)


def record(schema: Any, name: str) -> dict[str, Any]:
    """A named type within a schema."""
    parts = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    if isinstance(schema, dict) and schema.get("name") == name and "fields" in schema:
        return schema
    return next(filter(None, (record(part, name) for part in parts)), {})


async def test_a_schema_is_registered_once_and_found_by_its_text_and_its_id(
    client: SchemaRegistry, lending: Subject
) -> None:
    assert await client.find(lending.subject, lending.schema) is None
    assert await client.compatibility(lending.subject) is None
    [before] = await register(client, [lending])
    assert before.registered is None
    assert not before.done
    [standing] = await look(client, [lending])
    assert standing.done
    assert standing.registered is not None
    assert standing.registered.version == 1
    for _ in range(2):
        assert await register(client, [lending]) == (standing,)
        assert await client.register(lending.subject, lending.schema) == standing.registered.schema_id
    assert await client.find(lending.subject, lending.schema) == standing.registered
    assert await client.schema(standing.registered.schema_id) == lending.schema
    assert await client.schema(2_000_000_000) is None
    assert await require(client, [lending]) == {"lending": standing.registered.schema_id}


async def test_a_new_field_with_a_default_is_a_second_version(client: SchemaRegistry, lending: Subject) -> None:
    await register(client, [lending])
    field = {"name": "added", "type": ["null", "string"], "default": None, "doc": "More."}
    wider = replace(lending, schema=changed(lambda schema: schema["fields"].append(field)))
    with pytest.raises(ConfigurationError, match=rf"under {lending.subject}: `zindigi schemas register`"):
        await require(client, [wider])
    await register(client, [wider])
    found = [await client.find(lending.subject, one.schema) for one in (lending, wider)]
    assert [one.version for one in found if one is not None] == [1, 2]


@pytest.mark.parametrize(
    "change",
    [
        lambda schema: schema["fields"].append({"name": "added", "type": "string"}),
        lambda schema: schema["fields"].pop(0),
        lambda schema: schema["fields"][0].update(type="long"),
    ],
    ids=["a field without a default", "a removed field", "another type"],
)
async def test_a_change_that_breaks_readers_is_refused(
    client: SchemaRegistry, lending: Subject, change: Callable[[Any], object]
) -> None:
    await register(client, [lending])
    broken = replace(lending, schema=changed(change))
    with pytest.raises(ConfigurationError, match=f"the schema for {lending.subject} is not compatible"):
        await register(client, [broken])
    with pytest.raises(ConfigurationError, match=rf"refuses the schema for {lending.subject}: .* \(409\)"):
        await client.register(lending.subject, broken.schema)
    assert await client.find(lending.subject, broken.schema) is None
    # It is the level that protects: without it the same change passes.
    await client.set_compatibility(lending.subject, "NONE")
    assert await client.incompatibility(lending.subject, broken.schema) is None


async def test_the_scale_of_an_amount_is_not_protected_by_a_registry(client: SchemaRegistry, lending: Subject) -> None:
    """Readers would be off by a factor of ten: that is why it is checked before anything is registered."""
    await register(client, [lending])

    def rescale(schema: dict[str, Any]) -> None:
        amounts = [field["type"] for field in record(schema, "Loan")["fields"] if isinstance(field["type"], dict)]
        [scale, *_] = [one for one in amounts if one.get("logicalType") == "decimal"]
        scale["scale"] = 3

    rescaled = changed(rescale)
    assert rescaled != lending.schema
    assert await client.incompatibility(lending.subject, rescaled) is None
    assert await client.compatibility(lending.subject) == FULL_TRANSITIVE


async def test_what_is_no_schema_cannot_be_used(client: SchemaRegistry, lending: Subject) -> None:
    for text in ("{", '{"type":"record","name":"a","fields":[{"name":"b","type":"nothing"}]}'):
        with pytest.raises(ConfigurationError, match=rf"cannot use what it was sent for {lending.subject} \(422\): "):
            await client.register(lending.subject, text)


async def test_white_space_and_the_order_of_keys_make_no_version(client: SchemaRegistry, lending: Subject) -> None:
    await register(client, [lending])
    spread = json.dumps(json.loads(lending.schema), indent=4)
    assert await client.find(lending.subject, canonical(json.loads(spread))) == await client.find(
        lending.subject, lending.schema
    )


async def test_another_server_is_no_registry(registry: Registry) -> None:
    elsewhere = registry.url.replace("/apis/ccompat/v7", "/nothing")
    async with SchemaRegistry(RegistryOptions(elsewhere)) as client:
        with pytest.raises(ConfigurationError, match="answers 404, as no schema registry does"):
            await client.find("a", "{}")
    async with SchemaRegistry(RegistryOptions("http://127.0.0.1:1")) as client:
        with pytest.raises(UnavailableError, match=r"cannot be reached \(ConnectError\)"):
            await client.find("a", "{}")


# ── Topics framed by ids ────────────────────────────────────────────────────────────────────────────────────────────


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
    said = set()
    for start in (other.open_journal, other.open_reader, lambda: apply_topics(other.options, SystemClock())):
        with pytest.raises(ConfigurationError) as refusal:
            await start()  # type: ignore[operator]
        said.add(str(refusal.value))
    [why] = said
    assert f"values are framed as '{made}', not '{opened}'" in why
    assert f'Set journal.framing = "{made}", or begin new topics under another kafka.prefix' in why
    # Nothing is registered for topics that cannot be used.
    assert not any(one.registered for one in await look(client, event_subjects(other.options)))
    await (await backend.open_journal()).close()


@pytest.fixture
def zindigi(
    broker: Broker,
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """The command line, set to topics framed by ids: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZINDIGI_VAULT__MASTER_KEY", base64.b64encode(b"k" * 32).decode())
    told = {
        "journal.kind": "kafka",
        "journal.framing": "confluent",
        "kafka.bootstrap_servers": broker.bootstrap_servers,
        "kafka.prefix": f"cli-{secrets.token_hex(4)}",
        "kafka.replication_factor": "1",
        "registry.url": registry.url,
    }

    def run(*arguments: str, **more: str) -> tuple[int, str, str]:
        settings = told | {name.replace("__", "."): value for name, value in more.items()}
        code = execute([*arguments, *(word for key in settings for word in ("--set", f"{key}={settings[key]}"))])
        return code, *capsys.readouterr()

    yield run
    # Commands log to the standard error of this test, which is closed when it ends.
    structlog.reset_defaults()
    logging.getLogger().handlers.clear()


Command = Callable[..., tuple[int, str, str]]


def test_a_start_without_registered_schemas_names_each_and_the_command(zindigi: Command) -> None:
    code, _, said = zindigi("topics", "apply")
    assert code == 0
    assert "framing confluent" in said
    code, _, said = zindigi("run")
    assert code == 78
    for name in EVENT_TOPICS:
        assert f".{name}-value" in said
    assert "`zindigi schemas register` registers them" in said
    # A start alone has registered nothing.
    code, out, _ = zindigi("schemas", "register", "--dry-run", "--json")
    assert code == 0
    assert {row["done"] for row in json.loads(out)["subjects"]} == {"to register"}


def test_the_command_registers_once_and_prints_what_there_is(zindigi: Command) -> None:
    code, out, said = zindigi("schemas", "register")
    assert code == 0
    assert [line.split()[3:] for line in out.splitlines()[1:]] == [[FULL_TRANSITIVE, "registered"]] * len(EVENT_TOPICS)
    assert f"{len(EVENT_TOPICS)} of {len(EVENT_TOPICS)} subjects changed" in said
    code, out, said = zindigi("schemas", "register")
    assert code == 0
    assert {line.split()[4] for line in out.splitlines()[1:]} == {"nothing"}
    assert "Nothing to do" in said
    code, out, _ = zindigi("schemas", "register", "--json")
    rows = json.loads(out)["subjects"]
    assert [row["subject"].partition(".")[2] for row in rows] == [f"{name}-value" for name in EVENT_TOPICS]
    assert all(row["version"] == 1 and row["id"] > 0 for row in rows)


async def test_the_command_ends_with_78_when_a_schema_does_not_fit(zindigi: Command, client: SchemaRegistry) -> None:
    prefix = f"taken-{secrets.token_hex(4)}"
    await client.set_compatibility(f"{prefix}.loyalty-value", FULL_TRANSITIVE)
    await client.register(f"{prefix}.loyalty-value", changed(lambda schema: schema["fields"][0].update(type="long")))
    code, _, said = await anyio.to_thread.run_sync(lambda: zindigi("schemas", "register", kafka__prefix=prefix))
    assert code == 78
    assert f"the schema for {prefix}.loyalty-value is not compatible" in said
    assert await client.compatibility(f"{prefix}.lending-value") is None, "then nothing is registered"


def test_the_command_without_a_registry(zindigi: Command) -> None:
    code, _, said = zindigi("schemas", "register", registry__url="http://127.0.0.1:1")
    assert (code, "cannot be reached" in said) == (75, True)
    assert execute(["schemas", "register"]) == 78


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
