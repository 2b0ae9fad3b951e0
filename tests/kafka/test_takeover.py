"""Owners that overlap, come back, or leave something behind; each beside the mistake that would do harm with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace

import anyio
import anyio.to_thread
import pytest

from connector.errors import FencedError, JournalError
from connector.journal.kafka.journal import KafkaJournal
from connector.proving.broker import Broker
from tests.contract.journal.backends import KafkaBackend, backend_named, fresh_kafka
from tests.contract.journal.samples import numbered_commit
from tests.contract.journal.suite import ROOT, SHARD, kill_and_check, opened, require_untorn, state_of
from tests.kafka import breaks
from tests.kafka.raw import abort, bare_log, configure, open_transaction, partition_of
from tests.support.log_watch import logged

pytestmark = [pytest.mark.anyio, pytest.mark.proof]


async def frozen_and_thawed(backend: KafkaBackend) -> tuple[int | None, str, int]:
    """A process that commits is stopped, its shard taken over, and the process let go on.

    What it ended with (None: it did not), what it said, and the last number of the successor.
    """
    command = [sys.executable, "-m", "tests.contract.journal.crash_writer", backend.name, backend.location, str(SHARD)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stderr is not None
            for _ in range(5):
                await anyio.to_thread.run_sync(writer.stdout.readline)
            writer.send_signal(signal.SIGSTOP)
            async with opened(backend) as (journal, _reader):
                shard = await journal.acquire(SHARD)
                number = shard.committed_number
                for _ in range(3):
                    number += 1
                    await shard.commit(numbered_commit(SHARD, number))
                writer.send_signal(signal.SIGCONT)
                try:
                    _, said = await anyio.to_thread.run_sync(lambda: writer.communicate(timeout=8))
                except subprocess.TimeoutExpired:
                    return None, "", number
                return writer.returncode, said, number
        finally:
            writer.kill()


async def test_a_frozen_owner_that_wakes_after_a_takeover_is_fenced(backend: KafkaBackend) -> None:
    code, said, number = await frozen_and_thawed(backend)
    assert code not in {0, None}
    assert "was taken over by another connector" in said
    assert await require_untorn(backend, number, "after a thaw") == number


async def test_an_owner_that_nobody_can_fence_is_caught(backend: KafkaBackend) -> None:
    """It does harm only where it was frozen with no transaction of its own that the broker ended meanwhile."""
    servers, _ = backend.location.split(" ")
    harm = []
    for attempt in range(8):
        fresh = await fresh_kafka(servers, tuning=backend.tuning)
        unfenced = replace(fresh, name="kafka-unfenced", journal_type=breaks.UnfencedJournal)
        code, _, number = await frozen_and_thawed(unfenced)
        try:
            await require_untorn(fresh, number, f"after {code}, attempt {attempt}")
        except AssertionError as error:
            harm.append(str(error))
            break
    assert any("torn" in complaint or "is the last" in complaint for complaint in harm)


async def overlap(backend: KafkaBackend) -> bool:
    """A successor has just restored when its predecessor commits; whether that commit went through."""
    async with opened(backend) as (_journal, _reader), opened(backend) as (successor_journal, _):
        predecessor_backend = replace(backend, journal_type=KafkaJournal)
        async with opened(predecessor_backend) as (journal, _reader):
            predecessor = await journal.acquire(SHARD)
            await predecessor.commit(numbered_commit(SHARD, 1))
            went_through = False

            async def zombie() -> None:
                nonlocal went_through
                try:
                    await predecessor.commit(numbered_commit(SHARD, 2))
                    went_through = True
                except FencedError:
                    pass

            successor_journal.states.interlude = zombie
            successor = await successor_journal.acquire(SHARD)
            await successor.commit(numbered_commit(SHARD, successor.committed_number + 1))
            return went_through


async def test_nobody_commits_between_fencing_and_restoring(backend: KafkaBackend) -> None:
    assert not await overlap(replace(backend, journal_type=breaks.ScriptedJournal))
    assert await require_untorn(backend, 2, "after an overlap") == 2


async def test_restoring_before_fencing_is_caught(backend: KafkaBackend) -> None:
    assert await overlap(replace(backend, journal_type=breaks.RestoringFirstJournal))
    with pytest.raises(AssertionError, match="torn"):
        await require_untorn(backend, 2, "after an overlap")


async def test_no_tug_of_war(backend: KafkaBackend) -> None:
    """A connector whose failed shard was taken over meanwhile leaves it to the new owner, and names it."""
    async with opened(backend) as (journal, _reader), opened(backend) as (rival, _):
        shard = await journal.acquire(SHARD)
        await shard.commit(numbered_commit(SHARD, 1))
        with pytest.raises(JournalError):
            await shard.commit(numbered_commit(SHARD, 9))
        owner = await rival.acquire(SHARD)
        await anyio.sleep(0.2)
        with pytest.raises(FencedError, match=rf"taken over by another connector \(.*:{os.getpid()}:"):
            await journal.acquire(SHARD)
        await owner.commit(numbered_commit(SHARD, 2))
    await require_untorn(backend, 2, "after a tug of war")


async def test_a_journal_without_transactions_is_caught(backend: KafkaBackend) -> None:
    caught = []
    for seed in range(12):
        plain = backend_named("kafka-plain", backend.location)
        try:
            await kill_and_check(plain, seed)
        except AssertionError as error:
            caught.append(str(error))
            break
    assert any("torn" in complaint or "is the last" in complaint for complaint in caught)


async def aborted_then_restored(backend: KafkaBackend) -> int:
    """An owner dies with a transaction whose state is written and whose end is not; what its successor restores."""
    async with opened(replace(backend, journal_type=KafkaJournal)) as (journal, _reader):
        shard = await journal.acquire(SHARD)
        await shard.commit(numbered_commit(SHARD, 1))
        producer = shard._producer
        first, rest = producer._batches(shard._outgoing(numbered_commit(SHARD, 2)))
        await producer.client.begin_transaction()
        for topic, batch in (*first, *rest):
            await (await producer.client.send_batch(batch, topic, partition=SHARD))
    async with opened(backend) as (journal, _reader):
        return (await journal.acquire(SHARD)).committed_number


async def test_what_was_aborted_is_not_restored(backend: KafkaBackend) -> None:
    assert await aborted_then_restored(backend) == 1
    assert await require_untorn(backend, 1, "after an abort") == 1


async def test_restoring_what_was_aborted_is_caught(backend: KafkaBackend) -> None:
    number = await aborted_then_restored(replace(backend, journal_type=breaks.UncommittedJournal))
    with pytest.raises(AssertionError, match="is the last"):
        await require_untorn(backend, number, "after an abort")


async def hanging(backend: KafkaBackend, broker: Broker) -> tuple[bool, str]:
    """Somebody's transaction hangs in the state; above it the owner commits and dies; a successor takes over.

    Whether the successor waited for the operator, and what it logged.
    """
    async with opened(replace(backend, journal_type=KafkaJournal)) as (journal, _reader):
        shard = await journal.acquire(SHARD)
        await shard.commit(numbered_commit(SHARD, 1))
        stranger = await open_transaction(backend, f"stranger-{backend.options.prefix}", "state")
        await shard.commit(numbered_commit(SHARD, 2))
    tuning = {**backend.tuning, "transaction_timeout_seconds": 1.0}
    hasty = replace(backend, tuning=tuning)
    acquired = anyio.Event()
    with logged() as log:
        async with opened(hasty) as (journal, _reader):

            async def take_over() -> None:
                shard = await journal.acquire(SHARD)
                await shard.commit(numbered_commit(SHARD, shard.committed_number + 1))
                acquired.set()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(take_over)
                with anyio.move_on_after(4):
                    await acquired.wait()
                waited = not acquired.is_set()
                if waited:
                    await anyio.to_thread.run_sync(remedy, backend, broker, log.getvalue())
                else:
                    await stranger.abort_transaction()
                with anyio.fail_after(15):
                    await acquired.wait()
    await stranger.client.close()
    stranger._sender.sender_task.cancel()
    stranger._closed = True
    return waited, log.getvalue()


def remedy(backend: KafkaBackend, broker: Broker, log: str) -> None:
    """Do as the log says, with Kafka's own tool."""
    told = next(line for line in log.splitlines() if "hanging_transaction" in line)
    assert "kafka-transactions.sh" in told
    offset = int(told.split("--start-offset ")[1].split('"')[0])
    abort(broker, partition_of(backend, "state"), offset)


