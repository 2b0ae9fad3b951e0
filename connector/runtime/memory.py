"""Memory: what the runtime holds of an account between polls. Mirrors the journal; rebuilt from it at any time.

The only mutable state of the runtime. It changes in two places: a commit that succeeded publishes here, and a poll
notes what lives in memory only (digests, suspicions, when it was last read).
"""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from connector.chain import Chain, added
from connector.diff import visible
from connector.domains.lifecycle import NAME as LIFECYCLE
from connector.domains.lifecycle import ConsentRecord, LinkStatus
from connector.domains.model import BookingKey, Profile, ResourceKind
from connector.domains.registry import DOMAINS
from connector.domains.tiers import is_known_tier, may_hold
from connector.errors import ActionReason, ConnectorError, ConsentError, RetryableError
from connector.links import Link
from connector.observe import NOTHING_SUSPECTED, Suspicion
from connector.parties import NOBODY, Own
from connector.ports import Resource, StateRecord, Vault
from connector.runtime.branch import Found, link_sum
from connector.runtime.packing import Packed, Packing
from connector.runtime.sealed_state import StateKey, Subject, position_key
from connector.state import EntityState, Position, ResourceMeta, StreamHead
from connector.window import is_entry, lower_bound, resumed_after

MAXIMUM_ETAG_USES = 10
"""Answers in a row that nothing moved, after which the whole is asked for."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What steers the reads of a ledger.

    `after`: the booking key after which an ascending one goes on; `lower`: the lowest that a complete read must cover.
    """

    after: BookingKey | None
    lower: BookingKey | None


@dataclass(slots=True)
class ResourceMemory:
    """One resource: its entities at rest, and what the last reads left.

    `read_at`: up to when the last read in this life shows what is new; `reconciled_at`: up to when the last complete
    one that left nothing to confirm shows everything; `looked_at` when the last complete one began, believed or not.
    `etag_uses` counts how often in a row the bank said that nothing moved. `pace` multiplies the head interval at
    present; `unconfirmed` while the last read wants a complete one soon.
    `bounds` is worked out when first needed, so that restoring and idling decode nothing.
    """

    packed: Packed
    meta: ResourceMeta = field(default_factory=ResourceMeta)
    suspicion: Suspicion = NOTHING_SUSPECTED
    etag: str | None = None
    etag_uses: int = 0
    read_at: datetime | None = None
    reconciled_at: datetime | None = None
    looked_at: datetime | None = None
    pace: float = 1.0
    unconfirmed: bool = False
    bounds: Bounds | None = None

    @property
    def trusted_etag(self) -> str | None:
        """The entity tag to ask by; none now and then, lest a bank that never says anything else be believed."""
        return self.etag if self.etag_uses < MAXIMUM_ETAG_USES else None

    @property
    def due_at_once(self) -> bool:
        """True while a gap is to be filled, or a person's word to be followed."""
        return self.meta.hole_since is not None or self.meta.accepted_count > 0

    def bounds_for(self, kind: ResourceKind) -> Bounds:
        """The bounds of the entities at rest."""
        if self.bounds is None:
            self.bounds = bounds_of(kind, self.meta.floor, self.packed.open().entities.values())
        return self.bounds


def bounds_of(kind: ResourceKind, floor: BookingKey | None, entities: Collection[EntityState]) -> Bounds:
    """The bounds of a ledger's entities; a resource read whole has none."""
    if kind.window is None:
        return Bounds(None, None)
    after = resumed_after(kind, floor, (entity.key for entity in entities if is_entry(entity)))
    return Bounds(after, lower_bound(kind, floor, entities))


@dataclass(slots=True)
class StreamMemory:
    """One stream: its head, and its resources by name."""

    head: StreamHead = field(default_factory=StreamHead)
    resources: dict[str, ResourceMemory] = field(default_factory=dict)


