"""Memory: what the runtime holds of an account between polls. Mirrors the journal; rebuilt from it at any time.

The only mutable state of the runtime. It changes in two places: a commit that succeeded publishes here, and a poll
notes what lives in memory only (digests, suspicions, when it was last read).
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from connector.chain import Chain, Position, added
from connector.diff import visible
from connector.domains.lifecycle import NAME as LIFECYCLE
from connector.domains.lifecycle import ConsentRecord, LinkStatus
from connector.domains.model import BookingKey, Profile, ResourceKind
from connector.domains.registry import DOMAINS
from connector.domains.tiers import may_hold
from connector.errors import ActionReason, ConsentError
from connector.links import Link
from connector.observe import NOTHING_SUSPECTED, Suspicion
from connector.parties import NOBODY, Own
from connector.ports import Resource, StateRecord, Vault
from connector.runtime.branch import Found, link_sum
from connector.runtime.packing import Packed, Packing
from connector.runtime.sealed_state import StateKey, Subject, position_key
from connector.state import EntityState, ResourceMeta, StreamHead
from connector.window import is_entry, lower_bound


@dataclass(frozen=True, slots=True)
class Bounds:
    """What steers the reads of a ledger: its newest booking key, and the lowest that a complete read must cover."""

    newest: BookingKey | None
    lower: BookingKey | None


@dataclass(slots=True)
class ResourceMemory:
    """One resource: its entities at rest, and what the last reads left.

    `read_at`: when the bank was last asked and its answer dealt with; `reconciled_at`: the same for the last complete
    read that left nothing to confirm. `pace` multiplies the head interval at present; `unconfirmed` while the last read
    wants a complete one soon. `bounds` is worked out when first needed, so that restoring and idling decode nothing.
    """

    packed: Packed
    meta: ResourceMeta = field(default_factory=ResourceMeta)
    suspicion: Suspicion = NOTHING_SUSPECTED
    etag: str | None = None
    read_at: datetime | None = None
    reconciled_at: datetime | None = None
    quarantined: bool = False
    accept_removals: bool = False
    pace: float = 1.0
    unconfirmed: bool = False
    bounds: Bounds | None = None

    def bounds_for(self, kind: ResourceKind) -> Bounds:
        """The bounds of the entities at rest."""
        if self.bounds is None:
            self.bounds = bounds_of(kind, self.meta.floor, self.packed.open().entities.values())
        return self.bounds


def bounds_of(kind: ResourceKind, floor: BookingKey | None, entities: Collection[EntityState]) -> Bounds:
    """The bounds of a ledger's entities; a resource read whole has none."""
    if kind.window is None:
        return Bounds(None, None)
    newest = max((entity.key for entity in entities if is_entry(entity)), default=floor)
    return Bounds(newest, lower_bound(kind, floor, entities))


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
            stream.resources[name] = ResourceMemory(Packed(domain), meta)
        return stream.resources[name]

    def begin_again(self, domain: str) -> None:
        """Have the stream's next reads be complete ones."""
        for name in self.stream(domain).head.resources:
            memory = self.resource(domain, name)
            memory.meta = memory.meta.due_again()
            memory.etag = None

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
    """A shard as its journal has it."""

    accounts: dict[str, AccountMemory]
    found: Found


async def restore(shard: int, records: AsyncIterable[StateRecord], links: Mapping[str, Link], vault: Vault) -> Restored:
    """Rebuild memory from committed state. No entity is decoded; an erased account's state is passed over.

    Raises:
        DataError: a value cannot be opened with its subject's key.
    """
    subjects = _Subjects(shard, vault, await vault.data_keys())
    chain = Chain(await vault.shard_key(shard))
    position, live, whole = None, 0, True
    heads: dict[tuple[str, str], StreamHead] = {}
    windows: dict[tuple[str, str, str], Packing] = {}
    async for record in records:
        if record.key == position_key(shard_subject(shard)):
            of_shard = Subject(shard_subject(shard), await vault.shard_key(shard))
            position = Position.decode(of_shard.open(record))
            continue
        account_id, domain, resource, _ = StateKey.parse(record.key)
        subject = subjects.known[account_id] if account_id in subjects.known else await subjects.look_up(account_id)
        if subject is None:
            whole = False
            continue
        if resource is None:
            head = heads[account_id, domain] = subject.open_head(record)
            live += chain.of_head(record.key, head.commit_number)
            continue
        window = windows.get((account_id, domain, resource))
        if window is None:
            window = windows[account_id, domain, resource] = Packing(domain)
        value = subject.open(record)
        window.add(value)
        live += chain.of_row(record.key, value)
    for account_id in (*links, shard_subject(shard)):
        await subjects.look_up(account_id)
    accounts = {
        account_id: AccountMemory(account_id, subject, links.get(account_id))
        for account_id, subject in subjects.known.items()
        if subject is not None
    }
    for (account_id, domain), head in heads.items():
        accounts[account_id].stream(domain).head = head
    while windows:
        (account_id, domain, resource), window = windows.popitem()
        accounts[account_id].resource(domain, resource).packed = window.packed()
    live = added(live, *(link_sum(chain, link) for link in links.values()))
    newest = max((head.commit_number for head in heads.values()), default=0)
    linked = {account_id for account_id, domain in heads if domain == LIFECYCLE} - {shard_subject(shard)}
    return Restored(accounts, Found(position, live, newest, len(linked - links.keys()), whole))


class _Subjects:
    """Whoever has state in a shard. `known` holds None for those who were erased."""

    def __init__(self, shard: int, vault: Vault, keys: Mapping[str, bytes]) -> None:
        self.known: dict[str, Subject | None] = {}
        self._shard = shard
        self._vault = vault
        self._keys = keys

    async def look_up(self, account_id: str) -> Subject | None:
        """The subject; its key is made where it has none. None when it was erased."""
        if account_id not in self.known:
            try:
                self.known[account_id] = Subject(account_id, await self._key(account_id))
            except ConsentError:
                # Its key is gone, and with it whatever was sealed under it.
                self.known[account_id] = None
        return self.known[account_id]

    async def _key(self, account_id: str) -> bytes:
        if account_id == shard_subject(self._shard):
            return await self._vault.shard_key(self._shard)
        return self._keys.get(account_id) or await self._vault.data_key(account_id)


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
            if not may_hold(profile, kind.surface):
                continue
            for part in _parts(account, domain.name, kind, profile, seen or {}):
                name = kind.name if part is None else f"{kind.name}:{account.subject.token(part)}"
                found[domain.name, name] = Resource(account.account_id, domain.name, kind, name, part)
    return found


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
