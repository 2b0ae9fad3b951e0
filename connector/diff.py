"""Diff: (state, believed state) → changes. The heart of the connector; no I/O, no clock.

Laws, each a property test:
- ``diff(s, s) == ()``
- ``apply(a, diff(a, b))`` holds the records of ``b``
- the order in which entities are given does not matter
- an entity's versions have no gap, whatever path led to its present value
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from connector.domains.model import BookingKey, Record, changed_fields
from connector.state import EntityState

Op = Literal["c", "u", "d"]
Entities = Mapping[str, EntityState]


@dataclass(frozen=True, slots=True)
class Change:
    """The difference of one entity between two states.

    `op` is None when only what we remember changed (an entry was quarantined, say): state is written, no event tells
    of it, and the version stays.
    """

    op: Op | None
    before: EntityState | None
    after: EntityState

    @property
    def key(self) -> BookingKey:
        """Where the change belongs in the order of its commit."""
        return self.after.key

    @property
    def record_before(self) -> Record | None:
        """The record before, as consumers may see it."""
        return visible(self.before)

    @property
    def record_after(self) -> Record | None:
        """The record after, as consumers may see it."""
        return visible(self.after)

    @property
    def changed(self) -> tuple[str, ...]:
        """Names of the fields that differ; for updates only."""
        before, after = self.record_before, self.record_after
        return changed_fields(before, after) if before is not None and after is not None else ()


def visible(entity: EntityState | None) -> Record | None:
    """The record that consumers hold after folding every event so far; None where the entity is not there for them."""
    if entity is None or entity.status == "removed":
        return None
    return entity.record


def diff(state: Entities, believed: Entities) -> tuple[Change, ...]:
    """Every difference between what is committed and what is believed now.

    `believed` carries each known entity with the version it has in `state`; an entity that is in `state` and not in
    `believed` was proven absent. Changes come in the order of (booking key, entity id).
    """
    changes = [change for entity in believed.values() if (change := _compare(state.get(entity.entity_id), entity))]
    changes += [_removal(entity) for entity in state.values() if entity.entity_id not in believed]
    return tuple(sorted(changes, key=lambda change: (change.key, change.after.entity_id)))


def apply(state: Entities, changes: Iterable[Change]) -> dict[str, EntityState]:
    """The state after `changes`."""
    return {**state, **{change.after.entity_id: change.after for change in changes}}


def _compare(before: EntityState | None, after: EntityState) -> Change | None:
    # An idle poll compares whole windows: most pairs are the same object.
    if before is after:
        return None
    if after.status == "removed" and before is not None and before.status != "removed":
        return _removal(before)
    was, is_now = visible(before), visible(after)
    version = before.version if before else 0
    if is_now is None or was == is_now:
        # An equal record keeps its committed form: what lies outside equality (a running balance) is no change.
        kept = after.at(version, before.record if before and was == is_now else after.record)
        return None if kept == before else Change(None, before, kept)
    return Change("c" if was is None else "u", before, after.at(version + 1, after.record))


def _removal(before: EntityState) -> Change:
    gone: EntityState = replace(before, status="removed", record=None, unreadable_digest=None)
    if visible(before) is None:
        return Change(None, before, gone)
    return Change("d", before, replace(gone, version=before.version + 1))
