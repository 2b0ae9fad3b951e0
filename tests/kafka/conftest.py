from __future__ import annotations

import base64
import logging
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import structlog

from connector.cli.main import execute
from connector.journal.registry import SchemaRegistry
from connector.journal.registry_options import RegistryOptions
from connector.proving.broker import Broker
from connector.proving.registry import Registry
from tests.conftest import QUICK
from tests.contract.journal.backends import KafkaBackend, fresh_kafka

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
async def backend(broker: Broker) -> KafkaBackend:
    """Topics of its own on the shared broker, and short times to wait."""
    return await fresh_kafka(broker.bootstrap_servers, tuning=QUICK)


@pytest.fixture
def ignoring() -> Iterator[None]:
    """Processes are started as in the background of a script's shell: they inherit that SIGINT is ignored."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
async def client(registry: Registry) -> AsyncIterator[SchemaRegistry]:
    async with SchemaRegistry(RegistryOptions(registry.url)) as opened:
        yield opened


@pytest.fixture
def zindigi(
    broker: Broker,
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Command]:
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
