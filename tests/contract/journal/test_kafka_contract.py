"""The Kafka journal under the contract, on a real broker."""

from __future__ import annotations

import pytest

from connector.proving.broker import Broker
from tests.contract.journal.backends import Backend, fresh_kafka
from tests.contract.journal.suite import JournalContract


class TestKafkaJournal(JournalContract):
    @pytest.fixture
    async def backend(self, broker: Broker) -> Backend:
        return await fresh_kafka(broker.bootstrap_servers)
