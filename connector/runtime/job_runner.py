"""Job runner: performs one job and decides, by what went wrong, what the runtime does about it."""

from __future__ import annotations

from dataclasses import replace

from connector.cadence import Live, Off
from connector.domains.model import Profile
from connector.errors import (
    ActionRequiredError,
    ConnectorError,
    ConsentError,
    DataError,
    ForbiddenError,
    HolderMismatchError,
    JournalError,
    RateLimitedError,
    RetryableError,
)
from connector.observe import Depth
from connector.parties import Own, own_identifiers
from connector.ports import Clock, Resource, Source, Vault
from connector.runtime.clock_doubt import claim_time
from connector.runtime.commit_loop import CommitLoop
from connector.runtime.holder import pin_of, pinned, require_same
from connector.runtime.job_board import MAXIMUM_BACKOFF_SECONDS, PROFILE, Job, JobBoard, wanted
from connector.runtime.lifecycle import Lifecycle
from connector.runtime.memory import MAXIMUM_ETAG_USES, AccountMemory, held_domains, resources_of
from connector.runtime.options import WorkerOptions
from connector.runtime.polls import Polls
from connector.runtime.timetable import Timetable
from connector.telemetry import logger

REFUSED_SECONDS = 3600.0
"""How long a surface is left alone that the bank refuses although the holder's tier has it."""

DOUBT_SECONDS = 15.0
"""How soon it is tried again what the clock's being in doubt has put off."""


