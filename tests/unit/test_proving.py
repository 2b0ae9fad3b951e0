"""When the proof takes a connector to have come to rest."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from connector.cli import demo
from connector.proving.proof import vouches_since
from connector.proving.rig import PatienceError, RigError, patience
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


@pytest.mark.anyio
async def test_what_does_not_come_in_time_is_named_with_the_log() -> None:
    done = 0
    text = "2 of 3 streams are complete; waited 0 s for it. The connector's log: /somewhere/connector.log"

    async def wait() -> None:
        nonlocal done
        with patience(0.05, lambda: f"{done} of 3 streams are complete", Path("/somewhere/connector.log")):
            done = 2
            await anyio.sleep(60)

    with pytest.raises(PatienceError, match=re.escape(text)) as caught:
        await wait()
    assert isinstance(caught.value, RigError)
    assert isinstance(caught.value, TimeoutError)


@pytest.mark.anyio
async def test_what_comes_in_time_is_let_go_on() -> None:
    with patience(60, lambda: "nothing", Path("x")):
        await anyio.lowlevel.checkpoint()


def test_the_demo_says_the_first_reason_and_never_nothing() -> None:
    group = ExceptionGroup("", [ExceptionGroup("", [PatienceError("2 of 3")]), TimeoutError()])
    assert demo._first_of(group) == "2 of 3"
    assert demo._first_of(TimeoutError()) == "TimeoutError"
