"""What is said of a registry that refuses, fails, or is none; registering; framing. tests/kafka asks a real one."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from connector.avro import schema_store
from connector.errors import ConfigurationError, ConnectorError, DataError, RateLimitedError, UnavailableError
from connector.journal.choice import open_journal, open_reader
from connector.journal.kafka.framing import Unframing, confluent, single_object
from connector.journal.kafka.options import KafkaOptions
from connector.journal.kafka.settled import kafka_options
from connector.journal.registration import canonical, look, register, require, subjects
from connector.journal.registry import FULL_TRANSITIVE, Registration, SchemaRegistry
from connector.journal.registry_options import RegistryOptions, registry_options
from connector.settings import load_settings
from tests.support.virtual_clock import VirtualClock

pytestmark = pytest.mark.anyio

URL = "https://registry.example.invalid/api"
SECRET = "planted-in-a-test"
OPTIONS = RegistryOptions(URL, "somebody", SECRET, timeout_seconds=5.0)
LENDING = subjects({"lending": "z.lending"})


def answering(status: int, body: Any = None, **more: Any) -> SchemaRegistry:
    """A client whose registry has one answer to everything."""
    text = body if isinstance(body, str) else json.dumps(body)
    return on(lambda _: httpx.Response(status, text=text, **more))


def on(handler: Callable[[httpx.Request], httpx.Response], options: RegistryOptions = OPTIONS) -> SchemaRegistry:
    return SchemaRegistry(options, transport=httpx.MockTransport(handler))


async def refusal(registry: SchemaRegistry) -> ConnectorError:
    """What registering raises; never with the password in it."""
    async with registry:
        with pytest.raises(ConnectorError) as caught:
            await registry.register("z.lending-value", "{}")
    assert SECRET not in repr(caught.value)
    assert caught.value.__cause__ is None
    return caught.value


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (401, {"error_code": 40101}, ConfigurationError, ("does not know us", "$ZINDIGI_REGISTRY__PASSWORD")),
        (403, {"error_code": 40301}, ConfigurationError, ("forbids this for z.lending-value", "needs writing")),
        (
            409,
            {"error_code": 409, "message": "reader type: INT\nnot compatible"},
            ConfigurationError,
            ("refuses the schema for z.lending-value", "reader type: INT not compatible.", "another kafka.prefix"),
        ),
        (422, {"error_code": 42201, "message": "no Avro"}, ConfigurationError, ("for z.lending-value (422): no Avro",)),
        (429, "", RateLimitedError, ("asks to slow down",)),
        (500, {"error_code": 50001, "message": "store"}, UnavailableError, ("is in trouble (500): store",)),
        (503, "<html>", UnavailableError, ("is in trouble (503): it gives no reason",)),
        (404, "<html>", ConfigurationError, ("answers 404, as no schema registry does", "/apis/ccompat/v7")),
        (404, {"error_code": 404}, ConfigurationError, ("answers 404, as no schema registry does",)),
        (301, "", ConfigurationError, ("answers 301",)),
        (200, "<html>", ConfigurationError, ("with something else than a JSON object",)),
        (200, [1], ConfigurationError, ("with something else than a JSON object",)),
        (200, {"id": "1"}, ConfigurationError, ("tells no id",)),
    ],
)
async def test_each_refusal_says_what_to_do(status: int, body: Any, kind: type, said: tuple[str, ...]) -> None:
    error = await refusal(answering(status, body))
    assert type(error) is kind
    for words in (URL, *said):
        assert words in str(error)


async def test_the_registrys_own_words_are_cut_short() -> None:
    error = await refusal(answering(409, {"message": "x" * 5_000}))
    assert len(str(error)) < 1_000


async def test_when_to_come_back_is_the_registrys_wish() -> None:
    error = await refusal(answering(429, "", headers={"Retry-After": "7"}))
    assert isinstance(error, RateLimitedError)
    assert error.retry_after_seconds == 7


@pytest.mark.parametrize("failure", [httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError])
async def test_one_that_cannot_be_reached_is_away(failure: type[httpx.HTTPError]) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise failure(f"told {SECRET}")

    error = await refusal(on(fail))
    assert isinstance(error, UnavailableError)
    assert failure.__name__ in str(error)
    assert "is it up, and registry.url its address?" in str(error)


async def test_one_that_does_not_answer_in_time_is_away() -> None:
    async def hang(_: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError

    options = replace(OPTIONS, timeout_seconds=0.05)
    error = await refusal(SchemaRegistry(options, transport=httpx.MockTransport(hang)))
    assert isinstance(error, UnavailableError)
    assert "did not answer within 0.05 s (registry.timeout_seconds)" in str(error)


@pytest.mark.parametrize("code", [40401, 40403, 40408])
async def test_what_it_does_not_know_is_no_error(code: int) -> None:
    async with answering(404, {"error_code": code}) as registry:
        assert await registry.find("s", "{}") is None
        assert await registry.schema(7) is None
        assert await registry.compatibility("s") is None
        assert await registry.incompatibility("s", "{}") is None


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"is_compatible": True}, None),
        ({"is_compatible": False, "messages": ["a field", "is gone"]}, "a field is gone"),  # Confluent's
        ({"is_compatible": False, "reason": "a field is gone"}, "a field is gone"),  # Apicurio's
        ({"is_compatible": False}, "the registry gives no reason"),
    ],
)
async def test_why_a_schema_is_not_compatible(body: Any, why: str | None) -> None:
    async with answering(200, body) as registry:
        assert await registry.incompatibility("s", "{}") == why


async def test_user_and_password_travel_as_basic_authentication_and_nowhere_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"id": 1, "version": 1})

    with caplog.at_level(logging.DEBUG):
        logging.getLogger("httpx").setLevel(logging.WARNING)  # as it is set where the client is made
        async with on(answer) as registry:
            await registry.find("a/b c", "{}")
    [request] = asked
    assert request.headers["Authorization"].startswith("Basic ")
    assert request.url.raw_path == b"/api/subjects/a%2Fb%20c"
    assert SECRET not in str(request.url) + str(request.content) + caplog.text + repr(OPTIONS)


async def test_without_a_user_nobody_is_named() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert "Authorization" not in request.headers
        return httpx.Response(200, json={"id": 1})

    async with on(answer, RegistryOptions(URL)) as registry:
        assert await registry.register("s", "{}") == 1


def test_a_password_does_not_travel_in_clear() -> None:
    flags = {"registry.username": "u", "registry.password": SECRET}
    for url in ("https://registry.example.invalid", "http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"):
        assert registry_options(load_settings(flags=flags | {"registry.url": url}).settings).password == SECRET
    for url in ("http://registry.example.invalid", "http://192.0.2.1:8081"):
        with pytest.raises(ConfigurationError, match="would travel in clear") as caught:
            registry_options(load_settings(flags=flags | {"registry.url": url}).settings)
        assert SECRET not in str(caught.value)


def test_a_file_of_certificates_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    for ca_file in (tmp_path / "none.pem", tmp_path):
        with pytest.raises(ConfigurationError, match=r"registry\.ca_file = .* cannot be used"):
            SchemaRegistry(RegistryOptions(URL, ca_file=ca_file))


# ── Registration ────────────────────────────────────────────────────────────────────────────────────────────────────


class FakeRegistry:
    """Just enough of one: what is registered by subject, levels, and a record of what was changed."""

    def __init__(self, *, compatible: bool = True) -> None:
        self.schemas: dict[str, list[str]] = {}
        self.levels: dict[str, str] = {}
        self.changes: list[str] = []
        self.compatible = compatible

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path, payload = request.url.path.removeprefix("/api"), json.loads(request.content or "{}")
        match path.strip("/").split("/"):
            case ["subjects", subject, "versions"]:
                self.changes.append(f"register {subject}")
                self.schemas.setdefault(subject, []).append(payload["schema"])
                return httpx.Response(200, json={"id": 7})
            case ["subjects", subject] if payload["schema"] in self.schemas.get(subject, ()):
                return httpx.Response(200, json={"id": 7, "version": 1, "subject": subject})
            case ["config", subject] if request.method == "PUT":
                self.changes.append(f"level {subject}")
                self.levels[subject] = payload["compatibility"]
                return httpx.Response(200, json=payload)
            case ["config", subject] if subject in self.levels:
                return httpx.Response(200, json={"compatibilityLevel": self.levels[subject]})
            case ["compatibility", *_]:
                return httpx.Response(200, json={"is_compatible": self.compatible, "reason": "a field is gone"})
        return httpx.Response(404, json={"error_code": 40401})


TWO = subjects({"lending": "z.lending", "loyalty": "z.loyalty"})


async def test_the_level_is_set_before_the_schema_is_registered() -> None:
    fake = FakeRegistry()
    async with on(fake) as registry:
        await register(registry, LENDING)
        assert fake.changes == ["level z.lending-value", "register z.lending-value"]
        assert fake.levels == {"z.lending-value": FULL_TRANSITIVE}
        [standing] = await register(registry, LENDING)
        assert standing.done
        assert standing.registered == Registration(7, 1)
    assert len(fake.changes) == 2, "the second time nothing is changed"


async def test_a_level_that_somebody_changed_is_set_again() -> None:
    fake = FakeRegistry()
    async with on(fake) as registry:
        await register(registry, LENDING)
        fake.levels["z.lending-value"] = "NONE"
        await register(registry, LENDING)
    assert fake.changes[2:] == ["level z.lending-value"]


async def test_while_one_is_incompatible_nothing_is_registered() -> None:
    fake = FakeRegistry(compatible=False)
    async with on(fake) as registry:
        with pytest.raises(ConfigurationError) as caught:
            await register(registry, TWO)
    lines = str(caught.value).splitlines()
    assert [line.split(" for ")[1].split()[0] for line in lines] == ["z.lending-value", "z.loyalty-value"]
    assert all("a field is gone" in line for line in lines)
    assert fake.changes == []


async def test_looking_changes_nothing() -> None:
    fake = FakeRegistry()
    async with on(fake) as registry:
        assert not any(standing.done for standing in await look(registry, TWO))
    assert fake.changes == []


async def test_what_is_missing_is_named_with_the_command_that_registers_it() -> None:
    fake = FakeRegistry()
    async with on(fake) as registry:
        await register(registry, LENDING)
        with pytest.raises(ConfigurationError) as caught:
            await require(registry, TWO)
        assert "under z.loyalty-value: `zindigi schemas register` registers them" in str(caught.value)
        assert "z.lending-value" not in str(caught.value)
        await register(registry, TWO)
        assert await require(registry, TWO) == {"lending": 7, "loyalty": 7}


def test_one_text_is_sent_for_a_schema_however_it_is_written() -> None:
    schema = {"type": "record", "name": "a", "fields": [], "doc": "ü"}
    assert canonical(schema) == canonical(dict(reversed(schema.items())))
    assert canonical(schema) == '{"doc":"ü","fields":[],"name":"a","type":"record"}'


# ── Framing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

FINGERPRINT = bytes(range(8))
VALUE = b"\xc3\x01" + FINGERPRINT + b"body"
KAFKA = KafkaOptions("127.0.0.1:1", registry=OPTIONS)


def test_confluents_format_is_a_zero_the_id_and_the_body() -> None:
    assert confluent({FINGERPRINT: 258})(VALUE) == b"\x00\x00\x00\x01\x02body"
    assert single_object(VALUE) is VALUE


def test_a_value_of_a_schema_without_an_id_is_never_written() -> None:
    with pytest.raises(KeyError):
        confluent({b"\xff" * 8: 1})(VALUE)


async def test_an_id_is_asked_for_once_and_gives_the_fingerprint_back() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json={"schema": LENDING[0].schema})

    unframing = Unframing(KAFKA, on(answer))
    header = schema_store().events["lending"].header
    for body in (b"one", b"two"):
        assert await unframing.unframed(b"\x00\x00\x00\x01\x02" + body) == header + body
    await unframing.close()
    assert asked == ["/api/schemas/ids/258"]


@pytest.mark.parametrize(
    ("value", "answer", "said"),
    [
        (VALUE, httpx.Response(500), "is not in Confluent's wire format"),
        (b"\x00\x00", httpx.Response(500), "is not in Confluent's wire format"),
        (b"\x00\x00\x00\x00\x09x", httpx.Response(404, json={"error_code": 40403}), "knows no schema with the id 9"),
        (
            b"\x00\x00\x00\x00\x09x",
            httpx.Response(200, json={"schema": '"string"'}),
            r"schema 9 .* is no schema of",
        ),
        (b"\x00\x00\x00\x00\x09x", httpx.Response(200, json={"schema": "{"}), r"schema 9 .* is no schema of"),
    ],
)
async def test_what_is_framed_otherwise_is_refused(value: bytes, answer: httpx.Response, said: str) -> None:
    unframing = Unframing(KAFKA, on(lambda _: answer))
    with pytest.raises(DataError, match=said):
        await unframing.unframed(value)
    await unframing.close()


async def test_an_id_of_another_kind_of_schema_is_refused() -> None:
    unframing = Unframing(KAFKA, answering(200, {"schema": "message A {}", "schemaType": "PROTOBUF"}))
    with pytest.raises(ConfigurationError, match=r"schema 9 .* is not an Avro schema"):
        await unframing.unframed(b"\x00\x00\x00\x00\x09x")
    await unframing.close()


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("embedded")
async def test_the_embedded_journal_refuses_confluents_framing() -> None:
    settings = load_settings(flags={"journal.framing": "confluent", "registry.url": URL}).settings
    for opening in (open_journal, open_reader):
        with pytest.raises(ConfigurationError, match=r"is for the topics of journal\.kind = kafka"):
            await opening(settings, VirtualClock())


def test_confluents_framing_needs_a_registry_and_a_registry_alone_changes_no_framing() -> None:
    flags = {"journal.kind": "kafka", "journal.framing": "confluent"}
    with pytest.raises(ConfigurationError, match=r"registry\.url is not set: .*\$ZINDIGI_REGISTRY__URL"):
        kafka_options(load_settings(flags=flags).settings)
    assert kafka_options(load_settings(flags=flags | {"registry.url": URL}).settings).framing == "confluent"
    alone = load_settings(flags={"journal.kind": "kafka", "registry.url": URL}).settings
    assert kafka_options(alone).framing == "single-object"
