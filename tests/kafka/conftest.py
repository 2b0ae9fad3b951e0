from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator

import pytest

from connector.proving.broker import Broker
from tests.conftest import QUICK
from tests.contract.journal.backends import KafkaBackend, fresh_kafka


@pytest.fixture(autouse=True)
def _late_connections() -> Iterator[None]:
    """A connection that the client makes while it is being closed is left to the garbage collector, which says so.

    It happens where a broker comes back at that very moment. Collected here, lest another test be blamed for it.
    """
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
async def backend(broker: Broker) -> KafkaBackend:
    """Topics of its own on the shared broker, and short times to wait."""
    return await fresh_kafka(broker.bootstrap_servers, tuning=QUICK)
