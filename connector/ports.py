"""The edges of the connector, as Protocols: clock, source, vault, journal.

Each says what an implementer must, may and must not do, so that a new one can be written from this page alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, Protocol

from connector.domains.model import BookingKey, Entry, Profile, ResourceKind, Unreadable
from connector.links import Command, Link


class Clock(Protocol):
    """Time, injected, so that tests need not wait for it."""

    def now(self) -> datetime:
        """The present UTC instant."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back and goes on in a suspend, with no meaning but differences."""

    async def sleep(self, seconds: float) -> None:
        """Wait that long by `monotonic`; 0 or less yields once. Made up for within seconds of waking from a suspend."""


# ── Source ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Resource:
    """One readable thing of one account.

    `name` is opaque and safe in keys and logs (`transactions:<token>`, `loan`); `part` says of which bank account, card
    or fund it is, in the bank's own words: it may be personal data and stays between poller and source.
    """

    account_id: str
    domain: str
    kind: ResourceKind
    name: str
    part: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page. `cursor` continues a read; `since` bounds its far end.

    For newest-first feeds `since` is a calendar day (Asia/Karachi), inclusive; for ascending feeds `after` is the
    booking key after which to begin. `etag` asks for a 304 where nothing moved.
    """

    cursor: str | None = None
    since: date | None = None
    after: BookingKey | None = None
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class RawPage:
    """One response, not yet looked into: an idle poll compares `digest` and is done.

    `body` is None when the bank answered that nothing changed since `etag`. `asked_at` and `fetched_at` enclose the
    instant that it speaks of. `served_at` is the bank's own clock, where it says: what the bank still serves is
    measured by it.
    """

    body: bytes | None
    digest: bytes
    etag: str | None
    asked_at: datetime
    fetched_at: datetime
    served_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A page understood: its entries in the feed's own order, and how to go on (`next_cursor` None: terminal page).

    `total` is how many entries the whole feed has, where the bank states it: pages that are numbered shift when an
    entry comes or goes, and the total tells.
    """

    entries: tuple[Entry | Unreadable, ...]
    next_cursor: str | None
    unknown_fields: Mapping[str, int] = field(default_factory=dict)
    total: int | None = None


Intend = Callable[[str, int, int], Awaitable[None]]
"""Make durable, by whoever owns the account's shard, that the session of an account id and generation is about to be
replaced within so many seconds. Raises ConnectorError: the bank must not be asked."""


@dataclass(frozen=True, slots=True)
class OpenRefresh:
    """What an earlier owner left: it may be replacing the session of `generation`, for `deadline_seconds` at most."""

    generation: int
    deadline_seconds: int


class Source(Protocol):
    """An access route to the bank.

    Must only read. Must raise the taxonomy of `connector.errors` and nothing of its HTTP library. May keep
    connections and tokens; must not keep records. Must not log values of any response.
    """

    route: str
    api_version: str
    parser_version: str

    async def fetch_profile(self, account_id: str, etag: str | None = None) -> Profile | None:
        """The holder's tier and bank accounts; None where the bank says that they are as `etag` had them.

        Raises: RetryableError, AuthorizationError, DataError (the answer cannot be understood).
        """

    async def fetch_page(self, resource: Resource, request: PageRequest) -> RawPage:
        """One page, as bytes.

        Raises: RetryableError, AuthorizationError, ForbiddenError, CursorError (the bank refused the cursor).
        """

    def normalise(self, resource: Resource, body: bytes) -> Page:
        """Bytes to canonical entries. Pure.

        Of one entity a page has one entry. Entries of one answer that state different things of the same entity are one
        `Unreadable`.

        Raises: DataError where the page as a whole cannot be understood; a single bad entry is an `Unreadable`.
        """

    async def understand(self, resource: Resource, body: bytes) -> Page:
        """What `normalise` gives; a large body must not hold up the event loop meanwhile.

        Raises: as `normalise`.
        """

    async def tell_time(self) -> datetime | None:
        """The bank's own clock, asked without credentials and about no account; None: it answers and tells no time.

        Raises: RetryableError, DataError.
        """

    def take_charge(self, account_id: str, intend: Intend, left_open: OpenRefresh | None = None) -> None:
        """From here on ask `intend` before each replacement of the account's session: two owners must not both do it.

        A session of the generation that was `left_open` is not replaced before that deadline has gone by in full, and
        then only where the vault still holds no newer one. Where nobody took charge, sessions are replaced unasked.
        """

    async def log_out(self, account_id: str) -> None:
        """End the session upstream, as far as it will go; never raises for a bank that is away."""


