"""A real schema registry: what is registered there, and what it refuses; and the command that registers."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio.to_thread
import pytest

from connector.avro import schema_store
from connector.cli.main import execute
from connector.errors import ConfigurationError, UnavailableError
from connector.journal.kafka.options import EVENT_TOPICS
from connector.journal.registration import Subject, canonical, look, register, require
from connector.journal.registry import FULL_TRANSITIVE, SchemaRegistry
from connector.journal.registry_options import RegistryOptions
from connector.proving.registry import Registry
from tests.kafka.conftest import Command

pytestmark = pytest.mark.anyio


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


# ── The command ─────────────────────────────────────────────────────────────────────────────────────────────────────


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
