"""Standard error full, its reader dead, or a pipe that nobody reads: it polls on, and SIGTERM ends it with 0."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
import pytest

from connector.clock import SystemClock
from connector.proving.rig import Rig
from tests.support.checked_bank import opened_rig
from tests.support.proofs import quickly

FULL = Path("/dev/full")
PATIENCE_SECONDS = 180.0


@contextmanager
def full() -> Iterator[int]:
    descriptor = os.open(FULL, os.O_WRONLY)
    yield descriptor
    os.close(descriptor)


@contextmanager
def dead() -> Iterator[int]:
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@contextmanager
def unread() -> Iterator[int]:
    """A pipe that is full to begin with."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x")
    os.set_blocking(writing, True)
    yield writing
    os.close(writing)
    os.close(reading)


def events(rig: Rig) -> int:
    connection = sqlite3.connect(f"file:{rig.directory / 'journal.db'}?mode=ro", uri=True)
    try:
        return int(connection.execute("SELECT count(*) FROM events").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()


async def wait_above(rig: Rig, count: int) -> int:
    with anyio.fail_after(PATIENCE_SECONDS):
        while (now := events(rig)) <= count:
            await SystemClock().sleep(0.2)
    return now


@pytest.mark.anyio
@pytest.mark.parametrize("trouble", quickly([full, dead, unread], unread), ids=lambda trouble: trouble.__name__)
async def test_a_log_that_cannot_be_written_neither_ends_nor_freezes_it(tmp_path: Path, trouble: type) -> None:
    async with opened_rig(tmp_path, "crash", seed=3) as rig:
        for holder in await rig.holders():
            await rig.link(holder)
        with trouble() as standard_error:
            process = await anyio.open_process(
                [*rig.command_line("run"), "--set", "log.level=debug"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=standard_error,
                env=rig.environment(),
            )
            try:
                synced = await wait_above(rig, 100)
                await wait_above(rig, synced + 5)
                process.terminate()
                with anyio.fail_after(20):
                    assert await process.wait() == 0
            finally:
                with suppress(ProcessLookupError):
                    process.kill()
