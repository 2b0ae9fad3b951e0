"""Topics are planned, then made, and never altered; a deployment that is other than it must be does not start."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count
from typing import Any

import anyio
import pytest
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from connector.cli.main import execute
from connector.clock import SystemClock
from connector.errors import ConfigurationError
from connector.journal.kafka import topics
from connector.journal.kafka.options import KafkaOptions
from connector.journal.kafka.topics import ABOUT, apply_topics, plan_topics, wanted_topics
from connector.ports import Clock
from connector.proving.broker import Broker
from tests.conftest import QUICK
from tests.contract.journal.backends import KafkaBackend
from tests.contract.journal.samples import EVENTS_A_COMMIT, numbered_commit
from tests.contract.journal.suite import SHARD, opened
from tests.kafka.raw import configure

pytestmark = pytest.mark.anyio


async def made_by_hand(backend: KafkaBackend, name: str, *, partition_count: int) -> None:
    admin = AIOKafkaAdminClient(**backend.options.client_arguments())
    await admin.start()
    try:
        await admin.create_topics([NewTopic(backend.options.topic(name), partition_count, 1)])
    finally:
        await admin.close()
    missing = {spec.name for spec in wanted_topics(backend.options)}
    with anyio.fail_after(10):
        # A broker hears a little later what the controller made.
        while backend.options.topic(name) in missing:
            missing = {spec.name for spec in (await plan_topics(backend.options, SystemClock())).create}


async def refused(backend: KafkaBackend) -> str:
    """Why neither connector nor reader starts, nor anything is made; all three say the same."""
    said = set()
    for start in (backend.open_journal, backend.open_reader, lambda: apply_topics(backend.options, SystemClock())):
        with pytest.raises(ConfigurationError) as refusal:
            await start()  # type: ignore[operator]
        said.add(str(refusal.value))
    [why] = said
    return why


@pytest.fixture
def absent(broker: Broker) -> KafkaBackend:
    """A prefix under which there is nothing."""
    return KafkaBackend(f"{broker.bootstrap_servers} absent-{secrets.token_hex(4)}", tuning=QUICK)


async def test_a_plan_changes_nothing_and_applying_does_what_it_says(absent: KafkaBackend) -> None:
    for _ in range(2):
        plan = await plan_topics(absent.options, SystemClock())
        assert plan.create == wanted_topics(absent.options)
    with pytest.raises(ConfigurationError, match=r"missing on .* `zindigi topics apply` makes them"):
        await absent.open_journal()
    assert (await apply_topics(absent.options, SystemClock())).create == plan.create
    assert (await plan_topics(absent.options, SystemClock())).done
    assert (await apply_topics(absent.options, SystemClock())).create == ()
    await (await absent.open_journal()).close()


async def test_only_what_is_missing_is_made(absent: KafkaBackend) -> None:
    await made_by_hand(absent, "lending", partition_count=absent.shard_count)
    await configure(absent, "lending", retention_ms=60_000)
    made = await apply_topics(absent.options, SystemClock())
    assert {spec.name for spec in wanted_topics(absent.options)} - {spec.name for spec in made.create} == {
        absent.options.topic("lending")
    }
    # How long events are kept is the operator's to change at any time.
    assert (await plan_topics(absent.options, SystemClock())).done


@pytest.mark.parametrize(
    ("topic", "config", "said"),
    [
        ("state", {"cleanup_policy": "delete"}, "cleanup.policy=delete, not compact"),
        ("lending", {"cleanup_policy": "compact"}, "cleanup.policy=compact, not delete"),
        ("loyalty", {"max_message_bytes": 1000}, "max.message.bytes=1000, but 1048588 are needed"),
        ("links", {"delete_retention_ms": 1000}, "delete.retention.ms=1000, but at least 86400000 are needed"),
    ],
)
async def test_a_topic_set_otherwise_is_refused(
    backend: KafkaBackend, topic: str, config: dict[str, Any], said: str
) -> None:
    await configure(backend, topic, **config)
    assert await refused(backend) == f"{backend.options.topic(topic)}: {said}"


async def test_another_number_of_shards_is_refused(backend: KafkaBackend) -> None:
    other = replace(backend, shard_count=7)
    why = await refused(other)
    assert f"{backend.options.topic('quarantine')}: 3 partitions, not 7 (journal.shard_count)" in why
    assert f"{backend.options.topic(ABOUT)} says 3 shards, but journal.shard_count is 7" in why


async def test_a_single_topic_with_another_number_of_partitions_is_refused(absent: KafkaBackend) -> None:
    await made_by_hand(absent, "loyalty", partition_count=2)
    with pytest.raises(ConfigurationError, match="loyalty: 2 partitions, not 3"):
        await apply_topics(absent.options, SystemClock())
    assert len((await plan_topics(absent.options, SystemClock())).create) == len(wanted_topics(absent.options)) - 1, (
        "nothing was made"
    )


async def test_two_who_make_them_at_once_end_with_the_same(absent: KafkaBackend) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(apply_topics, absent.options, SystemClock())
    assert (await plan_topics(absent.options, SystemClock())).done


async def test_a_mark_that_another_one_sets_meanwhile_is_seen(
    backend: KafkaBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, looks = topics._read_about, count()

    async def read_too_early(options: KafkaOptions, clock: Clock) -> Mapping[str, Any] | None:
        return None if next(looks) == 0 else await read(options, clock)

    monkeypatch.setattr(topics, "_read_about", read_too_early)
    assert (await plan_topics(backend.options, SystemClock())).done


async def written(backend: KafkaBackend, name: str, key: bytes, value: bytes) -> None:
    producer = AIOKafkaProducer(**backend.options.client_arguments())
    await producer.start()
    try:
        await producer.send_and_wait(backend.options.topic(name), value, key=key, partition=0)
    finally:
        await producer.stop()


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"format_version": 1, "framing": "confluent", "shard_count": 3}, "values are framed as 'confluent'"),
        ({"format_version": 2, "framing": "single-object", "shard_count": 3}, "says format 2, not 1"),
    ],
)
async def test_mixed_framing_or_a_later_format_is_refused(
    backend: KafkaBackend, about: dict[str, Any], said: str
) -> None:
    await written(backend, ABOUT, b"about", json.dumps(about).encode())
    assert said in await refused(backend)


async def test_topics_with_records_of_unknown_framing_are_refused(absent: KafkaBackend) -> None:
    await made_by_hand(absent, "lending", partition_count=absent.shard_count)
    await configure(absent, "lending")
    await written(absent, "lending", b"a", b"?")
    with pytest.raises(ConfigurationError, match="lending holds records, but nothing says how they are framed"):
        await apply_topics(absent.options, SystemClock())


async def test_a_lost_state_is_refused_and_not_begun_anew(backend: KafkaBackend) -> None:
    async with opened(backend) as (journal, _reader):
        await (await journal.acquire(SHARD)).commit(numbered_commit(SHARD, 1))
    admin = AIOKafkaAdminClient(**backend.options.client_arguments())
    await admin.start()
    try:
        await admin.delete_topics([backend.options.topic("state")])
    finally:
        await admin.close()
    with pytest.raises(ConfigurationError, match=r"missing on .*state"):
        await backend.open_journal()
    await apply_topics(backend.options, SystemClock())
    async with opened(backend) as (journal, reader):
        with pytest.raises(ConfigurationError, match=rf"lending, .*partition {SHARD} holds events, but .*it was lost"):
            await journal.acquire(SHARD)
        # A shard that never told anything has nothing to lose.
        await (await journal.acquire(0)).commit(numbered_commit(0, 1))
        assert len([event async for event in reader.read_events(("lending",))]) == EVENTS_A_COMMIT


async def test_too_few_brokers_are_a_wrong_setting(broker: Broker) -> None:
    place = KafkaBackend(f"{broker.bootstrap_servers} few-{secrets.token_hex(4)}", tuning=QUICK)
    with pytest.raises(ConfigurationError, match=r"kafka.replication_factor = 3: .*only 1 broker"):
        await apply_topics(replace(place.options, replication_factor=3), SystemClock())


@pytest.fixture
def quiet_afterwards() -> Iterator[None]:
    """Commands log to the standard error of this test, which is closed when it ends."""
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers.clear()


@pytest.mark.usefixtures("quiet_afterwards")
def test_the_command_line_plans_and_applies(broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    told = {
        "journal.kind": "kafka",
        "kafka.bootstrap_servers": broker.bootstrap_servers,
        "kafka.prefix": f"cli-{secrets.token_hex(4)}",
        "kafka.replication_factor": "1",
    }
    flags = [word for key, value in told.items() for word in ("--set", f"{key}={value}")]
    assert execute(["topics", "plan", "--json", *flags]) == 0
    planned = json.loads(capsys.readouterr().out)
    every = len(wanted_topics(KafkaOptions(broker.bootstrap_servers, told["kafka.prefix"])))
    assert (len(planned["create"]), planned["differences"]) == (every, [])
    assert execute(["topics", "apply", *flags]) == 0
    assert capsys.readouterr().out.count(told["kafka.prefix"]) == every
    assert execute(["topics", "plan", *flags]) == 0
    assert "Every topic is there" in "".join(capsys.readouterr())
    assert execute(["topics", "plan", *flags, "--set", "journal.shard_count=2"]) == 78
    assert "1 partition, not 2 (journal.shard_count)" in capsys.readouterr().err
    assert execute(["topics", "plan", *flags, "--set", "journal.kind=sqlite"]) == 2
