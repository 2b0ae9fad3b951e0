"""What is held, as the journal says it: read beside the connector, or without one, and opened with the vault's key.

Of streams and accounts that are set aside the last checkpoint of each shard tells; of everything else the state.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from connector.avro import decode_entity
from connector.domains.lifecycle import NAME as LIFECYCLE
from connector.domains.lifecycle import Checkpoint
from connector.domains.registry import DOMAINS
from connector.errors import ConsentError, JournalError, RetryableError
from connector.links import Link
from connector.ports import JournalReader, StateRecord, Vault
from connector.runtime.held_words import Kind, meaning, next_step, short
from connector.runtime.memory import reason_of, shard_subject
from connector.runtime.sealed_state import StateKey, Subject, head_key
from connector.state import EntityState, StreamHead

_REASONS_SHOWN: Final = 3
_OPEN: Final = frozenset({"backfilling", "live"})


@dataclass(frozen=True, slots=True)
class Unreadable:
    """One entry that cannot be understood as the bank shows it. `version` is the last one told, 0 where none was.

    `content` is what the bank showed, where it was kept: personal data.
    """

    entity_id: str
    version: int
    reason: str
    field: str | None
    observed_at: datetime | None
    content: str | None = dataclasses.field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing that is held. `domain` is empty where it is a whole account, `resource` where it is a whole stream.

    `unreadable` are the entries of a quarantine, `standing` the ids of the live entities that it may concern; both only
    where they were asked for.
    """

    account_id: str
    domain: str
    resource: str
    kind: Kind
    count: int = 1
    since: datetime | None = None
    decision: str | None = None
    reason: str = ""
    unreadable: tuple[Unreadable, ...] = ()
    standing: tuple[str, ...] = ()

    @property
    def next_step(self) -> str:
        """What an operator does about it."""
        return next_step(self.kind, self.account_id, self.domain)

    @property
    def words(self) -> str:
        """What it means; of a quarantine field and reason first."""
        said = meaning(self.kind, self.count)
        if self.decision is not None:
            said = f"{self.decision}: {said}"
        return f"{self.reason}: {said}" if self.reason else said

    def as_json(self) -> dict[str, object]:
        """For programs; without anything that the bank said."""
        return {
            "account_id": self.account_id,
            "domain": self.domain or None,
            "resource": self.resource or None,
            "kind": self.kind,
            "count": self.count,
            "since": None if self.since is None else self.since.isoformat(),
            "decision": self.decision,
            "reason": self.reason or None,
            "meaning": meaning(self.kind, self.count),
            "next_step": self.next_step,
        }


def summary(things: Iterable[Thing]) -> str:
    """What is held of one account, in a few words; `-` where nothing is."""
    words: dict[str, int] = {}
    for thing in things:
        text = short(thing.kind, thing.count)
        if thing.kind == "quarantined":
            words[text] = words.get(text, 0) + thing.count
        else:
            words[f"{thing.domain} ({text})" if thing.domain else text] = 0
    return ", ".join(f"{text} {count}" if count else text for text, count in words.items()) or "-"


@dataclass(slots=True)
class _Found:
    """What was read of the accounts asked about."""

    heads: dict[tuple[str, str], StreamHead] = field(default_factory=dict)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    unopened: dict[str, str] = field(default_factory=dict)
    subjects: dict[str, Subject | None] = field(default_factory=dict)


