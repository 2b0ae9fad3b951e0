"""What every test stands on."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from connector.proving.broker import Broker, BrokerError, running_broker


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A real broker, shared by all tests that leave it running; each works under a prefix of its own.

    Where Java or Maven is missing, or Maven reaches nobody, tests are skipped, but never where CI says so.
    """
    try:
        with running_broker(tmp_path_factory.mktemp("kafka")) as running:
            yield running
    except BrokerError as error:
        if os.environ.get("CI"):
            pytest.fail(f"a real broker is required: {error}")
        pytest.skip(f"a real broker is needed: {error}")
