"""The topics of a deployment: which there must be, what is missing, what differs; and making what is missing.

Nothing is ever altered: a topic that is there with another partition count, policy or limit is named and refused, for
changing it is an operator's decision about data that is already in it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import anyio
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import InvalidReplicationFactorError, NoError, TopicAlreadyExistsError, for_code

from connector.errors import ConfigurationError, JournalError
from connector.journal.epoch import new_epoch
from connector.journal.kafka.connections import start_client
from connector.journal.kafka.failures import failing, finish
from connector.journal.kafka.options import EVENT_TOPICS, MAXIMUM_BATCH_BYTES, KafkaOptions
from connector.journal.kafka.partitions import (
    Patience,
    Watermarks,
    rounds_up_to,
    seek,
    start_consumer,
    stop_consumer,
)
from connector.ports import Clock

STATE: Final = "state"
LINKS: Final = "links"
QUARANTINE: Final = "quarantine"
ABOUT: Final = "about"

FORMAT_VERSION: Final = 1
_ABOUT_KEY: Final = b"about"
_LOOK_SECONDS: Final = 0.1
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
MINIMUM_TOMBSTONE_MS: Final = _DAY_MS

_COMPACT: Final[Mapping[str, str]] = {
    "cleanup.policy": "compact",
    "segment.ms": str(_HOUR_MS),
    "min.cleanable.dirty.ratio": "0.1",
    "max.compaction.lag.ms": str(6 * _HOUR_MS),
    "delete.retention.ms": str(_DAY_MS),
}


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it must be; `config` holds what is set on it when it is made."""

    name: str
    partition_count: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TopicsPlan:
    """What applying would do: make `create`, and mark the deployment if `mark`.

    `differences` are complete sentences; while there are any, nothing is done and no connector starts. `epoch` is the
    branch that the deployment is; empty where it is not marked yet.
    """

    create: tuple[TopicSpec, ...]
    mark: bool
    differences: tuple[str, ...]
    epoch: str = ""

    @property
    def done(self) -> bool:
        """Is everything there, as it must be?"""
        return not (self.create or self.mark or self.differences)

    def require_none_differs(self) -> None:
        """Raises ConfigurationError with all differences, a line each."""
        if self.differences:
            raise ConfigurationError("\n".join(self.differences))


def shard_topics(options: KafkaOptions) -> tuple[str, ...]:
    """Full names of every topic that a shard writes its partition of."""
    return tuple(options.topic(name) for name in (*EVENT_TOPICS, STATE, LINKS, QUARANTINE))


def wanted_topics(options: KafkaOptions) -> tuple[TopicSpec, ...]:
    """Every topic that the deployment needs."""
    common = {
        "max.message.bytes": str(MAXIMUM_BATCH_BYTES),
        "min.insync.replicas": str(max(1, options.replication_factor - 1)),
    }
    retention_ms = int(options.event_retention_days * _DAY_MS)
    log = {"cleanup.policy": "delete", "retention.ms": str(retention_ms), **common}
    changelog = {**_COMPACT, **common}
    return (
        *(TopicSpec(options.topic(name), options.shard_count, log) for name in EVENT_TOPICS),
        TopicSpec(options.topic(STATE), options.shard_count, changelog),
        TopicSpec(options.topic(LINKS), options.shard_count, changelog),
        TopicSpec(options.topic(QUARANTINE), options.shard_count, log),
        TopicSpec(options.topic(ABOUT), 1, changelog),
    )


async def plan_topics(options: KafkaOptions, clock: Clock) -> TopicsPlan:
    """What is missing and what differs; changes nothing.

    Raises:
        JournalError: the brokers do not answer.
    """
    async with _admin(options) as admin:
        with failing("the topics cannot be looked at"):
            there = {topic["topic"]: topic for topic in await admin.describe_topics()}
            wanted = wanted_topics(options)
            found = [spec for spec in wanted if spec.name in there]
            configs = await _configs(admin, [spec.name for spec in found]) if found else {}
    differences = _differences((spec, len(there[spec.name]["partitions"]), configs[spec.name]) for spec in found)
    create = tuple(spec for spec in wanted if spec.name not in there)
    markable = options.topic(ABOUT) in there
    about = await _read_about(options, clock) if markable else None
    if about is None and not differences and found and (unmarked := await _unmarked_data(options, found)):
        # Another one may have marked it meanwhile: whatever is there was written after the mark.
        about = await _read_about(options, clock) if markable else None
        differences += unmarked if about is None else []
    if about is not None:
        differences += _mark_differences(options, about)
    return TopicsPlan(create, about is None, tuple(differences), str((about or {}).get("epoch", "")))