async def held_things(
    reader: JournalReader,
    vault: Vault,
    links: Mapping[str, Link],
    *,
    accounts: Collection[str] | None = None,
    entries: bool = False,
) -> list[Thing]:
    """Everything that is held, of all accounts or of these; with `entries` which of them it concerns.

    Raises:
        JournalError, RetryableError: the journal or the vault is away.
    """
    damaged = await reader.damaged()
    asked = {account_id for account_id, link in links.items() if not link.removed}
    asked |= {one.account_id for one in damaged}
    if accounts is not None:
        asked &= set(accounts)
    found = await _read(reader, vault, asked)
    reasons = {one.account_id: one.reason for one in damaged if one.kind == "link"}
    aside = _set_aside(found, asked, reasons)
    things = [
        thing for (account_id, domain), head in found.heads.items() for thing in _of_head(account_id, domain, head)
    ]
    things = [thing for thing in things if thing.account_id not in aside]
    if entries:
        things = await _with_entries(reader, found, things)
    things += aside.values()
    things += _isolated(found, asked)
    things += [
        Thing(one.account_id, "", "", "command", reason=one.reason)
        for one in damaged
        if one.kind == "command" and one.account_id in asked
    ]
    return sorted(things, key=lambda one: (one.account_id, one.domain, one.resource, one.kind))


async def _read(reader: JournalReader, vault: Vault, asked: Collection[str]) -> _Found:
    """The heads of the accounts' streams, and the last checkpoint of each shard."""
    found = _Found()
    keys = {head_key(account_id, domain) for account_id in asked for domain in DOMAINS}
    for shard in range(reader.shard_count):
        of_shard = Subject(shard_subject(shard), await vault.shard_key(shard))
        found.subjects[of_shard.account_id] = of_shard
        keys.add(of_shard.entity_key(LIFECYCLE, Checkpoint.ENTITY_ID, Checkpoint.ENTITY_ID))
    data_keys = await vault.data_keys()
    async for record in reader.read_state(keys):
        account_id, domain, resource, _ = StateKey.parse(record.key)
        subject = await _subject(found, vault, account_id, data_keys)
        if subject is None:
            continue
        try:
            if resource is None:
                found.heads[account_id, domain] = subject.open_head(record)
            else:
                told = _entity(subject, domain, record).record
                found.checkpoints += [told] if isinstance(told, Checkpoint) else []
        except (JournalError, RetryableError):
            raise
        except Exception as error:  # noqa: BLE001  # one that does not open must not hide the others
            found.unopened.setdefault(account_id, reason_of(error))
    return found


async def _subject(found: _Found, vault: Vault, account_id: str, data_keys: Mapping[str, bytes]) -> Subject | None:
    """Who opens the state of an account; None where it was erased, or cannot be opened, which is noted."""
    if account_id not in found.subjects:
        found.subjects[account_id] = None
        try:
            key = data_keys.get(account_id) or await vault.data_key(account_id, make=False)
            found.subjects[account_id] = Subject(account_id, key)
        except ConsentError:
            pass
        except RetryableError:
            raise
        except Exception as error:  # noqa: BLE001  # as above
            found.unopened[account_id] = reason_of(error)
    return found.subjects[account_id]


def _entity(subject: Subject, domain: str, record: StateRecord) -> EntityState:
    return decode_entity(domain, subject.open(record))


def _of_head(account_id: str, domain: str, head: StreamHead) -> list[Thing]:
    """What one stream holds. One that is closed holds nothing: nobody reads it."""
    things = []
    for name, meta in head.resources.items() if head.status in _OPEN else ():
        if meta.held is not None and meta.holds:
            held = meta.held
            things.append(Thing(account_id, domain, name, held.kind, held.count, held.since, held.decision))
        if meta.hole_since is not None:
            things.append(Thing(account_id, domain, name, "hole", since=meta.hole_since))
        if meta.quarantined_count:
            things.append(Thing(account_id, domain, name, "quarantined", meta.quarantined_count))
    return things


def _set_aside(found: _Found, asked: Collection[str], damaged: Mapping[str, str]) -> dict[str, Thing]:
    """The accounts that cannot be opened: by us, by the connector's last word, or by their link."""
    told = {row.account_id for one in found.checkpoints for row in one.behind if row.status == "SET_ASIDE"}
    reasons = dict.fromkeys(told & set(asked), "it is by the last checkpoint; the log says why")
    reasons |= {account_id: reason for account_id, reason in found.unopened.items() if account_id in asked}
    reasons |= {account_id: reason for account_id, reason in damaged.items() if account_id in asked}
    return {account_id: Thing(account_id, "", "", "set_aside", reason=reason) for account_id, reason in reasons.items()}