async def test_a_hanging_transaction_holds_the_shard_until_somebody_ends_it(
    backend: KafkaBackend, broker: Broker
) -> None:
    waited, log = await hanging(backend, broker)
    assert waited
    assert log.count("hanging_transaction") == 2, "said once, and that it is over"
    assert await require_untorn(backend, 3, "after a hanging transaction") == 3


async def test_restoring_to_the_last_stable_offset_over_it_is_caught(backend: KafkaBackend, broker: Broker) -> None:
    waited, _ = await hanging(replace(backend, journal_type=breaks.HastyJournal), broker)
    assert not waited
    with pytest.raises(AssertionError, match="torn"):
        await require_untorn(backend, 2, "after a hasty restore")


async def test_what_is_committed_and_not_readable_yet_is_waited_for(backend: KafkaBackend) -> None:
    """A start that is told to wait for it hears of the commit above an open transaction only once that has ended."""
    async with opened(backend) as (journal, _reader), opened(backend) as (other, _):
        shard = await journal.acquire(SHARD)
        await shard.commit(numbered_commit(SHARD, 1))
        stranger = await open_transaction(backend, f"stranger-{backend.options.prefix}", "state")
        await shard.commit(numbered_commit(SHARD, 2))
        assert (await other.last_commit(SHARD)).number == 1
        found: list[int] = []

        async def wait() -> None:
            found.append((await other.last_commit(SHARD, settled=True)).number)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.sleep(1.0)
            assert found == []
            await stranger.abort_transaction()
        assert found == [2]
        await stranger.stop()


