"""Commit loop of one shard: gathers writes for a moment, commits them as one, and only then publishes new memory.

The consent gate is asked a last time here, after the lingering and right before the commit; sequence numbers come after
the gate. A write that the gate refuses leaves no trace.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from connector.errors import ConnectorError, ConsentError, DataError, FencedError, JournalError
from connector.ports import Clock, Commit, Shard, StateRecord
from connector.runtime.branch import Branch
from connector.runtime.encoding import Encoded, encode
from connector.runtime.held_log import say_what_changed
from connector.runtime.isolation import Isolation, Stream
from connector.runtime.memory import ResourceMemory, bounds_of, reason_of
from connector.runtime.packing import pack
from connector.runtime.writes import Write
from connector.state import StreamHead

MAXIMUM_EVENTS_PER_COMMIT = 5_000


@dataclass(slots=True)
class _Submission:
    writes: tuple[Write, ...]
    done: anyio.Event = field(default_factory=anyio.Event)
    error: ConnectorError | None = None

    @property
    def streams(self) -> set[Stream]:
        return {(write.account.account_id, write.domain) for write in self.writes}

    def finish(self, error: ConnectorError | None = None) -> None:
        self.error = error
        self.done.set()


class CommitLoop:
    """Commits of one shard, one after the other.

    `gate` raises ConsentError for a write that may not be committed now. `isolation` knows of streams that the journal
    does not take. `branch` is the shard's chain, which every commit is a link of.
    """

    def __init__(
        self,
        shard: Shard,
        branch: Branch,
        clock: Clock,
        gate: Callable[[Write], None],
        linger_seconds: float,
        isolation: Isolation,
    ) -> None:
        self.isolation = isolation
        self.branch = branch
        self._shard = shard
        self._clock = clock
        self._gate = gate
        self._linger_seconds = linger_seconds
        self._waiting: list[_Submission] = []
        self._arrived = anyio.Event()
        self._broken: JournalError | None = None

    def require_taken(self, stream: Stream) -> None:
        """Raises DataError while the journal does not take a stream's writes: reading it would be for nothing."""
        if self.isolation.held(stream):
            raise DataError("the journal does not take this stream's writes: it is set aside for a while")

    async def submit(self, *writes: Write) -> None:
        """Commit `writes` together; returns once they are durable and published to memory.

        Raises:
            ConsentError: the gate refused one of them; none was committed.
            DataError: one of them cannot be encoded, or its stream is set aside; none was committed.
            JournalError: the commit failed or its outcome is unknown; the shard must be restored.
        """
        if self._broken is not None:
            raise self._broken
        submission = _Submission(writes)
        self._waiting.append(submission)
        self._arrived.set()
        await submission.done.wait()
        if submission.error is not None:
            raise submission.error

    async def run(self) -> None:
        """Commit until cancelled.

        Raises:
            JournalError: memory no longer mirrors the journal.
        """
        try:
            while True:
                await self._arrived.wait()
                await self._clock.sleep(self._linger_seconds)
                batch = self._take_batch()
                # A commit under way is seen through: its outcome must be known, and memory must follow it.
                with anyio.CancelScope(shield=True):
                    await self._commit(batch)
        except JournalError as error:
            self._broken = error
            raise
        finally:
            stopped = self._broken or JournalError("the shard was given up before this was committed")
            for submission in self._waiting:
                submission.finish(stopped)
            self._broken = stopped

    def _take_batch(self) -> list[_Submission]:
        batch: list[_Submission] = []
        left: list[_Submission] = []
        taken: set[Stream] = set()
        events = 0
        for submission in self._waiting:
            if events < MAXIMUM_EVENTS_PER_COMMIT and self.isolation.admits(submission.streams, taken):
                batch.append(submission)
                taken |= submission.streams
                events += sum(len(write.changes) for write in submission.writes)
            else:
                left.append(submission)
        self._waiting = left
        if not left:
            self._arrived = anyio.Event()
        return batch

    async def _commit(self, batch: list[_Submission]) -> None:
        number = self.branch.position.number + 1
        admitted, encoded = self._admitted(batch, number)
        if not admitted:
            return
        streams = set[Stream]().union(*(submission.streams for submission in admitted))
        commit = _joined(self._shard.number, number, encoded)
        links = [(write.account.link, link) for write in (one.write for one in encoded) for link in write.links]
        commit, position = self.branch.extend(commit, sum(one.live for one in encoded), links, self._clock.now())
        try:
            await self._journalled(commit)
        except JournalError as error:
            if not isinstance(error, FencedError):
                indivisible = len(streams) == 1 or len(admitted) == 1
                self.isolation.failed(number, streams, indivisible=indivisible)
            for submission in admitted:
                submission.finish(error)
            raise
        self.branch.committed(position)
        self.isolation.committed(streams)
        lost = _published(encoded)
        for submission in admitted:
            submission.finish(lost)
        if lost is not None:
            raise lost

    def _admitted(self, batch: list[_Submission], number: int) -> tuple[list[_Submission], list[Encoded]]:
        """What of a batch can be committed, encoded; the rest is finished, each with its own trouble."""
        heads: dict[tuple[str, str], StreamHead] = {}
        encoded: list[Encoded] = []
        admitted: list[_Submission] = []
        for submission in batch:
            try:
                encoded += self._encode(submission, heads, number)
            except (ConsentError, DataError) as error:
                # One stream's trouble is its own: the others of this commit go on.
                submission.finish(error)
            except Exception as error:  # noqa: BLE001  # what nobody foresaw in one write must not end the others
                for stream in submission.streams:
                    self.isolation.unforeseen(stream, error)
                submission.finish(DataError(f"it cannot be encoded: {reason_of(error)}"))
            else:
                admitted.append(submission)
        return admitted, encoded

    async def _journalled(self, commit: Commit) -> None:
        """Commit; an error that no journal should raise leaves the outcome as unknown as any other.

        Raises:
            JournalError: the outcome is unknown.
        """
        try:
            await self._shard.commit(commit)
        except JournalError:
            raise
        except Exception as error:
            raise JournalError(f"the commit ended in {reason_of(error)}") from error

    def _encode(self, submission: _Submission, heads: dict[tuple[str, str], StreamHead], number: int) -> list[Encoded]:
        """The submission on top of `heads`, which move on only when all of it could be encoded."""
        for stream in submission.streams:
            self.require_taken(stream)
        for write in submission.writes:
            if write.gated:
                self._gate(write)
        ahead = dict(heads)
        encoded = []
        for write in submission.writes:
            stream = (write.account.account_id, write.domain)
            head = ahead.get(stream, write.account.stream(write.domain).head)
            limit = self._shard.maximum_record_bytes
            encoded.append(
                encode(
                    write,
                    head,
                    commit_number=number,
                    maximum_record_bytes=limit,
                    epoch=self.branch.epoch,
                    chain=self.branch.chain,
                )
            )
            ahead[stream] = encoded[-1].head
        heads.update(ahead)
        return encoded


