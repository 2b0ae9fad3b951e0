"""When the proof takes a connector to have come to rest."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from connector.proving.proof import vouches_since
from tests.support.virtual_clock import START


@pytest.mark.parametrize(
    ("streams", "until", "rests"),
    [
        (0, None, True),
        (3, None, False),
        (3, START - timedelta(seconds=1), False),
        (3, START + timedelta(seconds=1), True),
    ],
)
def test_a_shard_rests_once_it_vouches_for_what_it_has(streams: int, until: datetime | None, *, rests: bool) -> None:
    """Accounts may all fall to other shards: one that has none vouches for nothing, and is not waited for."""
    assert vouches_since({"streams": streams, "reconciled_until": until}, START) is rests