@dataclass(slots=True)
class AccountMemory:
    """One linked account.

    `profile` is None until the bank was asked for it in this life, last at `profile_asked_at`, and `own` empty: the
    holder's own identifiers, as tokens; `halted` while the account is being closed or paused;
    `logged_out` once its session was ended in this life; `waiting_for` says what the holder must do before any call
    goes out again.
    """

    account_id: str
    subject: Subject
    link: Link | None = None
    profile: Profile | None = None
    profile_asked_at: datetime | None = None
    profile_etag_uses: int = 0
    own: Own = NOBODY
    halted: bool = False
    logged_out: bool = False
    waiting_for: ActionReason | None = None
    streams: dict[str, StreamMemory] = field(default_factory=dict)
    resources: dict[tuple[str, str], Resource] = field(default_factory=dict)

    def stream(self, domain: str) -> StreamMemory:
        """The stream of a domain, made when first asked for."""
        return self.streams.setdefault(domain, StreamMemory())

    def resource(self, domain: str, name: str) -> ResourceMemory:
        """A resource of a stream, made when first asked for."""
        stream = self.stream(domain)
        if name not in stream.resources:
            meta = stream.head.resources.get(name, ResourceMeta())
            if meta.quarantined_count:
                # What could not be understood before the start may be understood by now: it is looked at again.
                meta = meta.due_again()
            stream.resources[name] = ResourceMemory(Packed(domain), meta)
        return stream.resources[name]

    def begin_again(self, domain: str) -> None:
        """Have the stream's next reads be complete ones."""
        for name in self.stream(domain).head.resources:
            memory = self.resource(domain, name)
            memory.meta = memory.meta.due_again()
            memory.etag = None

    def forget_ahead(self, now: datetime) -> None:
        """Take no note of reads at times that have yet to come: they were noted by a clock that ran ahead."""
        if self.profile_asked_at is not None and self.profile_asked_at > now:
            self.profile_asked_at = None
        for stream in self.streams.values():
            for memory in stream.resources.values():
                if memory.read_at is not None and memory.read_at > now:
                    memory.read_at = None
                if memory.reconciled_at is not None and memory.reconciled_at > now:
                    memory.reconciled_at = None
                if memory.looked_at is not None and memory.looked_at > now:
                    memory.looked_at = None

    def link_status(self) -> LinkStatus | None:
        """The link's status as last told to consumers."""
        entity = self.resource(LIFECYCLE, "link").packed.open().entities.get(LinkStatus.ENTITY_ID)
        record = entity.record if entity is not None else None
        return record if isinstance(record, LinkStatus) else None

    def consents(self) -> tuple[ConsentRecord, ...]:
        """Every consent that consumers were told of."""
        entities = self.resource(LIFECYCLE, "consent").packed.open().entities.values()
        return tuple(entity.record for entity in entities if isinstance(entity.record, ConsentRecord))


@dataclass(frozen=True, slots=True)
class Restored:
    """A shard as its journal has it. `set_aside` are the accounts that cannot be opened, each with the reason."""

    accounts: dict[str, AccountMemory]
    found: Found
    set_aside: dict[str, str] = field(default_factory=dict)


async def restore(shard: int, records: AsyncIterable[StateRecord], links: Mapping[str, Link], vault: Vault) -> Restored:
    """Rebuild memory from committed state. No entity is decoded; an erased account's state is passed over.

    An account whose key, state or link does not open is set aside, and everybody else goes on: nothing of it is in
    memory then, and no key is made beside the one that its state is sealed under.

    Raises:
        DataError: what the shard itself has committed cannot be opened.
        RetryableError: the vault cannot be used for the moment.
    """
    restoring = _Restoring(shard, vault, await vault.data_keys(), await vault.shard_key(shard))
    async for record in records:
        await restoring.take(record)
    for account_id in (*links, shard_subject(shard)):
        await restoring.look_up(account_id, make=True)
    return restoring.restored(links)


