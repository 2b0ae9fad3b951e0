"""Commits that go wrong on a real broker, each beside the mistake that would have made it worse."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.errors import OutOfOrderSequenceNumber, RequestTimedOutError
from aiokafka.protocol.transaction import EndTxnRequest

from connector.errors import JournalError
from connector.journal.kafka.journal import KafkaJournal
from connector.journal.kafka.producer import TransactionalProducer
from connector.ports import Commit, Shard
from connector.proving.broker import Broker, running_broker
from tests.conftest import QUICK
from tests.contract.journal.backends import KafkaBackend, fresh_kafka
from tests.contract.journal.samples import numbered_commit
from tests.contract.journal.suite import SHARD, opened, require_untorn
from tests.kafka import breaks
from tests.kafka.raw import configure

pytestmark = pytest.mark.anyio


async def refused_once(backend: KafkaBackend) -> bool:
    """Commit 1, then a commit 2 one of whose batches the broker refuses; whether the journal took it all the same."""
    async with opened(backend) as (journal, _reader):
        shard = await journal.acquire(SHARD)
        await shard.commit(numbered_commit(SHARD, 1))
        await configure(backend, "lending", max_message_bytes=80)
        try:
            await shard.commit(numbered_commit(SHARD, 2))
        except JournalError:
            return False
        finally:
            await configure(backend, "lending")
        return True


async def test_of_a_transaction_with_a_refused_batch_nothing_is_seen(backend: KafkaBackend) -> None:
    assert not await refused_once(backend)
    assert await require_untorn(backend, 1, "after a refused batch") == 1


async def test_committing_after_a_failed_send_is_caught(backend: KafkaBackend) -> None:
    assert await refused_once(replace(backend, journal_type=breaks.CarelessJournal))
    with pytest.raises(AssertionError, match="torn"):
        await require_untorn(backend, 1, "after a careless commit")


async def refused_and_repeated(backend: KafkaBackend) -> None:
    """Many batches refused, each tried again as the runtime does; then commits 2 to 4."""
    async with opened(backend) as (journal, _reader):
        shard = await journal.acquire(SHARD)
        await shard.commit(numbered_commit(SHARD, 1))
        await configure(backend, "lending", max_message_bytes=80)
        for _ in range(3):
            with pytest.raises(JournalError):
                await shard.commit(numbered_commit(SHARD, 2))
            if journal.producer_type is not breaks.ReusingProducer:
                shard = await journal.acquire(SHARD)
        await configure(backend, "lending")
        for number in (2, 3, 4):
            await shard.commit(numbered_commit(SHARD, number))


async def test_a_shard_goes_on_after_refused_batches(backend: KafkaBackend) -> None:
    await refused_and_repeated(backend)
    await require_untorn(backend, 4, "after refused batches")


async def test_a_producer_used_again_after_a_refusal_is_wedged(backend: KafkaBackend) -> None:
    with pytest.raises(JournalError) as refused:
        await refused_and_repeated(replace(backend, journal_type=breaks.ReusingJournal))
    assert isinstance(refused.value.__cause__, OutOfOrderSequenceNumber)


class HoldingProducer(TransactionalProducer):
    """The first end of a transaction is held on its way: the client hears nothing and sends it again.

    With an interlude, a transaction stops half sent, the interlude happens, and the process dies.
    """

    hold = False
    held: Any = None
    interlude: Callable[[], Awaitable[None]] | None = None

    def _count_ends(self) -> None:
        client = self.client.client
        send = client.send

        async def holding(node_id: Any, request: Any, **keywords: Any) -> Any:
            if isinstance(request, EndTxnRequest) and self.hold:
                self.hold = False
                self.held = request
                raise RequestTimedOutError
            return await send(node_id, request, **keywords)

        client.send = holding
        super()._count_ends()

    async def _write(self, first: list[tuple[str, Any]], rest: list[tuple[str, Any]]) -> None:
        if self.interlude is None:
            await super()._write(first, rest)
            return
        await self.client.begin_transaction()
        topic, batch = first[0]
        await (await self.client.send_batch(batch, topic, partition=self.shard))
        await self.interlude()
        raise TimeoutError("and here the process died")


class TrustingProducer(HoldingProducer):
    """Broken: goes on with a producer that sent the end of its transaction twice."""

    @property
    def spent(self) -> str | None:
        return None


class HoldingJournal(KafkaJournal):
    producer_type = HoldingProducer


class TrustingJournal(KafkaJournal):
    producer_type = TrustingProducer


async def deliver(backend: KafkaBackend, request: Any) -> int:
    """A request that was on its way for long arrives, over a connection of its own; the broker's error code."""
    client = AIOKafkaClient(**backend.options.client_arguments())
    await client.bootstrap()
    try:
        transactional_id = backend.options.transactional_id(SHARD)
        node = await client.coordinator_lookup(CoordinationType.TRANSACTION, transactional_id)
        assert await client.ready(node, group=ConnectionGroup.COORDINATION)
        answer = await client.send(node, request, group=ConnectionGroup.COORDINATION)
        return int(answer.error_code)
    finally:
        await client.close()