class JobRunner:
    """Runs the jobs of one shard."""

    def __init__(
        self,
        *,
        board: JobBoard,
        polls: Polls,
        source: Source,
        vault: Vault,
        commits: CommitLoop,
        lifecycle: Lifecycle,
        clock: Clock,
        options: WorkerOptions,
        timetable: Timetable,
    ) -> None:
        self._board = board
        self._polls = polls
        self._source = source
        self._vault = vault
        self._commits = commits
        self._lifecycle = lifecycle
        self._clock = clock
        self._options = options
        self._timetable = timetable
        self._watch = polls.watch
        self._log = logger(__name__)

    async def run(self, job: Job, account: AccountMemory) -> None:
        """Run `job`, if it is due, and put it back on the board for its next turn.

        Raises:
            JournalError: memory must be restored.
        """
        doubtful = self._watch.look().doubtful
        try:
            wait = DOUBT_SECONDS if doubtful else self._until_due(job, account)
            if wait is not None and wait <= 0:
                wait = await self._attempt(job, account)
        except JournalError:
            raise
        except Exception as error:  # noqa: BLE001  # dealing with what went wrong went wrong: the next turn comes all the same
            self._commits.isolation.unforeseen((job.account_id, job.domain), error)
            wait = self._board.failed(job)[1]
        finally:
            again = self._board.ended(job)
        if again:
            wait = 0.0
        if not wanted(job, account):
            self._board.drop((job,))
        elif wait is not None:
            # Snapshots of many accounts are spread by what each of them is, not by chance.
            live = job.resource == PROFILE or isinstance(self._timetable.mode(account, job.domain), Live)
            self._board.put(job, wait, exact=not live)

    async def refresh_profile(self, account: AccountMemory) -> None:
        """Ask what the login holds; open what is new, close what the tier no longer holds.

        Raises: what the gate, the source or the journal raise.
        """
        self._gate_profile(account)
        asked_at = self._clock.now()
        profile = account.profile
        trusted = profile is not None and account.profile_etag_uses < MAXIMUM_ETAG_USES
        fetched = await self._source.fetch_profile(account.account_id, profile.etag if profile and trusted else None)
        account.profile_etag_uses += 1
        if fetched is not None:
            account.profile_etag_uses = 0
            if self._options.bank_tells_time:
                asked_at = claim_time(asked_at, fetched.served_at)
            await self._require_same_holder(fetched, account)
            account.own = _own(fetched, account)
            profile = account.profile = replace(fetched, holder=None)
        if profile is None:
            raise DataError("the bank says that the profile is unchanged, and it was never read")
        before, account.resources = account.resources, resources_of(account, profile)
        self._board.drop(Job(account.account_id, *key) for key in before.keys() - account.resources.keys())
        held = held_domains(account, profile)
        covered = account.link.covered_domains if account.link is not None else frozenset()
        await self._lifecycle.close_streams(account, covered - held, "tier")
        await self._lifecycle.look_at_listing(account, self._options.empty_confirm_seconds)
        await self._lifecycle.confirm_active(account, failing=self._board.failing(account.account_id))
        self._board.put_new(Job(account.account_id, *key) for key in account.resources)
        account.profile_asked_at = asked_at

    async def _require_same_holder(self, profile: Profile, account: AccountMemory) -> None:
        """Whose profile it is: pinned with the first one, the same ever after. Asked before anything of it counts."""
        cnic, mobile = (profile.holder.cnic, profile.holder.msisdn) if profile.holder else (None, None)
        require_same(account, cnic, mobile)
        if pinned(account) is None and (pin := pin_of(account, cnic, mobile)) is not None:
            await self._lifecycle.pin_holder(account, pin)

    async def sweep(self, account: AccountMemory) -> None:
        """Read everything of an account completely, once, and commit what that shows.

        Raises: what the gate, the source or the journal raise; the first failure ends it.
        """
        await self.refresh_profile(account)
        swept: set[tuple[str, str]] = set()
        # What one resource shows may bring others: a new card its authorisations.
        while waiting := [key for key in account.resources if key not in swept]:
            swept.add(waiting[0])
            if not isinstance(self._timetable.mode(account, waiting[0][0]), Off):
                await self._sweep_resource(account, account.resources[waiting[0]])

    async def look_at_consent(self, account: AccountMemory) -> None:
        """Close everything of an account whose consent ran out, once that is beyond doubt: it cannot be undone."""
        consent = account.link.consent if account.link is not None else None
        if consent is not None and consent.status == "AUTH" and self._watch.surely_past(consent.valid_until):
            await self._lifecycle.expire(account)
            await self.end_session(account)

    async def end_session(self, account: AccountMemory) -> None:
        """Log out upstream and forget tokens and device; what fails is tried again at the next checkpoint."""
        if account.logged_out:
            return
        try:
            # Every start asks for every link that is over: those that were logged out before cost one look.
            if await self._vault.load_session(account.account_id) is not None:
                await self._source.log_out(account.account_id)
                await self._vault.delete_session(account.account_id)
        except RetryableError as error:
            self._log.warning("logout_failed", account_id=account.account_id, exc_info=error)
            return
        account.logged_out = True

    async def retire(self, account_id: str) -> bool:
        """End an account that cannot be opened and whose link was removed: session, then keys; whether it is done.

        Its id never comes back: what was told under it cannot be gone on with.
        """
        try:
            if await self._has_session(account_id):
                await self._source.log_out(account_id)
            await self._vault.destroy(account_id)
        except RetryableError as error:
            self._log.warning("logout_failed", account_id=account_id, exc_info=error)
            return False
        self._log.info("account_retired", account_id=account_id)
        return True

    async def _has_session(self, account_id: str) -> bool:
        try:
            return await self._vault.load_session(account_id) is not None
        except DataError:
            return False  # sealed under another key: nobody can use it, and nobody can end it from here

    async def _sweep_resource(self, account: AccountMemory, resource: Resource) -> None:
        depth = Depth.WHOLE if resource.kind.window is None else Depth.RECONCILE
        if not account.resource(resource.domain, resource.name).meta.backfilled:
            await self._polls.poll(account, resource, self._commits, Depth.BACKFILL)
        await self._polls.poll(account, resource, self._commits, depth)

    async def _attempt(self, job: Job, account: AccountMemory) -> float | None:
        """Perform a job; the seconds until its next turn, None when it has none."""
        try:
            wait = await self._perform(job, account)
        except ConsentError as error:
            self._log.info("gate_shut", account_id=job.account_id, domain=job.domain, reason=str(error))
            await self.look_at_consent(account)
            return self._until_consent(account)
        except JournalError:
            raise
        except ConnectorError as error:
            return await self._fail(job, account, error)
        except Exception as error:  # noqa: BLE001  # a defect of ours in one resource must not stop all the others
            self._commits.isolation.unforeseen((job.account_id, job.domain), error)
            return await self._fail(job, account, DataError(f"unexpected {type(error).__name__}"), cause=error)
        self._commits.isolation.well((job.account_id, job.domain))
        self._board.backends[job.backend].succeeded(job.account_id, job.surface)
        if self._board.succeeded(job):
            await self._lifecycle.set_degraded(account, degraded=False)
        return wait

    def _until_due(self, job: Job, account: AccountMemory) -> float | None:
        """The seconds for which a job's turn has not come yet; None: it has none as things are."""
        if job.resource == PROFILE:
            return self._timetable.until_profile_due(account)
        resource = account.resources.get((job.domain, job.resource))
        return 0.0 if resource is None else self._timetable.until_due(account, resource)

    async def _perform(self, job: Job, account: AccountMemory) -> float | None:
        if job.resource == PROFILE:
            await self.refresh_profile(account)
            return self._board.interval(job)
        resource = account.resources.get((job.domain, job.resource))
        if resource is None:
            return self._board.interval(job)
        before = account.resources
        try:
            polled = await self._polls.poll(account, resource, self._commits)
        finally:
            if account.resources is not before:
                self._board.put_new(Job(account.account_id, *key) for key in account.resources)
        if resource.kind.steering and polled.changed:
            self._board.put(Job(account.account_id, "", PROFILE), 0.0)
        # The first complete read follows the backfill at once: only then can removals be found.
        return 0.0 if polled.depth is Depth.BACKFILL else self._timetable.wait_seconds(account, resource)

    async def _fail(
        self, job: Job, account: AccountMemory, error: ConnectorError, *, cause: Exception | None = None
    ) -> float | None:
        backend = self._board.backends[job.backend]
        now = self._clock.monotonic()
        trouble, backoff = self._board.failed(job)
        self._log.warning(
            "read_failed",
            account_id=job.account_id,
            domain=job.domain,
            resource=job.resource,
            failures_count=trouble.failures,
            exc_info=cause or error,
        )
        # Which of several failing jobs a backend that is down is tried with, is chance.
        if now - (self._board.failing_since(job.account_id) or now) >= self._options.degraded_after_seconds:
            await self._lifecycle.set_degraded(account, degraded=True)
        if isinstance(error, RetryableError):
            held = 0.0
            if error.retry_after_seconds is not None or isinstance(error, RateLimitedError):
                held = backend.refused(job.account_id, job.surface, now, error.retry_after_seconds or backoff)
            if not isinstance(error, RateLimitedError):
                backend.failed(job.account_id, now)
            # The jitter must not carry it past the longest wait.
            return min(max(backoff, held), MAXIMUM_BACKOFF_SECONDS / (1 + self._options.jitter_ratio))
        # The backend answered, only not as we would have liked.
        backend.succeeded(job.account_id, job.surface)
        if isinstance(error, HolderMismatchError) and account.waiting_for is None:
            self._log.error("account_halted", account_id=job.account_id, reason=error.reason, next_step=str(error))
        if isinstance(error, ActionRequiredError):
            await self._lifecycle.require_action(account, error.reason)
            return None
        if isinstance(error, ForbiddenError):
            # The tier may have changed: the profile is asked before this surface is asked again.
            self._board.put(Job(account.account_id, "", PROFILE), 0.0)
            return REFUSED_SECONDS
        return max(backoff, self._board.interval(job))

    def _until_consent(self, account: AccountMemory) -> float | None:
        """The seconds until the gate may open by itself; None where nothing but a command opens it.

        A consent that was given ahead has yet to begin; one whose end is in doubt may not have ended.
        """
        consent = account.link.consent if account.link is not None else None
        if consent is None or consent.status != "AUTH" or account.halted:
            return None
        if self._watch.doubt.doubtful or self._clock.now() >= consent.valid_until:
            return DOUBT_SECONDS
        wait = (consent.valid_from - self._clock.now()).total_seconds()
        return wait if wait > 0 else None

    def _gate_profile(self, account: AccountMemory) -> None:
        """The profile tells what may be read: any consented domain is reason enough to ask for it."""
        link = account.link
        consented = sorted(link.covered_domains) if link is not None else []
        self._polls.gate(account, consented[0] if consented else PROFILE)


def _own(profile: Profile, account: AccountMemory) -> Own:
    """The holder's own identifiers, as tokens: no more of them is kept."""
    return own_identifiers(
        ibans=[one.iban for one in profile.bank_accounts],
        cnic=profile.holder.cnic if profile.holder else None,
        mobile=profile.holder.msisdn if profile.holder else None,
        key=account.subject.token,
    )
