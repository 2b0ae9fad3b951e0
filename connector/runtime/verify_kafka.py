"""Verifying a Kafka journal: state, links and chain against each other, and the state against what the events say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from connector.errors import ConfigurationError, ConsentError, DataError
from connector.journal.kafka.history import EventHistory
from connector.journal.kafka.shard_state import ShardState
from connector.journal.verify import Finding
from connector.ports import Clock, LastCommit, StateRecord, Vault
from connector.runtime.branch import require_sound, unfit
from connector.runtime.comparison import accounts_without_state, compare, unchecked
from connector.runtime.deployment import Deployment, deployment_of
from connector.runtime.history import Heading, History, fold_history
from connector.runtime.memory import Restored, restore
from connector.runtime.verify import Note
from connector.settings import Settings

_ATTEMPTS: Final = 3


async def verify_topics(settings: Settings, vault: Vault, clock: Clock, note: Note) -> list[Finding]:
    """Everything that is wrong with the topics, and between them and the vault.

    Raises:
        ConfigurationError, JournalError: they cannot be read at all.
    """
    findings = []
    async with deployment_of(settings, vault, clock) as deployment:
        for shard in range(deployment.journal.shard_count):
            verification = await _of_shard(shard, deployment)
            findings += verification.findings
            for line in verification.notes:
                note(line)
    return findings


async def _of_shard(shard: int, deployment: Deployment) -> _Verification:
    """One shard. A connector may go on meanwhile: what may come of that is looked at again."""
    verification = _Verification(shard, deployment)
    await verification.run()
    for _ in range(_ATTEMPTS - 1):
        if verification.findings and verification.overtaken:
            verification = _Verification(shard, deployment)
            await verification.run()
    return verification


class _Verification:
    """One look at one shard."""

    def __init__(self, shard: int, deployment: Deployment) -> None:
        self.findings: list[Finding] = []
        self.notes: list[str] = []
        self.overtaken = False
        """True where commits were made while it was looked at."""
        self._shard = shard
        self._deployment = deployment
        self._journal = deployment.journal
        self._vault = deployment.vault

    def _find(self, number: int | None, table: str, what: str) -> None:
        self.findings.append(Finding(self._shard, number, table, what))

    async def run(self) -> None:
        shard, journal, vault = self._shard, self._journal, self._vault
        marks, identity = await vault.marks(), await vault.identity()
        state = await journal.states.cut(shard)
        last = state.mark.last
        if await journal.lost_state(shard):
            self._find(None, "state", "there are events, and no state: `zindigi journal rebuild`")
            return
        complaint = unfit(shard, journal.epoch, last, marks, identity)
        if complaint is not None:
            self._find(last.number, "state", complaint)
        restored = await restore(shard, _records(state), await self._deployment.links(shard), vault)
        for account_id, reason in restored.set_aside.items():
            self._find(last.number, "state", f"what is kept of {account_id} cannot be opened: {reason}")
        try:
            require_sound(shard, last, restored.found.without(await self._deployment.reader.damaged()))
        except ConfigurationError as error:
            self._find(last.number, "state", str(error))
        await self._compare_events(restored, last)

    async def _compare_events(self, restored: Restored, last: LastCommit) -> None:
        """The state as of its last commit with the events up to there."""
        journal = self._journal
        topics = await EventHistory.open(journal.options, journal.watermarks, journal.patience, self._shard)
        later = 0

        def came_later(heading: Heading) -> bool:
            nonlocal later
            if heading.epoch != journal.epoch or heading.commit_number <= last.number:
                return False
            later = max(later, heading.commit_number)
            return True

        history = await fold_history(self._shard, topics.events, leave_out=came_later)
        newest = (await journal.last_commit(self._shard)).number
        self.overtaken = newest > last.number
        for one in (*history.complaints, *compare(history, restored.accounts)):
            self._find(None, one.topic, f"of {one.account_id}, {one.what}")
        if later > newest:
            self._find(later, "events", f"there are events of that commit, and the state is as of {newest}")
        for account_id in accounts_without_state(history, restored.accounts):
            if account_id not in restored.set_aside and not await self._erased(account_id):
                self._find(None, "state", f"of {account_id} there are events, and no state")
        self._note_expired(history, restored, topics.expired)

    async def _erased(self, account_id: str) -> bool:
        try:
            await self._vault.data_key(account_id, make=False)
        except ConsentError:
            return True
        except (ConfigurationError, DataError):
            return False
        return False

    def _note_expired(self, history: History, restored: Restored, expired: tuple[str, ...]) -> None:
        for topic, count in sorted(unchecked(history, restored.accounts).items()):
            self.notes.append(
                f"shard {self._shard}, {topic}: of {count} streams the oldest events are gone; what was told by them "
                "alone could not be compared"
            )
        for topic in expired:
            self.notes.append(f"shard {self._shard}, {topic}: its oldest events have expired or were deleted")


async def _records(state: ShardState) -> AsyncIterator[StateRecord]:
    for key, value in state.values.items():
        yield StateRecord(key.decode(errors="replace"), value)