def _isolated(found: _Found, asked: Collection[str]) -> list[Thing]:
    rows = [row for one in found.checkpoints for row in one.behind if row.status == "ISOLATED"]
    return [
        Thing(row.account_id, row.domain, "", "isolated", since=row.polled_until)
        for row in rows
        if row.account_id in asked
    ]


async def _with_entries(reader: JournalReader, found: _Found, things: list[Thing]) -> list[Thing]:
    """The same, naming the entries that each concerns, as far as the state knows them."""
    resources = {(one.account_id, one.domain, one.resource) for one in things if one.kind != "hole"}
    if not resources:
        return things
    entities: dict[tuple[str, str, str], list[EntityState]] = {one: [] for one in resources}
    prefixes = [f"{head_key(account_id, domain)}/{name}/" for account_id, domain, name in resources]
    async for record in reader.read_state(prefixes):
        account_id, domain, resource, _ = StateKey.parse(record.key)
        subject = found.subjects.get(account_id)
        if subject is not None:
            entities[account_id, domain, resource or ""].append(_entity(subject, domain, record))
    reasons = await _reasons(reader, found, {one.account_id for one in things if one.kind == "quarantined"})
    named = []
    for thing in things:
        known = entities.get((thing.account_id, thing.domain, thing.resource), [])
        if thing.kind == "quarantined":
            unreadable = _unreadable(thing, known, reasons)
            named.append(replace(thing, unreadable=unreadable, reason=_first_reasons(unreadable)))
        elif thing.kind == "hole":
            named.append(thing)
        else:
            live = sorted(one.entity_id for one in known if one.status == "live" and one.version > 0)
            named.append(replace(thing, standing=tuple(live)))
    return named


_About = tuple[str, str, str, str, str]
"""Account, domain, resource, entity id and digest, in hex."""


async def _reasons(reader: JournalReader, found: _Found, accounts: Collection[str]) -> dict[_About, Mapping[str, Any]]:
    """The quarantine records of these accounts, the last of each entry in each of its forms."""
    facts: dict[_About, Mapping[str, Any]] = {}
    if not accounts:
        return facts
    async for record in reader.read_quarantine(accounts):
        subject = found.subjects.get(record.key)
        if subject is not None:
            one = json.loads(subject.unseal("quarantine", record.value))
            facts[record.key, one["domain"], one["resource"], one["entity_id"] or "", one["raw_digest"]] = one
    return facts


def _unreadable(
    thing: Thing, known: Iterable[EntityState], reasons: Mapping[_About, Mapping[str, Any]]
) -> tuple[Unreadable, ...]:
    found = []
    for entity in known:
        if entity.unreadable_digest is None:
            continue
        about = (thing.account_id, thing.domain, thing.resource, entity.entity_id, entity.unreadable_digest.hex())
        facts = reasons.get(about, {})
        at = facts.get("observed_at")
        found.append(
            Unreadable(
                entity_id=entity.entity_id,
                version=entity.version,
                reason=facts.get("reason", "no record says why"),
                field=facts.get("field"),
                observed_at=None if at is None else datetime.fromisoformat(at),
                content=facts.get("content"),
            )
        )
    return tuple(sorted(found, key=lambda one: (one.reason, one.entity_id)))


def _first_reasons(unreadable: Iterable[Unreadable]) -> str:
    """The different reasons, the first few."""
    different = sorted({one.reason for one in unreadable})
    more = len(different) - _REASONS_SHOWN
    return "; ".join(different[:_REASONS_SHOWN]) + (f" and {more} more" if more > 0 else "")
