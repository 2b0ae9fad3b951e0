"""Lifecycle: commands, link status, consent's end, streams that close, checkpoints; all as writes of the ninth stream.

Each of these is one atomic commit: the desired state, the events that tell of it and the command's disappearance.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

import anyio

from connector.consent import Consent
from connector.diff import diff
from connector.domains import lifecycle
from connector.domains.lifecycle import Checkpoint, ConsentRecord, LinkStatus
from connector.domains.model import Record
from connector.domains.registry import DOMAINS
from connector.errors import ActionReason
from connector.events import Provenance
from connector.links import Command, Link, apply_command
from connector.ports import Clock, OpenRefresh
from connector.runtime.commit_loop import CommitLoop
from connector.runtime.held import Occasion, decided, unlisted
from connector.runtime.memory import AccountMemory
from connector.runtime.writes import Write
from connector.state import EntityState, ResourceMeta

_STREAMS_A_COMMIT = 500
SOURCE = Provenance(route="connector", backend="connector", api_version="1", parser_version="1", mode="live")


class Lifecycle:
    """Tells of what happens to the links of one shard."""

    def __init__(self, clock: Clock, commits: CommitLoop) -> None:
        self._clock = clock
        self._commits = commits
        # Two reasons to change one link may come at once; their writes must not be made from the same memory.
        self._locks: dict[str, anyio.Lock] = {}

    async def apply(self, account: AccountMemory, command: Command) -> None:
        """Apply one command: link, events and the command's removal in one commit.

        Raises:
            JournalError: it is not known to be committed; the command is still pending, or applied, never half.
        """
        async with self._lock(account):
            wanted = apply_command(account.link, command)
            if wanted is None:
                await self._commits.submit(self._bare(account, (command.command_id,)))
                return
            ending = wanted.removed and account.link is not None and not account.link.removed
            account.halted = wanted.paused or wanted.removed
            writes: list[Write] = []
            if ending:
                writes += self._closing(account, DOMAINS, "link")
                wanted = replace(wanted, consent=_ended(wanted.consent, "CANC"))
            elif command.kind == "connect":
                writes += self._closing(account, DOMAINS.keys() - wanted.domains, "link")
                writes += self._closing(account, wanted.domains - wanted.covered_domains, "consent")
                account.waiting_for = None
                account.logged_out = False
            if wanted.consent is not None:
                writes += self._telling(account, "consent", _consent_record(wanted.consent))
            if command.kind != "cadence":
                # How often it is read is no status of a link: checkpoints tell up to when it was.
                writes += self._telling(account, "link", _status(account, wanted))
            writes.append(self._bare(account, (command.command_id,), (wanted,)))
            if command.kind == "connect" and wanted.consent is not None:
                writes = [replace(write, consent_id=wanted.consent.consent_id) for write in writes]
            if not self._commits.isolation.held((account.account_id, command.domain or "")):
                writes += decided(account, command, self._occasion())
            try:
                await self._commits.submit(*writes)
            finally:
                account.halted = False
            if command.kind == "retry" and command.domain in account.streams:
                account.begin_again(command.domain)

    async def close_unopened(
        self, shard: AccountMemory, command: Command, link: Link, forgets: tuple[str, ...]
    ) -> Link:
        """End the link of an account that cannot be opened; the link as it is then.

        Nothing can be told of it, for its stream does not open either: the link and what is left of its state go with a
        commit of the shard's own.
        """
        removed = replace(link, removed=True, generation=link.generation + 1, consent=_ended(link.consent, "CANC"))
        await self._commits.submit(replace(self._bare(shard, (command.command_id,), (removed,)), forgets=forgets))
        return removed

    async def pin_holder(self, account: AccountMemory, token: str) -> None:
        """Remember for good by what the holder is known."""
        async with self._lock(account):
            await self._commits.submit(replace(self._bare(account, ()), holder_token=token))

    async def require_action(self, account: AccountMemory, reason: ActionReason) -> None:
        """The link waits for its holder."""
        async with self._lock(account):
            account.waiting_for = reason
            if account.link is not None:
                await self._submit(self._telling(account, "link", _status(account, account.link)))

    async def confirm_active(self, account: AccountMemory, *, failing: bool) -> None:
        """The bank answered: what an earlier life of this process told of the link may be over."""
        async with self._lock(account):
            told = account.link_status()
            over = {"ACTION_REQUIRED"} if failing else {"ACTION_REQUIRED", "DEGRADED"}
            if account.link is not None and told is not None and told.status in over and account.waiting_for is None:
                await self._submit(self._telling(account, "link", _status(account, account.link)))

    async def set_degraded(self, account: AccountMemory, *, degraded: bool) -> None:
        """Some of the account's resources have not been readable for long, or all are again."""
        async with self._lock(account):
            told = account.link_status()
            if account.link is None or told is None or told.status != ("ACTIVE" if degraded else "DEGRADED"):
                return
            status = replace(told, status="DEGRADED" if degraded else "ACTIVE")
            await self._submit(self._telling(account, "link", status))

    async def close_streams(self, account: AccountMemory, domains: Iterable[str], reason: str) -> None:
        """Close streams that may not be read any more, without any removal."""
        async with self._lock(account):
            await self._submit(self._closing(account, domains, reason))

    async def look_at_listing(self, account: AccountMemory, confirm_seconds: float) -> None:
        """Hold what stands on bank accounts that the profile no longer lists, or tell it gone once that has lasted."""
        async with self._lock(account):
            await self._submit(unlisted(account, self._occasion(), confirm_seconds))

    async def close_owed(self, account: AccountMemory) -> None:
        """Close what could not be closed with its link, because its stream was set aside then."""
        link = account.link
        if link is None:
            return
        expired = link.consent is not None and link.consent.status == "EXPD"
        covered = frozenset[str]() if link.over else link.covered_domains
        await self.close_streams(account, DOMAINS.keys() - covered, "consent" if expired else "link")

    async def expire(self, account: AccountMemory) -> None:
        """The consent ran out: every stream closes, then the consent is told expired, then the link closed."""
        async with self._lock(account):
            link = account.link
            if link is None or link.consent is None or link.consent.status != "AUTH":
                return
            account.halted = True
            ended = replace(link, generation=link.generation + 1, consent=_ended(link.consent, "EXPD"))
            at = min(self._clock.now(), link.consent.valid_until)
            writes = self._closing(account, DOMAINS, "consent", at)
            writes += self._telling(account, "consent", _consent_record(ended.consent or link.consent))
            writes += self._telling(account, "link", _status(account, ended))
            await self._commits.submit(*writes, self._bare(account, (), (ended,)))

    async def begin_epoch(self, accounts: Iterable[AccountMemory], shard: AccountMemory) -> None:
        """Where the journal is another branch than before, every stream says so, at last the shard's own.

        A stream that is set aside says it when it is taken up again.
        """
        epoch, held = self._commits.branch.epoch, self._commits.isolation.held
        owing = [
            self._write(account, domain, "")
            for account in accounts
            for domain, stream in account.streams.items()
            if stream.head.sequence > 0 and stream.head.epoch != epoch and not held((account.account_id, domain))
        ]
        of_streams = [write for write in owing if write.account is not shard]
        for one in range(0, len(of_streams), _STREAMS_A_COMMIT):
            await self._submit(of_streams[one : one + _STREAMS_A_COMMIT])
        await self._submit([write for write in owing if write.account is shard])

    async def intend_refresh(self, account: AccountMemory, generation: int, deadline_seconds: int) -> None:
        """Make it durable that the account's session of `generation` is about to be replaced, within so many seconds.

        Raises:
            JournalError: it is not, or the shard is somebody else's: the bank must not be asked.
            DataError: the journal does not take the account's lifecycle stream.
        """
        write = self._bare(account, ())
        await self._commits.submit(replace(write, refresh=OpenRefresh(generation, deadline_seconds)))

    async def checkpoint(
        self, shard: AccountMemory, checkpoint: Checkpoint, confirmed_at: datetime | None = None
    ) -> None:
        """Say up to when the shard has seen the bank, and, by more than one clock, what time it had become."""
        told = self._telling(shard, "checkpoint", checkpoint)
        await self._submit([replace(write, confirmed_at=confirmed_at) for write in told])

    async def _submit(self, writes: list[Write]) -> None:
        if writes:
            await self._commits.submit(*writes)

    @asynccontextmanager
    async def _lock(self, account: AccountMemory) -> AsyncIterator[None]:
        lock = self._locks.setdefault(account.account_id, anyio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():
                # Nobody holds it or waits for it: a released lock goes to whoever waits at once.
                self._locks.pop(account.account_id, None)

    def _telling(self, account: AccountMemory, resource: str, record: Record) -> list[Write]:
        opened = account.resource(lifecycle.NAME, resource).packed.open()
        entities = opened.entities
        known = entities.get(record.entity_id)
        version = known.version if known is not None else 0
        believed = {**entities, record.entity_id: EntityState(record.entity_id, version, record.booking_key, record)}
        changes = diff(entities, believed)
        if not changes:
            return []
        return [replace(self._write(account, lifecycle.NAME, resource), opened=opened, changes=changes)]

    def _closing(
        self, account: AccountMemory, domains: Iterable[str], reason: str, at: datetime | None = None
    ) -> list[Write]:
        writes = []
        for domain in sorted(domains):
            stream = account.streams.get(domain)
            if stream is None or stream.head.status not in {"backfilling", "live"}:
                continue
            if self._commits.isolation.held((account.account_id, domain)):
                continue  # owed: an end of consent must not wait for it
            write = self._write(account, domain, "")
            writes.append(replace(write, closes=reason, observed_at=at or write.observed_at))
        return writes

    def _occasion(self) -> Occasion:
        return Occasion(self._clock.now(), SOURCE)

    def _bare(self, account: AccountMemory, commands_applied: tuple[str, ...], links: tuple[Link, ...] = ()) -> Write:
        """A write that tells nothing, and carries what must be committed with the others."""
        return replace(self._write(account, lifecycle.NAME, ""), commands_applied=commands_applied, links=links)

    def _write(self, account: AccountMemory, domain: str, resource: str) -> Write:
        consent = account.link.consent if account.link is not None else None
        return Write(
            account=account,
            domain=domain,
            resource=resource,
            observed_at=self._clock.now(),
            consent_id=consent.consent_id if consent is not None else "",
            source=SOURCE,
            name_event=lifecycle.name_event,
            meta=ResourceMeta(backfilled=True),
            gated=False,
        )


def _status(account: AccountMemory, link: Link) -> LinkStatus:
    status = "ACTIVE"
    if link.over:
        status = "CLOSED"
    elif link.paused:
        status = "PAUSED"
    elif account.waiting_for is not None:
        status = "ACTION_REQUIRED"
    return LinkStatus(
        status=status,
        action=account.waiting_for if status == "ACTION_REQUIRED" else None,
        route=link.route,
        domains=tuple(sorted(link.domains)),
        generation=link.generation,
        act_by=None,
    )


def _ended(consent: Consent | None, status: str) -> Consent | None:
    if consent is None or consent.status != "AUTH":
        return consent
    return replace(consent, status="EXPD" if status == "EXPD" else "CANC")


def _consent_record(consent: Consent) -> ConsentRecord:
    return ConsentRecord(
        consent_id=consent.consent_id,
        status=consent.status,
        domains=tuple(sorted(consent.domains)),
        valid_from=consent.valid_from,
        valid_until=consent.valid_until,
        text_sha256=consent.text_sha256,
        language=consent.language,
    )
