"""A journal is refused as an older copy only once everything that was committed can be read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from connector.errors import ConfigurationError
from connector.ports import HighWaterMark, LastCommit, VaultIdentity
from connector.runtime.branch import require_fit

pytestmark = pytest.mark.anyio

EPOCH, TIP = "0123456789abcdef", bytes(32)


class Journal:
    """Shows commit `now` at once, and `later` to whoever waits until all can be read."""

    epoch = EPOCH

    def __init__(self, now: int, later: int) -> None:
        self.now, self.later = now, later
        self.waited = False

    async def last_commit(self, _shard: int, *, settled: bool = False) -> LastCommit:
        self.waited |= settled
        return LastCommit(self.later if settled else self.now, TIP)


class Vault:
    """Knows commit 6."""

    async def marks(self) -> dict[int, HighWaterMark]:
        return {0: HighWaterMark(0, 6, EPOCH, TIP, datetime(2026, 3, 1, tzinfo=UTC))}

    async def identity(self) -> VaultIdentity:
        return VaultIdentity("vlt", 1)


async def fit(journal: Journal) -> None:
    await require_fit([0], cast("Any", journal), cast("Any", Vault()))


async def test_a_commit_that_cannot_be_read_yet_is_waited_for() -> None:
    await fit(journal := Journal(now=5, later=6))
    assert journal.waited


async def test_one_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"ends with commit 5 .* the vault knows commit 6"):
        await fit(Journal(now=5, later=5))


async def test_nobody_waits_where_nothing_is_missing() -> None:
    await fit(journal := Journal(now=7, later=7))
    assert not journal.waited
