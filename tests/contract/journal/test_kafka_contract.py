"""The Kafka journal under the contract, on a real broker."""

from __future__ import annotations

import secrets

import pytest

from connector.clock import SystemClock
from connector.journal.kafka.topics import apply_topics
from connector.proving.broker import Broker
from tests.contract.journal.backends import Backend, KafkaBackend
from tests.contract.journal.suite import JournalContract


class TestKafkaJournal(JournalContract):
    @pytest.fixture
    async def backend(self, broker: Broker) -> Backend:
        backend = KafkaBackend(f"{broker.bootstrap_servers} contract-{secrets.token_hex(4)}")
        await apply_topics(backend.options, SystemClock())
        return backend