# ── Vault ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Session:
    """What the bank gave for a login. Secret in every field; never printed.

    `generation` rises with each rotation; the newest one wins. Expiries are UTC; `refresh_expires_at` is None where the
    bank did not say it in a form that can be used.
    """

    account_id: str = field(repr=False)
    generation: int = field(repr=False)
    msisdn: str = field(repr=False)
    device_id: str = field(repr=False)
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    access_expires_at: datetime = field(repr=False)
    refresh_expires_at: datetime | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class VaultIdentity:
    """Which vault it is, and how far it has come: `counter` rises with everything that is written to it."""

    vault_id: str
    counter: int


@dataclass(frozen=True, slots=True)
class HighWaterMark:
    """How far a shard of the journal is known to have come. `tip` is empty before the first commit."""

    shard: int
    number: int
    epoch: str
    tip: bytes
    at: datetime


class Vault(Protocol):
    """Where secrets rest, sealed. Shared by the connector and command lines on the same machine.

    Every write is durable when it returns. Nothing is stored in clear.
    """

    async def find_account(self, holder_identifier: str) -> str | None:
        """The account id that a holder (E.164 msisdn) was given before; nothing is made."""

    async def account_for(self, holder_identifier: str) -> str:
        """The opaque account id of a holder (E.164 msisdn): the one given before, else a new random one."""

    async def data_key(self, account_id: str, *, make: bool = True) -> bytes:
        """The subject's 32-byte data key; made on first use, unless something is sealed already (not `make`).

        Raises: ConsentError when it was destroyed (an erased account never comes back); ConfigurationError when the
        vault does not know the account, or has no key of it and must not make one; DataError when it does not open.
        """

    async def data_keys(self) -> Mapping[str, bytes]:
        """The data keys of all accounts that have one, at once: a start needs them all.

        One that does not open is left out: `data_key` says why.
        """

    async def shard_key(self, shard: int) -> bytes:
        """The 32-byte key of what a shard commits about itself; the same on every call, stored nowhere."""

    async def identity(self) -> VaultIdentity:
        """Which vault this is, and how far it has come by now."""

    async def marks(self) -> Mapping[int, HighWaterMark]:
        """How far the journal had come, by shard, when that was last noted.

        Raises:
            DataError: a mark was changed by somebody who has not the key.
        """

    async def store_marks(self, marks: Iterable[HighWaterMark], *, counter_floor: int = 0) -> VaultIdentity:
        """Note how far the journal has come; the vault as it is then. Its counter ends above `counter_floor`."""

    async def load_session(self, account_id: str) -> Session | None:
        """The session of the highest generation, or None."""

    async def store_session(self, session: Session) -> None:
        """Keep a session; older generations are dropped once it is durable."""

    async def delete_session(self, account_id: str) -> None:
        """Forget tokens and device binding. The account id and data key stay."""

    async def destroy(self, account_id: str) -> None:
        """Destroy everything of the account, data key included; its sealed state can never be read again."""

    async def close(self) -> None:
        """Release files."""


# ── Journal ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One encoded event, ready for the log. `topic` is the short name (a domain, or `lifecycle`).

    `value` is Avro single-object encoded; how it lies in the log is the journal's own affair.
    """

    topic: str
    key: str
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class StateRecord:
    """One sealed state value under its key; None is a tombstone."""

    key: str
    value: bytes | None


@dataclass(frozen=True, slots=True)
class QuarantineRecord:
    """What could not be understood, sealed, with the account it belongs to."""

    key: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Contents:
    """What a commit holds, in digests, so that rows read back can be compared table by table (`connector.chain`).

    `events` and `quarantine` digest the records in their order, `event_count` and `quarantine_count` count them.
    `state` and `links` list the keys written with their values, each as the beginning of a digest. `commands` are the
    ids of those applied.
    """

    event_count: int
    events: bytes
    quarantine_count: int
    quarantine: bytes
    state: bytes
    links: bytes
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Commit:
    """Everything that becomes durable together, or not at all.

    `number` counts the commits of the shard from 1 without a gap: after an unknown outcome the restored state tells by
    it whether the commit happened. `epoch` is the branch that it belongs to, `at` the connector's time. `contents` is
    what the chain says of it and `tip` the chain's tip after it (`connector.chain`): the journal keeps both with the
    commit. `position` is the shard's own sealed record of where it stands; it is state, and no part of `contents`.
    `vault` is the vault that was open.
    """

    shard: int
    number: int
    events: tuple[EventRecord, ...]
    state: tuple[StateRecord, ...]
    links: tuple[Link, ...] = ()
    quarantine: tuple[QuarantineRecord, ...] = ()
    commands_applied: tuple[str, ...] = ()
    epoch: str = ""
    at: datetime | None = None
    tip: bytes = b""
    contents: Contents | None = None
    position: StateRecord | None = None
    vault: VaultIdentity | None = None


@dataclass(frozen=True, slots=True)
class LastCommit:
    """The last commit of a shard that a journal holds, as it may be asked without owning the shard.

    `number` is 0 before the first. `tip` is empty, `at` and `vault` are None where the commit did not say.
    """

    number: int = 0
    tip: bytes = b""
    at: datetime | None = None
    vault: VaultIdentity | None = None


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as read back: `offset` is its place in (topic, shard). `value` is as it was committed."""

    topic: str
    shard: int
    offset: int
    key: str
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Damaged:
    """A link or command that cannot be understood; the others of its shard are none the worse.

    `key` finds it in the journal, `account_id` is whose it is by that key. `reason` says field and fault, no value.
    """

    kind: Literal["link", "command"]
    key: str
    account_id: str
    reason: str