async def compacted(backend: KafkaBackend) -> dict[str, bytes | None]:
    """A state topic that was compacted, with tombstones among it and an aborted transaction at its end; the state."""
    quickly = {"segment_ms": 200, "min_cleanable_dirty_ratio": 0.01, "max_compaction_lag_ms": 200}
    async with opened(backend) as (journal, _reader):
        shard = await journal.acquire(SHARD)
        await configure(backend, "state", delete_retention_ms=0, **quickly)
        for number in range(1, 41):
            await shard.commit(numbered_commit(SHARD, number))
            if number % 10 == 0:
                await anyio.sleep(0.3)
        stranger = await open_transaction(backend, f"aborter-{backend.options.prefix}", "state")
        await stranger.abort_transaction()
        await stranger.stop()
        written = 40 * 5
        for _ in range(80):
            if len(await bare_log(backend, "state")) <= written // 2:
                break
            await anyio.sleep(0.5)
        else:
            pytest.fail("the state was never compacted")
        await configure(backend, "state")
        return await state_of(shard)


async def test_restoring_ends_over_an_aborted_tail_tombstones_and_compaction(backend: KafkaBackend) -> None:
    expected = await compacted(backend)
    assert len(expected) == 5
    async with opened(backend) as (journal, _reader):
        with anyio.fail_after(5):
            assert await state_of(await journal.acquire(SHARD)) == expected
    assert await require_untorn(backend, 40, "after compaction") == 40


async def test_waiting_for_the_last_record_never_ends(backend: KafkaBackend) -> None:
    async with opened(backend) as (journal, _reader):
        await (await journal.acquire(SHARD)).commit(numbered_commit(SHARD, 1))
    async with opened(replace(backend, journal_type=breaks.LastRecordJournal)) as (journal, _reader):
        with pytest.raises(TimeoutError), anyio.fail_after(3):
            await journal.acquire(SHARD)