async def delayed_end(backend: KafkaBackend) -> list[int]:
    """The end of transaction 1, sent twice, arrives a second time while transaction 2 is half sent."""
    answers: list[int] = []
    async with opened(backend) as (journal, _reader):
        shard = await journal.acquire(SHARD)
        first = shard._producer
        first.hold = True
        await shard.commit(numbered_commit(SHARD, 1))
        assert first.held is not None
        if not shard.usable:
            shard = await journal.acquire(SHARD)

        async def arrive() -> None:
            answers.append(await deliver(backend, first.held))

        shard._producer.interlude = arrive
        with pytest.raises(JournalError):
            await shard.commit(numbered_commit(SHARD, 2))
    return answers


async def test_a_delayed_end_does_not_end_the_next_transaction(backend: KafkaBackend) -> None:
    [answer] = await delayed_end(replace(backend, journal_type=HoldingJournal))
    assert answer != 0, "the broker took it"
    assert await require_untorn(backend, 1, "after a delayed end") == 1


async def test_a_producer_trusted_after_two_ends_publishes_half_a_commit(backend: KafkaBackend) -> None:
    assert await delayed_end(replace(backend, journal_type=TrustingJournal)) == [0]
    with pytest.raises(AssertionError, match="torn"):
        await require_untorn(backend, 1, "after a delayed end")


class DeafProducer(TransactionalProducer):
    """Never hears how a transaction ended; `reaches` says whether its end reaches the broker at all."""

    deaf = False
    reaches = True

    def _count_ends(self) -> None:
        client = self.client.client
        send = client.send

        async def unanswered(node_id: Any, request: Any, **keywords: Any) -> Any:
            if isinstance(request, EndTxnRequest) and self.deaf:
                if self.reaches:
                    await send(node_id, request, **keywords)
                await anyio.sleep(3600)
            return await send(node_id, request, **keywords)

        client.send = unanswered
        super()._count_ends()


class DeafJournal(KafkaJournal):
    producer_type = DeafProducer


async def unknown_outcome(backend: KafkaBackend, *, reaches: bool, find_out: bool) -> None:
    """Commit 2 has no known outcome; then up to commit 3, as the runtime would (or, broken, without finding out)."""
    async with opened(backend) as (journal, _reader):
        shard = await journal.acquire(SHARD)
        await shard.commit(numbered_commit(SHARD, 1))
        shard._producer.deaf, shard._producer.reaches = True, reaches
        with pytest.raises(JournalError, match="no known outcome"):
            await shard.commit(numbered_commit(SHARD, 2))  # without a bound it would never return
        shard = await journal.acquire(SHARD)
        assert shard.committed_number == (2 if reaches else 1)
        if not find_out:
            repeated = numbered_commit(SHARD, 2)
            await shard.commit(replace(repeated, number=shard.committed_number + 1))
        for number in range(shard.committed_number + 1, 4):
            await shard.commit(numbered_commit(SHARD, number))


@pytest.mark.parametrize("reaches", [True, False])
async def test_an_unknown_outcome_is_found_out(backend: KafkaBackend, reaches: bool) -> None:
    await unknown_outcome(replace(backend, journal_type=DeafJournal), reaches=reaches, find_out=True)
    assert await require_untorn(backend, 3, "after an unknown outcome") == 3


async def test_taking_an_unknown_outcome_for_a_failure_is_caught(backend: KafkaBackend) -> None:
    await unknown_outcome(replace(backend, journal_type=DeafJournal), reaches=True, find_out=False)
    with pytest.raises(AssertionError, match="torn"):
        await require_untorn(backend, 2, "after an unknown outcome")


@pytest.fixture
def paused(tmp_path: Path) -> Iterator[Broker]:
    """A broker of the test's own: its controller may take one that was paused for dead, and say so only later."""
    with running_broker(tmp_path) as running:
        yield running


async def test_a_broker_that_hangs_during_commits_and_comes_back(paused: Broker) -> None:
    backend = await fresh_kafka(paused.bootstrap_servers, tuning=QUICK)
    async with opened(backend) as (journal, _reader):
        shard = await journal.acquire(SHARD)
        number = 0
        for pause_after in (0.0, 0.003, 0.006):
            for _ in range(5):
                number += 1
                await shard.commit(numbered_commit(SHARD, number))

            async def commit_one_more(commit: Commit, shard: Shard = shard) -> None:
                with suppress(JournalError):
                    await shard.commit(commit)

            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(commit_one_more, numbered_commit(SHARD, number + 1))
                    await anyio.sleep(pause_after)
                    paused.pause()
            finally:
                paused.resume()
            shard = await journal.acquire(SHARD)
            assert shard.committed_number in {number, number + 1}
            number = shard.committed_number
    await require_untorn(backend, number, "after pauses of the broker")
