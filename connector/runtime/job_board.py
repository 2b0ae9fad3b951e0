"""Job board: which reads wait for which backend, which are under way, and what keeps failing.

Bookkeeping for many thousand jobs without a task each; only `next_job` waits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from connector.domains.registry import DOMAINS
from connector.ports import Clock
from connector.runtime.backend import Backend, BackendLimits
from connector.runtime.due_queue import DueQueue
from connector.runtime.memory import AccountMemory
from connector.runtime.options import WorkerOptions

LOOK_SECONDS = 0.25
"""How often an idle backend's queue is looked at."""
SHORTEST_LOOK_SECONDS = 0.001
"""A wait may be shorter than a clock can tell: looking again at once would spin."""
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
        return "bank" if self.resource == PROFILE else _KINDS[self.kind_name].backend


@dataclass(slots=True)
class Trouble:
    """A job that failed: how often in a row, and since when (monotonic seconds)."""

    failures: int
    since: float


class JobBoard:
    """The jobs of one shard."""

    def __init__(self, clock: Clock, options: WorkerOptions, random: Random) -> None:
        self._clock = clock
        self.options = options
        self._random = random
        names = sorted({kind.backend for kind in _KINDS.values()} | {"bank"})
        self.backends = {name: Backend(name, options.backends.get(name, BackendLimits()), random) for name in names}
        self._queues: dict[str, DueQueue[Job]] = {name: DueQueue() for name in names}
        self._running: set[Job] = set()
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
        """The job of a backend that has been due longest; waits until there is one and the backend may be asked."""
        queue = self._queues[backend.name]
        while True:
            now = self._clock.monotonic()
            wait = backend.wait_seconds(now)
            if wait <= 0 and (job := queue.take(now)) is not None:
                backend.begin()
                self._running.add(job)
                return job
            due = queue.next_due()
            until_due = LOOK_SECONDS if due is None else max(due - now, 0.0)
            await self._clock.sleep(min(LOOK_SECONDS, max(wait, until_due, SHORTEST_LOOK_SECONDS)))

    def ended(self, job: Job) -> bool:
        """`job` is no longer under way, however it ended; True when it was asked for again meanwhile."""
        self._running.discard(job)
        self.backends[job.backend].ended()
        again = job in self._again
        self._again.discard(job)
        return again

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


def wanted(job: Job, account: AccountMemory) -> bool:
    """Should `job` go on? Not while the link is paused, over, or waits for its holder."""
    link = account.link
    if link is None or link.over or link.paused or account.waiting_for is not None:
        return False
    return job.resource == PROFILE or (job.domain, job.resource) in account.resources
