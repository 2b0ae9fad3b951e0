"""Branch: where a shard stands in its chain, how far the vault knows it to have come, and whether the two agree.

A journal that is behind what the vault knows is an older copy, or has lost its newest records: writing on would tell
other events under numbers that consumers have seen. It is refused before anything is acquired.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import anyio

from connector.chain import Chain, added
from connector.errors import ConfigurationError, ConnectorError
from connector.journal.link_codec import coded, encode_link
from connector.links import Link
from connector.ports import Clock, Commit, Damaged, HighWaterMark, Journal, LastCommit, Vault, VaultIdentity
from connector.runtime.sealed_state import Subject
from connector.state import Position
from connector.telemetry import RepeatedFailures, logger

MARK_INTERVAL_SECONDS = 1.0
REMINDER_SECONDS = 600.0
"""How often it is said that the vault cannot be written."""
WAYS_OUT = (
    "Put back the newest copy (`zindigi restore`), or, if this one is to go on, have consumers told of it: "
    "`zindigi journal new-epoch`"
)


class Branch:
    """The chain of one shard, at its last commit."""

    def __init__(self, subject: Subject, chain: Chain, position: Position, epoch: str, vault: VaultIdentity) -> None:
        self.chain = chain
        self.position = position
        self.epoch = epoch
        self.vault = vault
        """As last seen: the next commit says it."""
        self.moved = anyio.Event()
        """Set by the next commit."""
        self._subject = subject

    def extend(
        self, commit: Commit, live: int, links: Iterable[tuple[Link | None, Link]], now: datetime
    ) -> tuple[Commit, Position]:
        """`commit` as the next link of the chain, and the position after it.

        `live` is what its state changes in the sum over live rows; `links` are its links, each after the one before.
        """
        rows = []
        for before, after in links:
            row = coded(encode_link, after)
            rows.append((after.account_id, row))
            live += self.chain.of_row(after.account_id, row.encode()) - link_sum(self.chain, before)
        linked = replace(commit, epoch=self.epoch, at=now, vault=self.vault)
        linked = self.chain.extend(self.position, linked, rows)
        position = Position(
            number=commit.number,
            epoch=self.epoch,
            tip=linked.tip,
            live=None if self.position.live is None else added(self.position.live, live),
            vault_id=self.vault.vault_id,
            vault_counter=self.vault.counter,
        )
        return replace(linked, position=self._subject.position_record(position)), position

    def committed(self, position: Position) -> None:
        """The commit that leads to `position` is durable."""
        self.position = position
        moved, self.moved = self.moved, anyio.Event()
        moved.set()


def link_sum(chain: Chain, link: Link | None) -> int:
    """What a link adds to the sum over live rows."""
    return 0 if link is None else chain.of_row(link.account_id, coded(encode_link, link).encode())


@dataclass(frozen=True, slots=True)
class Found:
    """What restoring a shard has found: its record of where it stands, and the sum over what is there.

    `unlinked` are the accounts that were linked, and have no link. `whole` is False where some rows could not be
    opened, so that the sum says nothing.
    """

    position: Position | None
    live: int
    commit_number: int
    unlinked: frozenset[str] = frozenset()
    whole: bool = True

    def without(self, damaged: Iterable[Damaged]) -> Found:
        """The same, where rows of links cannot be understood: those of their accounts are not missing."""
        links = {one.account_id for one in damaged if one.kind == "link"}
        return replace(self, unlinked=self.unlinked - links, whole=self.whole and not links)


def require_sound(shard: int, last: LastCommit, found: Found) -> Position:
    """The position that a shard goes on from.

    Raises:
        ConfigurationError: what is there is not what the chain vouches for.
    """
    remedy = (
        "It was changed outside of the connector. `zindigi journal verify` says what is wrong; "
        "`zindigi restore` puts a backup in its place"
    )
    position = found.position
    if position is None:
        if last.number or found.commit_number or found.live:
            raise ConfigurationError(f"shard {shard} of the journal holds no record of where it stands. {remedy}")
        return Position()
    if position.number != last.number or found.commit_number > position.number:
        raise ConfigurationError(
            f"shard {shard} of the journal is at commit {last.number}, its record of where it stands at commit "
            f"{position.number}. {remedy}"
        )
    if last.tip != position.tip:
        raise ConfigurationError(
            f"commit {last.number} of shard {shard} is not the one that the shard's chain ends with. {remedy}"
        )
    if found.unlinked:
        raise ConfigurationError(
            f"shard {shard} of the journal has the state of {len(found.unlinked)} accounts whose links are gone: "
            f"nothing of them would be read. {remedy}"
        )
    if not found.whole:
        return replace(position, live=None)
    if position.live is None:
        # What could not be opened for a while is there again, or was closed: from here on it counts.
        return replace(position, live=found.live)
    if found.live != position.live:
        raise ConfigurationError(
            f"the state and links of shard {shard} do not add up to what was committed: a row was edited, removed, "
            f"added, or put back as it was before. {remedy}"
        )
    return position


async def require_fit(shards: Iterable[int], journal: Journal, vault: Vault) -> None:
    """Check, before anything is taken from anybody, that journal and vault belong together and none is behind.

    Raises:
        ConfigurationError: one is an older copy, or they never worked together.
        JournalError: the journal is away.
    """
    marks, identity = await vault.marks(), await vault.identity()
    for shard in shards:
        complaint = unfit(shard, journal.epoch, await journal.last_commit(shard), marks, identity)
        if complaint is not None:
            # Its newest commit may be there and not readable yet: nobody is refused for that.
            complaint = unfit(shard, journal.epoch, await journal.last_commit(shard, settled=True), marks, identity)
        if complaint is not None:
            raise ConfigurationError(complaint)


def unfit(
    shard: int, epoch: str, last: LastCommit, marks: Mapping[int, HighWaterMark], identity: VaultIdentity
) -> str | None:
    """Why a shard of the journal must not be written under this vault; None where it may."""
    there = f"shard {shard} of the journal ends with commit {last.number} ({_time(last.at)}, epoch {epoch})"
    mark = marks.get(shard)
    complaint = None
    if last.vault is not None and last.vault.vault_id != identity.vault_id:
        return (
            f"{there}, written under another vault ({last.vault.vault_id}, not {identity.vault_id}): use the vault "
            "that belongs to this journal"
        )
    if last.vault is not None and last.vault.counter > identity.counter:
        complaint = (
            f"the vault is an older copy: it stands at {identity.counter}, and {there} was written when it stood at "
            f"{last.vault.counter}; sessions and erasures since then are not in it"
        )
    elif mark is not None:
        known = f"the vault knows commit {mark.number} ({_time(mark.at)}, epoch {mark.epoch})"
        if epoch != mark.epoch:
            complaint = f"{there}, but {known}: it is another branch"
        elif last.number < mark.number:
            complaint = f"{there}, but {known}: it is an older copy, or its newest records are lost"
        elif last.number == mark.number and last.tip != mark.tip:
            complaint = f"{there}, but {known} is another one of that number: it was written elsewhere"
    return None if complaint is None else f"{complaint}. {WAYS_OUT}"


def _time(at: datetime | None) -> str:
    return "never" if at is None else at.strftime("%Y-%m-%d %H:%M:%S UTC")


class MarkKeeper:
    """Notes in the vault how far a shard has come: behind the commits, never in their way."""

    def __init__(self, shard: int, branch: Branch, vault: Vault, clock: Clock) -> None:
        self._shard = shard
        self._branch = branch
        self._vault = vault
        self._clock = clock
        self._noted = branch.position.number
        self._failures = RepeatedFailures(logger(__name__), clock.monotonic, interval_seconds=REMINDER_SECONDS)

    async def run(self) -> None:
        """Note it about once a second while anything is committed, until cancelled; then a last time."""
        try:
            while True:
                if self._branch.position.number == self._noted:
                    await self._branch.moved.wait()
                # A commit that comes while the mark is written is noted with the next round, without another one.
                await self._clock.sleep(MARK_INTERVAL_SECONDS)
                await self.note()
        finally:
            with anyio.CancelScope(shield=True):
                await self.note()

    async def note(self) -> None:
        """Note where the shard is by now. A vault that cannot be written for the moment is tried again later."""
        position = self._branch.position
        if position.number == self._noted:
            return
        mark = HighWaterMark(self._shard, position.number, position.epoch, position.tip, self._clock.now())
        try:
            self._branch.vault = await self._vault.store_marks([mark])
        except ConnectorError as error:
            self._failures.warn("mark", "high_water_mark_not_noted", shard=self._shard, exc_info=error)
        else:
            self._failures.settle("mark")
            self._noted = position.number
