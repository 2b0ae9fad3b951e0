from __future__ import annotations

import pytest

from connector.proving.broker import Broker
from tests.conftest import QUICK
from tests.contract.journal.backends import KafkaBackend, fresh_kafka


@pytest.fixture
async def backend(broker: Broker) -> KafkaBackend:
    """Topics of its own on the shared broker, and short times to wait."""
    return await fresh_kafka(broker.bootstrap_servers, tuning=QUICK)
