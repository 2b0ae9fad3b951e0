"""Job board: which reads wait for which backend, which are under way, and what keeps failing.

Bookkeeping for many thousand jobs without a task each; only `next_job` waits. Backends are the process's: a slot of one
is held from `next_job` to `ended`. Accounts take turns, and none takes all slots of a backend, however much it has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from random import Random

from connector.domains.registry import DOMAINS
from connector.ports import Clock
from connector.runtime.backend import PROFILE_BACKEND, Backend, Backends
from connector.runtime.due_queue import DueQueue
from connector.runtime.memory import AccountMemory
from connector.runtime.options import WorkerOptions

LOOK_SECONDS = 0.25
"""How often an idle backend's queue is looked at."""
SHORTEST_LOOK_SECONDS = 0.001
"""A wait may be shorter than a clock can tell: looking again at once would spin."""
BUSY_LOOK_SECONDS = 0.02
"""How soon to look again while all that is due must wait for something of its own."""
MAXIMUM_BACKOFF_SECONDS = 900.0
MINIMUM_BACKOFF_SECONDS = 1.0
PROFILE = "profile"

_KINDS = {kind.name: kind for domain in DOMAINS.values() for kind in domain.resources}


@dataclass(frozen=True, slots=True)
class Job:
    """Something to read: a resource, or (resource `profile`, no domain) what the login holds."""

    account_id: str
    domain: str
    resource: str

    @property
    def kind_name(self) -> str:
        """The resource kind, without the opaque token of a bank account."""
        return self.resource.split(":", 1)[0]

    @property
    def backend(self) -> str:
        """The backend that it asks."""
        return PROFILE_BACKEND if self.resource == PROFILE else _KINDS[self.kind_name].backend

    @property
    def surface(self) -> str:
        """What of the backend it asks: refusals concern this, not all that the account has there."""
        return PROFILE if self.resource == PROFILE else _KINDS[self.kind_name].surface


@dataclass(slots=True)
class Trouble:
    """A job that failed: how often in a row, and since when (monotonic seconds)."""

    failures: int
    since: float