class _Restoring:
    """Memory in the making, record by record."""

    def __init__(self, shard: int, vault: Vault, keys: Mapping[str, bytes], shard_key: bytes) -> None:
        self._chain = Chain(shard_key)
        self._position: Position | None = None
        self._live = 0
        self._whole = True
        """False once a row could not be opened: the sum over the others says nothing then."""
        self._shard_key = shard_key
        self._subjects: dict[str, Subject | None] = {}
        """Whoever has state in the shard; None for those who were erased or set aside."""
        self._shard_subject = shard_subject(shard)
        self._vault = vault
        self._keys = keys
        self._heads: dict[tuple[str, str], StreamHead] = {}
        self._windows: dict[tuple[str, str, str], Packing] = {}
        self._set_aside: dict[str, str] = {}

    async def take(self, record: StateRecord) -> None:
        """Open one record; what is wrong with it is the matter of its account alone."""
        # Of a key that is none, what comes before the first stroke is the nearest that there is to an owner.
        account_id = record.key.partition("/")[0]
        if record.key == position_key(self._shard_subject):
            self._position = Subject(self._shard_subject, self._shard_key).open_position(record)
            return
        try:
            account_id, domain, resource, _ = StateKey.parse(record.key)
            known = account_id in self._subjects
            subject = self._subjects[account_id] if known else await self.look_up(account_id, make=False)
            if subject is None:
                self._whole = False
                return
            if resource is None:
                head = self._heads[account_id, domain] = subject.open_head(record)
                self._live += self._chain.of_head(record.key, head.commit_number)
                return
            window = self._windows.get((account_id, domain, resource))
            if window is None:
                window = self._windows[account_id, domain, resource] = Packing(domain)
            value = subject.open(record)
            window.add(value)
            self._live += self._chain.of_row(record.key, value)
        except RetryableError:
            raise
        except Exception as error:
            if account_id == self._shard_subject:
                raise
            self._put_aside(account_id, error)

    async def look_up(self, account_id: str, *, make: bool) -> Subject | None:
        """The subject; its key is made where it has none and may have one. None when it was erased or set aside."""
        if account_id not in self._subjects:
            try:
                self._subjects[account_id] = Subject(account_id, await self._key(account_id, make=make))
            except ConsentError:
                # Its key is gone, and with it whatever was sealed under it.
                self._subjects[account_id] = None
            except RetryableError:
                raise
            except Exception as error:
                if account_id == self._shard_subject:
                    raise
                self._put_aside(account_id, error)
        return self._subjects[account_id]

    def restored(self, links: Mapping[str, Link]) -> Restored:
        """All of it. Call once: windows are given away."""
        accounts = {
            account_id: AccountMemory(account_id, subject, links.get(account_id))
            for account_id, subject in self._subjects.items()
            if subject is not None
        }
        newest = max((head.commit_number for head in self._heads.values()), default=0)
        live = added(self._live, *(link_sum(self._chain, link) for link in links.values()))
        linked = {account_id for account_id, domain in self._heads if domain == LIFECYCLE} - {self._shard_subject}
        for (account_id, domain), head in self._heads.items():
            if account_id in accounts:
                accounts[account_id].stream(domain).head = head
        while self._windows:
            (account_id, domain, resource), window = self._windows.popitem()
            if account_id not in accounts:
                continue
            try:
                accounts[account_id].resource(domain, resource).packed = window.packed()
            except Exception as error:
                if account_id == self._shard_subject:
                    raise
                self._put_aside(account_id, error)
                del accounts[account_id]
        found = Found(self._position, live, newest, frozenset(linked - links.keys()), self._whole)
        return Restored(accounts, found, self._set_aside)

    async def _key(self, account_id: str, *, make: bool) -> bytes:
        if account_id == self._shard_subject:
            return self._shard_key
        return self._keys.get(account_id) or await self._vault.data_key(account_id, make=make)

    def _put_aside(self, account_id: str, error: Exception) -> None:
        self._subjects[account_id] = None
        self._whole = False
        self._set_aside.setdefault(account_id, reason_of(error))


def reason_of(error: Exception) -> str:
    """Why something was set aside: our own words, and of any other error its type and place only."""
    if isinstance(error, ConnectorError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    return f"unexpected {type(error).__name__}{place}"


def shard_subject(shard: int) -> str:
    """The account id under which a shard speaks of itself."""
    return f"shard/{shard}"


def resources_of(
    account: AccountMemory, profile: Profile, seen: Mapping[tuple[str, str], Collection[EntityState]] | None = None
) -> dict[tuple[str, str], Resource]:
    """What of the bank can be read for this account: wanted by its link, covered by consent, and held by its tier.

    `seen` are the entities of resources that are about to be committed, by domain and name; else memory tells.
    """
    wanted = account.link.covered_domains if account.link else frozenset()
    found = {}
    for domain in DOMAINS.values():
        if domain.name not in wanted:
            continue
        for kind in domain.resources:
            if not holds(account, profile, domain.name, kind):
                continue
            for part in _parts(account, domain.name, kind, profile, seen or {}):
                name = kind.name if part is None else f"{kind.name}:{account.subject.token(part)}"
                found[domain.name, name] = Resource(account.account_id, domain.name, kind, name, part)
    return found


def holds(account: AccountMemory, profile: Profile, domain: str, kind: ResourceKind) -> bool:
    """Does the login hold what a kind of resource reads? A tier that is new to us takes nothing away that was read."""
    if may_hold(profile, kind.surface):
        return True
    stream = account.streams.get(domain)
    if is_known_tier(profile) or stream is None or stream.head.status not in {"backfilling", "live"}:
        return False
    return any(name.split(":", 1)[0] == kind.name for name in stream.head.resources)


def held_domains(account: AccountMemory, profile: Profile) -> frozenset[str]:
    """The domains of which the login holds something, whether or not there is a part of it to be read at present."""
    return frozenset(
        domain.name
        for domain in DOMAINS.values()
        if any(holds(account, profile, domain.name, kind) for kind in domain.resources)
    )


def _parts(
    account: AccountMemory,
    domain: str,
    kind: ResourceKind,
    profile: Profile,
    seen: Mapping[tuple[str, str], Collection[EntityState]],
) -> Iterable[str | None]:
    if kind.per_bank_account:
        return [bank_account.iban for bank_account in profile.bank_accounts]
    if kind.parts_of is None or kind.part_named_by is None:
        return (None,)
    entities = seen.get((domain, kind.parts_of))
    if entities is None:
        entities = account.resource(domain, kind.parts_of).packed.open().entities.values()
    named = (kind.part_named_by(record) for entity in entities if (record := visible(entity)) is not None)
    return sorted({part for part in named if part is not None})