async def apply_topics(options: KafkaOptions, clock: Clock) -> TopicsPlan:
    """Make what is missing, and nothing else; what was done.

    Raises:
        ConfigurationError: something differs, or there are too few brokers, and nothing was done; or another one was
            quicker, and made a topic otherwise.
        JournalError: the brokers do not answer, or refuse.
    """
    plan = await plan_topics(options, clock)
    plan.require_none_differs()
    if plan.create:
        async with _admin(options) as admin:
            new = [
                NewTopic(spec.name, spec.partition_count, options.replication_factor, topic_configs=dict(spec.config))
                for spec in plan.create
            ]
            with failing("the topics cannot be made"):
                answer = await admin.create_topics(new)
        for name, code, message in answer.topic_errors:
            error = for_code(code)
            if error is InvalidReplicationFactorError:
                raise ConfigurationError(f"kafka.replication_factor = {options.replication_factor}: {message}")
            if error not in {NoError, TopicAlreadyExistsError}:
                raise JournalError(f"the topic {name} cannot be made: {message or error.__name__}")
        await _all_there(options, clock)
    if plan.mark:
        await write_about(options, new_epoch())
    return plan


async def _all_there(options: KafkaOptions, clock: Clock) -> None:
    """Wait until the brokers know of every topic, and look at them: another one may have been quicker.

    Raises:
        ConfigurationError: what is there now differs.
        JournalError: they never hear of it.
    """
    deadline = clock.monotonic() + options.start_timeout_seconds
    while (plan := await plan_topics(options, clock)).create:
        if clock.monotonic() > deadline:
            missing = ", ".join(spec.name for spec in plan.create)
            raise JournalError(f"made, but not there after {options.start_timeout_seconds:.0f} s: {missing}")
        await clock.sleep(_LOOK_SECONDS)
    plan.require_none_differs()


async def require_topics(options: KafkaOptions, clock: Clock) -> str:
    """The epoch of a deployment whose topics are there, as they must be; any other is refused.

    Raises:
        ConfigurationError: all that is wrong, a line each.
        JournalError: the brokers do not answer.
    """
    plan = await plan_topics(options, clock)
    complaints = list(plan.differences)
    if plan.create or plan.mark:
        missing = ", ".join(spec.name for spec in plan.create) or "the mark of the deployment"
        complaints.append(f"missing on {options.bootstrap_servers}: {missing}; `zindigi topics apply` makes them")
    if complaints:
        raise ConfigurationError("\n".join(complaints))
    return plan.epoch


def _differences(found: Iterable[tuple[TopicSpec, int, Mapping[str, str]]]) -> list[str]:
    """What is other than it must be, each in a sentence that names all topics of which it is true.

    `found` holds each topic's specification, partition count and configuration.
    """
    topics: dict[str, list[str]] = {}
    for spec, partition_count, config in found:
        for complaint in _complaints(spec, partition_count, config):
            topics.setdefault(complaint, []).append(spec.name)
    return [f"{', '.join(names)}: {complaint}" for complaint, names in topics.items()]


def _complaints(spec: TopicSpec, partition_count: int, config: Mapping[str, str]) -> Iterator[str]:
    if partition_count != spec.partition_count:
        yield (
            f"{partition_count} partition{'s' if partition_count != 1 else ''}, not {spec.partition_count} "
            "(journal.shard_count). An account's partition follows from that number, so it never changes"
        )
    policy = config.get("cleanup.policy")
    if policy != spec.config["cleanup.policy"]:
        yield f"cleanup.policy={policy}, not {spec.config['cleanup.policy']}"
    limit = int(config.get("max.message.bytes", 0))
    if limit < MAXIMUM_BATCH_BYTES:
        yield f"max.message.bytes={limit}, but {MAXIMUM_BATCH_BYTES} are needed"
    kept = int(config.get("delete.retention.ms", 0))
    if spec.config["cleanup.policy"] == "compact" and kept < MINIMUM_TOMBSTONE_MS:
        yield f"delete.retention.ms={kept}, but at least {MINIMUM_TOMBSTONE_MS} are needed"


