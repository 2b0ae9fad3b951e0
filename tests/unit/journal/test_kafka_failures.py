from __future__ import annotations

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError

from connector.journal.kafka.failures import said


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (KafkaConnectionError("nobody listens"), "KafkaConnectionError: nobody listens"),
        (KafkaError(), "KafkaError"),
        (TimeoutError(), "TimeoutError"),
        (OSError("no route"), "OSError: no route"),
    ],
)
def test_an_error_says_its_type_once(error: BaseException, text: str) -> None:
    assert said(error) == text
