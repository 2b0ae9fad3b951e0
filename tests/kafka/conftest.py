from __future__ import annotations

import secrets

import pytest

from connector.clock import SystemClock
from connector.journal.kafka.topics import apply_topics
from connector.proving.broker import Broker
from tests.contract.journal.backends import KafkaBackend


@pytest.fixture
async def backend(broker: Broker) -> KafkaBackend:
    """Topics of its own on the shared broker, and short times to wait."""
    tuning = {"commit_timeout_seconds": 3.0, "request_timeout_seconds": 2.0, "start_timeout_seconds": 10.0}
    backend = KafkaBackend(f"{broker.bootstrap_servers} test-{secrets.token_hex(4)}", tuning=tuning)
    await apply_topics(backend.options, SystemClock())
    return backend