def _joined(shard: int, number: int, encoded: list[Encoded]) -> Commit:
    # Of two values under one key in a commit the later one counts: heads are written once.
    state = {record.key: record for one in encoded for record in one.state}
    state |= {key: StateRecord(key, None) for one in encoded for key in one.write.forgets}
    return Commit(
        shard=shard,
        number=number,
        events=tuple(record for one in encoded for record in one.events),
        state=tuple(state.values()),
        links=tuple(link for one in encoded for link in one.write.links),
        quarantine=tuple(record for one in encoded for record in one.quarantine),
        commands_applied=tuple(command for one in encoded for command in one.write.commands_applied),
    )


def _published(encoded: list[Encoded]) -> JournalError | None:
    """Publish what was committed; the error that says that memory does not follow the journal any more."""
    try:
        for one in encoded:
            _publish(one)
    except Exception as error:  # noqa: BLE001  # whatever it is: memory is made anew from the journal
        return JournalError(f"memory does not follow the journal: {reason_of(error)}")
    return None


def _publish(one: Encoded) -> None:
    """Memory follows the journal, never the other way round."""
    write = one.write
    write.account.stream(write.domain).head = one.head
    for link in write.links:
        if link.account_id == write.account.account_id:
            write.account.link = link
    if write.closes is not None:
        for name, closed in write.account.stream(write.domain).resources.items():
            closed.meta = one.head.resources.get(name, closed.meta)
            closed.etag = None
            closed.read_at = None
    if not write.resource:
        return
    memory: ResourceMemory = write.account.resource(write.domain, write.resource)
    memory.packed = pack(write.domain, one.values.values())
    say_what_changed(one, memory.meta)
    memory.meta = one.meta
    memory.suspicion = write.suspicion
    resource = write.account.resources.get((write.domain, write.resource))
    entities = one.entities.values()
    memory.bounds = bounds_of(resource.kind, one.meta.floor, entities) if resource is not None else None