def _mark_differences(options: KafkaOptions, about: Mapping[str, Any]) -> list[str]:
    complaints = []
    if about.get("format_version") != FORMAT_VERSION:
        complaints.append(f"{options.topic(ABOUT)} says format {about.get('format_version')}, not {FORMAT_VERSION}")
    if not about.get("epoch"):
        complaints.append(f"{options.topic(ABOUT)} does not say which branch the journal is (epoch)")
    if about.get("framing") != options.framing:
        complaints.append(
            f"{options.topic(ABOUT)} says that values are framed as {about.get('framing')!r}, not {options.framing!r}: "
            f"framing is fixed when the topics are made, and never mixed. Set journal.framing = "
            f'"{about.get("framing")}", or begin new topics under another kafka.prefix'
        )
    if about.get("shard_count") != options.shard_count:
        complaints.append(
            f"{options.topic(ABOUT)} says {about.get('shard_count')} shards, but journal.shard_count is "
            f"{options.shard_count}"
        )
    return complaints


async def _unmarked_data(options: KafkaOptions, found: list[TopicSpec]) -> list[str]:
    """Topics that hold something, in a deployment that does not say how its values are framed."""
    watermarks = Watermarks(options)
    try:
        partitions = [TopicPartition(spec.name, number) for spec in found for number in range(spec.partition_count)]
        ends = await watermarks.high(partitions)
    finally:
        await watermarks.close()
    names = sorted({partition.topic for partition, end in ends.items() if end})
    return [f"the topic {name} holds records, but nothing says how they are framed" for name in names]


async def _read_about(options: KafkaOptions, clock: Clock) -> Mapping[str, Any] | None:
    partition = TopicPartition(options.topic(ABOUT), 0)
    watermarks = Watermarks(options)
    consumer = await start_consumer(options, committed=True)
    about: Mapping[str, Any] | None = None
    try:
        ends = await watermarks.high([partition])
        seek(consumer, await watermarks.beginning([partition]))
        async for records in rounds_up_to(consumer, ends, Patience(clock, options.start_timeout_seconds)):
            for record in records.get(partition, ()):
                if record.key == _ABOUT_KEY and record.value is not None:
                    about = json.loads(record.value)
    except ValueError:
        raise ConfigurationError(f"the topic {partition.topic} holds something that is not ours") from None
    finally:
        await stop_consumer(consumer)
        await watermarks.close()
    return about


async def write_about(options: KafkaOptions, epoch: str) -> None:
    """Mark the deployment: how it was made, and the branch that it goes on as.

    Raises:
        JournalError: the brokers do not answer.
    """
    about = {
        "format_version": FORMAT_VERSION,
        "framing": options.framing,
        "shard_count": options.shard_count,
        "epoch": epoch,
    }
    with failing("the deployment cannot be marked"):
        producer = AIOKafkaProducer(enable_idempotence=True, **options.client_arguments())
        try:
            with anyio.fail_after(options.start_timeout_seconds):
                await producer.start()
                value = json.dumps(about, sort_keys=True).encode()
                await producer.send_and_wait(options.topic(ABOUT), value, key=_ABOUT_KEY, partition=0)
        finally:
            await finish(producer.stop(), options.request_timeout_seconds)


@asynccontextmanager
async def _admin(options: KafkaOptions) -> AsyncIterator[AIOKafkaAdminClient]:
    with failing(f"Kafka at {options.bootstrap_servers}"):
        admin = AIOKafkaAdminClient(**options.client_arguments())
        try:
            with anyio.fail_after(options.start_timeout_seconds):
                await start_client(admin, admin._client)  # there is no public way
        except BaseException:
            await finish(admin.close(), options.request_timeout_seconds)
            raise
    try:
        yield admin
    finally:
        await finish(admin.close(), options.request_timeout_seconds)


async def _configs(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    configs: dict[str, dict[str, str]] = {}
    for answer in await admin.describe_configs(resources):
        for code, message, _kind, name, entries in answer.resources:
            if code:
                raise JournalError(f"the topic {name} cannot be described: {message or for_code(code).__name__}")
            configs[name] = {entry[0]: entry[1] for entry in entries}
    return configs
