"""Held: what a person decides about what is not believed yet, and bank accounts that the profile no longer lists.

Writes of the streams concerned; nothing here asks the bank.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from connector.diff import Change, diff
from connector.domains.model import Domain, Feed, ResourceKind
from connector.domains.registry import DOMAINS
from connector.events import Provenance
from connector.links import DECIDED, Command
from connector.runtime.memory import AccountMemory, holds
from connector.runtime.packing import Opened
from connector.runtime.writes import Write
from connector.state import Held, ResourceMeta
from connector.window import Reach

_NOTHING_GOES = Reach(hole=True)


@dataclass(frozen=True, slots=True)
class Occasion:
    """When, and in whose name, something is written that no read has shown."""

    at: datetime
    source: Provenance


def decided(account: AccountMemory, command: Command, occasion: Occasion) -> list[Write]:
    """What an `accept` or `reject` changes: only what is held at this moment, in the resources that it names."""
    domain = DOMAINS.get(command.domain or "")
    decision = DECIDED.get(command.kind)
    if domain is None or decision is None:
        return []
    found = []
    for name, kind, meta in _resources(account, domain):
        held = meta.held
        if command.resource not in {None, name} or held is None or not meta.holds:
            continue
        found.append(
            _write(account, domain, kind, name, replace(meta, held=replace(held, decision=decision)), occasion)
        )
    return found


def unlisted(account: AccountMemory, occasion: Occasion, confirm_seconds: float) -> list[Write]:
    """What follows from the bank accounts that the profile lists, just asked for.

    One that is not listed any more is held; once that has lasted, or a person accepts it, what stood on it is told
    gone. What was posted there stays, as history. One that is listed again goes on where it was.
    """
    if account.profile is None or account.link is None:
        return []
    found = []
    for domain in DOMAINS.values():
        if domain.name not in account.link.covered_domains:
            continue
        if account.stream(domain.name).head.status not in {"backfilling", "live"}:
            continue
        for name, kind, meta in _resources(account, domain):
            if kind.per_bank_account and holds(account, account.profile, domain.name, kind):
                listed = (domain.name, name) in account.resources
                after, gone = _after(meta, kind, occasion.at, confirm_seconds, listed=listed)
                if after != meta:
                    found.append(_write(account, domain, kind, name, after, occasion, gone=gone))
    return found


def _after(
    meta: ResourceMeta, kind: ResourceKind, at: datetime, confirm_seconds: float, *, listed: bool
) -> tuple[ResourceMeta, bool]:
    """What is remembered of a bank account's resource, and whether it is believed to be gone."""
    held = meta.held
    ours = held is not None and held.kind in {"unlisted", "gone"}
    if listed:
        return (replace(meta.due_again(), held=None) if ours else meta), False
    if held is None or not ours:
        return replace(meta, held=Held("unlisted", at, 1)), False
    if held.kind == "gone" or held.decision == "rejected":
        return meta, False
    if held.decision != "accepted" and at - held.since < timedelta(seconds=confirm_seconds):
        return meta, False
    return replace(meta.due_again(), held=replace(held, kind="gone")), kind.feed is Feed.WHOLE


def _resources(account: AccountMemory, domain: Domain) -> Iterator[tuple[str, ResourceKind, ResourceMeta]]:
    for name in account.stream(domain.name).head.resources:
        kind = domain.kind_of(name)
        if kind is not None:
            yield name, kind, account.resource(domain.name, name).meta


def _write(
    account: AccountMemory,
    domain: Domain,
    kind: ResourceKind,
    name: str,
    meta: ResourceMeta,
    occasion: Occasion,
    *,
    gone: bool = False,
) -> Write:
    opened: Opened = account.resource(domain.name, name).packed.open()
    changes: tuple[Change, ...] = diff(opened.entities, {}) if gone else ()
    consent = account.link.consent if account.link is not None else None
    return Write(
        account=account,
        domain=domain.name,
        resource=name,
        observed_at=occasion.at,
        consent_id=consent.consent_id if consent is not None else "",
        source=occasion.source,
        name_event=domain.name_event,
        meta=meta,
        kind=kind,
        opened=opened,
        changes=tuple(change for change in changes if change.before is None or change.before.status == "live"),
        suspicion=account.resource(domain.name, name).suspicion,
        reach=_NOTHING_GOES,
        gated=False,
    )
