"""What every test stands on."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connector.proving.broker import Broker, running_broker
from connector.proving.maven import ToolError, resolved
from connector.proving.registry import Registry, running_registry
from tests.contract.journal.backends import Backend, SqliteBackend, fresh_kafka

EXAMPLES = Path(__file__).parent.parent / "examples"
QUICK = {"commit_timeout_seconds": 3.0, "request_timeout_seconds": 2.0, "start_timeout_seconds": 10.0}
JOURNALS = ("sqlite", "kafka")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A real broker, shared by all tests that leave it running; each works under a prefix of its own.

    Where Java or Maven is missing, or Maven reaches nobody, tests are skipped, but never where CI says so.
    """
    with _required_by_ci(), running_broker(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A real schema registry, shared by all tests; each works under subjects of its own. Skipped as `broker` is."""
    with _required_by_ci(), running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@contextmanager
def _required_by_ci() -> Iterator[None]:
    """What cannot be had skips the tests that need it; where CI says so, it fails them."""
    try:
        yield
    except ToolError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def _late_connections(request: pytest.FixtureRequest) -> Iterator[None]:
    """A connection that a Kafka client was making when it was given up is left to the garbage collector, which says so.

    It happens where a broker comes back at that very moment. Collected here, lest another test be blamed for it.
    """
    yield
    if "broker" not in request.fixturenames and "kafka" not in request.node.name:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.proof)])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """Where a world's journal lives: once for each kind, with a single shard. Over Kafka it is a long proof."""
    if request.param == "sqlite":
        return SqliteBackend(str(tmp_path / "journal.db"), shard_count=1)
    running: Broker = request.getfixturevalue("broker")
    return await fresh_kafka(running.bootstrap_servers, shard_count=1, tuning=QUICK)


@pytest.fixture(params=JOURNALS)
def kafka(request: pytest.FixtureRequest) -> str | None:
    """For rigs of processes: bootstrap servers, or None for the embedded journal; once for each."""
    if request.param == "sqlite":
        return None
    running: Broker = request.getfixturevalue("broker")
    return running.bootstrap_servers


@pytest.fixture(scope="session")
def avro_jars() -> Path:
    """Avro's jars, by Maven; without Java the reader cannot run, which is an error where CI says so."""
    with _required_by_ci():
        return resolved(EXAMPLES / "pom.xml", "the Java reader")