class Shard(Protocol):
    """The one writer of a shard, once it has been acquired: whoever held it before is fenced."""

    number: int
    committed_number: int
    """The number of the shard's last commit known to be durable; 0 before the first."""
    epoch: str
    """The branch that is written: that of the journal when the shard was acquired."""
    last: LastCommit
    """What the shard's last commit was when it was acquired."""
    maximum_record_bytes: int
    """The largest `value` that a commit may carry; larger ones are known before the commit begins."""

    def restore(self) -> AsyncIterator[StateRecord]:
        """The last committed value of every live state key (no tombstones), in any order."""

    async def links(self) -> Mapping[str, Link]:
        """The desired state of every account of the shard whose link can be understood, by account id."""

    async def pending_commands(self) -> tuple[Command, ...]:
        """Commands not yet applied that can be understood, oldest first. Called often; cheap when there is none."""

    async def damaged(self) -> tuple[Damaged, ...]:
        """What `links` and `pending_commands` left out when they were last asked. They stay as they are."""

    async def commit(self, commit: Commit) -> None:
        """Make all of it durable and visible, or none of it.

        Raises:
            FencedError: another owner took over; nothing of it is visible.
            JournalError: the outcome is unknown; acquire and restore again, and compare `number`.
        """

    async def release(self) -> None:
        """Give the shard up. Bounded in time; never raises."""


class Journal(Protocol):
    """The durable log behind the connector. Commits are atomic, durable, and ordered within a shard."""

    shard_count: int
    epoch: str
    """The branch that this journal is: random, 16 hex digits; told in every event."""

    async def last_commit(self, shard: int, *, settled: bool = False) -> LastCommit:
        """How far `shard` is. Takes nothing from anybody: it is asked before `acquire`.

        What was committed may be readable only later, where a broker has just come back. `settled`: that is waited for,
        for as long as it takes.

        Raises:
            JournalError: the journal is away.
        """

    async def acquire(self, shard: int) -> Shard:
        """Become the only writer of `shard`, fencing whoever was.

        Raises:
            ConfigurationError: it is held in a way that cannot be fenced (an embedded journal in use, naming the pid).
        """

    async def begin_epoch(self) -> str:
        """Have the journal go on as a new branch, from what it holds; its epoch. Nobody may work on it meanwhile.

        Raises:
            ConfigurationError: somebody does, and cannot be fenced.
            JournalError: the journal is away.
        """

    async def close(self) -> None:
        """Release everything. Bounded in time."""


class JournalReader(Protocol):
    """The side of the journal for readers and command lines; works while a connector runs."""

    shard_count: int

    def read_events(
        self, topics: tuple[str, ...], *, key: str | None = None, follow: bool = False, from_end: bool = False
    ) -> AsyncIterator[StoredEvent]:
        """Committed events in order of commit, oldest first; with `follow` it waits for more.

        `from_end`: only what is committed from the first request on, and nothing of what is there costs anything.

        Where each topic and shard is a log of its own, that order holds within each of them, and across them as nearly
        as the logs can tell.
        """

    async def links(self) -> Mapping[str, Link]:
        """Every link that can be understood, by account id."""

    async def damaged(self) -> tuple[Damaged, ...]:
        """The links and commands that `links` and `pending_commands` leave out."""

    def read_state(self, keys: Collection[str] | None = None) -> AsyncIterator[StateRecord]:
        """The last committed value of every live state key, in any order; of `keys` only, where they are given.

        A key that ends in `/` stands for all that begin with it. Takes nothing from whoever owns the shards.
        """

    def read_quarantine(self, keys: Collection[str] | None = None) -> AsyncIterator[QuarantineRecord]:
        """Every committed quarantine record, those of a key oldest first; of `keys` only, where they are given."""

    async def append_command(self, command: Command) -> None:
        """Durable when it returns; applied by the connector when it runs."""

    async def pending_commands(self) -> tuple[Command, ...]:
        """Commands of every shard that no connector has applied yet, oldest first within a shard."""

    async def command_pending(self, command_id: str) -> bool:
        """True until the connector applied it."""

    async def close(self) -> None:
        """Release everything."""