class JobBoard:
    """The jobs of one shard, for the `backends` of the process."""

    def __init__(self, clock: Clock, options: WorkerOptions, random: Random, backends: Backends | None = None) -> None:
        self._clock = clock
        self.options = options
        self._random = random
        self.backends = backends if backends is not None else Backends(options.backends, random)
        self._queues: dict[str, DueQueue[Job]] = {name: DueQueue(_account) for name in self.backends}
        self._running: set[Job] = set()
        self._busy: Counter[tuple[str, str]] = Counter()
        """How many reads are under way, by backend and account."""
        self._again: set[Job] = set()
        self._trouble: dict[Job, Trouble] = {}

    def put(self, job: Job, wait_seconds: float, *, exact: bool = False) -> None:
        """Have `job` run in `wait_seconds`, spread by the jitter unless `exact`.

        One that is under way runs once more after it.
        """
        if job in self._running:
            self._again.add(job)
        else:
            ratio = 0.0 if exact else self.options.jitter_ratio
            wait = wait_seconds * self._random.uniform(1 - ratio, 1 + ratio)
            self._queues[job.backend].put(job, self._clock.monotonic() + wait)

    def put_new(self, jobs: Iterable[Job]) -> None:
        """Have jobs that are not on the board yet run soon, spread over a second or their interval."""
        for job in jobs:
            if job not in self._queues[job.backend] and job not in self._running:
                self.put(job, self._random.uniform(0.0, min(1.0, self.interval(job))))

    def put_again(self, jobs: Iterable[Job]) -> None:
        """Have jobs run anew, spread over an interval of each."""
        for job in jobs:
            self.put(job, self._random.uniform(0.0, self.interval(job)))

    def drop(self, jobs: Iterable[Job]) -> None:
        """Forget jobs that are not wanted any more, and their trouble: one that comes back begins at once."""
        for job in jobs:
            self._queues[job.backend].drop(job)
            self._again.discard(job)
            self._trouble.pop(job, None)

    async def next_job(self, backend: Backend) -> Job:
        """The next job of a backend; waits until one is due, the backend may be asked and one of its slots is free.

        The slot is the job's until it has `ended`.
        """
        queue = self._queues[backend.name]
        while True:
            now = self._clock.monotonic()
            wait = backend.wait_seconds(now)
            due = queue.next_due()
            if wait > 0 or due is None or due > now:
                until_due = LOOK_SECONDS if due is None else max(due - now, 0.0)
                await self._clock.sleep(min(LOOK_SECONDS, max(wait, until_due, SHORTEST_LOOK_SECONDS)))
                continue
            await backend.slots.acquire()
            # Nothing is waited for from here on, so that a slot is never lost.
            now = self._clock.monotonic()
            job = self._take(backend, now) if backend.wait_seconds(now) <= 0 else None
            if job is not None:
                backend.begin(job.account_id, job, now)
                self._busy[backend.name, job.account_id] += 1
                self._running.add(job)
                return job
            backend.slots.release()
            await self._clock.sleep(BUSY_LOOK_SECONDS)

    def _take(self, backend: Backend, now: float) -> Job | None:
        queue = self._queues[backend.name]
        most = backend.limits.maximum_account_concurrency
        admits = lambda account_id: self._busy[backend.name, account_id] < most  # noqa: E731
        while (job := queue.take(now, admits)) is not None:
            held = backend.account_wait_seconds(job.account_id, job.surface, now)
            if held <= 0:
                return job
            queue.put(job, now + held)
        return None

    def ended(self, job: Job) -> bool:
        """`job` is no longer under way, however it ended; True when it was asked for again meanwhile."""
        if job in self._running:
            self._running.discard(job)
            backend = self.backends[job.backend]
            backend.ended(job)
            backend.slots.release()
            busy = (job.backend, job.account_id)
            self._busy[busy] -= 1
            if not self._busy[busy]:
                del self._busy[busy]
        again = job in self._again
        self._again.discard(job)
        return again

    def close(self) -> None:
        """Give back what jobs hold that will not end any more: their shard was dropped."""
        for job in tuple(self._running):
            self.ended(job)

    def interval(self, job: Job) -> float:
        """The seconds between two turns of a job that does well, at an ordinary pace."""
        if job.resource == PROFILE:
            return self.options.profile_interval_seconds
        return self.options.intervals_of(_KINDS[job.kind_name]).head_interval_seconds

    def failed(self, job: Job) -> tuple[Trouble, float]:
        """Count a failure; its trouble so far, and the seconds to back off (doubled with each)."""
        trouble = self._trouble.setdefault(job, Trouble(0, self._clock.monotonic()))
        trouble.failures += 1
        first = max(MINIMUM_BACKOFF_SECONDS, self.interval(job) / 4)
        return trouble, min(first * 2 ** min(trouble.failures - 1, 16), MAXIMUM_BACKOFF_SECONDS)

    def succeeded(self, job: Job) -> bool:
        """Forget the trouble of a job; True when it had some and its account has none left."""
        return self._trouble.pop(job, None) is not None and not self.failing(job.account_id)

    def failing(self, account_id: str) -> bool:
        """Does any job of the account keep failing?"""
        return self.failing_since(account_id) is not None

    def failing_since(self, account_id: str) -> float | None:
        """Since when (monotonic seconds) the account has had a job that keeps failing; None where none does."""
        return min(
            (trouble.since for job, trouble in self._trouble.items() if job.account_id == account_id), default=None
        )

    def forgive(self, account_id: str) -> None:
        """Forget all trouble of an account."""
        self._trouble = {job: trouble for job, trouble in self._trouble.items() if job.account_id != account_id}


def _account(job: Job) -> Hashable:
    return job.account_id


def wanted(job: Job, account: AccountMemory) -> bool:
    """Should `job` go on? Not while the link is paused, over, or waits for its holder."""
    link = account.link
    if link is None or link.over or link.paused or account.waiting_for is not None:
        return False
    return job.resource == PROFILE or (job.domain, job.resource) in account.resources
