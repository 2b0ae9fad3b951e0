"""A random bank, read in random ways: every law after every read, and the fold of all events at the end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import Phase, example, given, settings

from connector.diff import Change, diff
from connector.domains.model import BookingKey, Entry, ResourceKind, Unreadable
from connector.observe import Known, Observation, Read, Suspicion, Trust, observe
from connector.state import EntityState
from connector.window import Kept, let_go, lower_bound
from tests.properties.bank import ASCENDING, NEWEST_FIRST, WHOLE
from tests.properties.reader import Entities, Rules
from tests.properties.script import Script, kinds, play, scripts

# A chain of three ids whose first one comes back while the last cannot be read for a moment.
FIRST_ID_AGAIN: Script = (
    2,
    [
        *([("add", 0, 0)] * 4),
        ("add", 1, 0),
        *([("add", 0, 0)] * 4),
        ("moving_sweep", 0, 20),
        ("take_over", 0, 25),
        ("remove", 0, 0),
        ("add", 0, 0),
        ("head", 0, 0),
        ("take_over", 0, 1),
        ("add", 0, 0),
        ("bring_back", 1, 0),
        ("head", 0, 0),
        ("hide", 0, 50),
        ("sweep", 0, 0),
    ],
)


@example(NEWEST_FIRST, FIRST_ID_AGAIN)
@given(kinds, scripts)
def test_a_random_life_obeys_every_law(kind: ResourceKind, script: Script) -> None:
    play(kind, script)


@pytest.mark.proof
@settings(settings.get_profile("proof"))
@given(kinds, scripts)
def test_many_random_lives_obey_every_law(kind: ResourceKind, script: Script) -> None:
    play(kind, script)


# ── One deliberate break for every guarantee ────────────────────────────────────────────────────────────────────────


def _forget_versions(state: Entities, believed: Entities) -> tuple[Change, ...]:
    return tuple(replace(c, after=replace(c.after, version=1)) for c in diff(state, believed))


def _forget_removals(state: Entities, believed: Entities) -> tuple[Change, ...]:
    return tuple(change for change in diff(state, believed) if change.op != "d")


def _create_again(state: Entities, believed: Entities) -> tuple[Change, ...]:
    return tuple(replace(c, op="c") if c.op == "u" else c for c in diff(state, believed))


def _always_update(state: Entities, believed: Entities) -> tuple[Change, ...]:
    changes = {change.after.entity_id: change for change in diff(state, believed)}
    for entity in believed.values():
        if entity.status == "live" and entity.record is not None and entity.entity_id in state:
            after = replace(entity, version=entity.version + 1)
            changes.setdefault(entity.entity_id, Change("u", state[entity.entity_id], after))
    return tuple(sorted(changes.values(), key=lambda change: (change.key, change.after.entity_id)))


def _as_shown(state: Entities, believed: Entities) -> tuple[Change, ...]:
    return diff(state, believed)[::-1]


def _believe_one_absence(known: Known, read: Read, trust: Trust) -> Observation:
    return observe(replace(known, suspicion=Suspicion(absent=frozenset(known.entities))), read, trust)


def _believe_an_incomplete_read(known: Known, read: Read, trust: Trust) -> Observation:
    return observe(known, replace(read, complete=True), trust)


def _ignore_the_floor(known: Known, read: Read, trust: Trust) -> Observation:
    return observe(replace(known, floor=None), read, trust)


def _ignore_the_backfill_bound(known: Known, read: Read, trust: Trust) -> Observation:
    return observe(replace(known, backfilled=True, bound=None), read, trust)


def _drop_the_unreadable(known: Known, read: Read, trust: Trust) -> Observation:
    return observe(known, replace(read, entries=tuple(e for e in read.entries if isinstance(e, Entry))), trust)


def _quarantine_every_time(known: Known, read: Read, trust: Trust) -> Observation:
    clean = {name: replace(entity, unreadable_digest=None) for name, entity in known.entities.items()}
    return observe(replace(known, entities=clean), read, trust)


def _ignore_replaces(known: Known, read: Read, trust: Trust) -> Observation:
    def blind(entry: Entry | Unreadable) -> Entry | Unreadable:
        if isinstance(entry, Entry) and hasattr(entry.record, "replaces"):
            return replace(entry, record=replace(entry.record, replaces=None))  # type: ignore[type-var]
        return entry

    return observe(known, replace(read, entries=tuple(map(blind, read.entries))), trust)


def _adopt_nothing(known: Known, read: Read, trust: Trust) -> Observation:
    return observe(replace(known, swept=True), read, trust)


def _lower_the_floor(
    kind: ResourceKind, floor: BookingKey | None, entities: Entities, suspected: frozenset[str]
) -> Kept:
    kept = let_go(kind, None, entities, suspected)
    return replace(kept, floor=kept.floor if kept.floor is not None else floor)


def _leave_no_mark(kind: ResourceKind, floor: BookingKey | None, entities: Entities, suspected: frozenset[str]) -> Kept:
    kept = let_go(kind, floor, entities, suspected)
    return replace(kept, entities={n: e for n, e in kept.entities.items() if e.status != "forgotten"})


def _keep_everything(
    _kind: ResourceKind, floor: BookingKey | None, entities: Entities, _suspected: frozenset[str]
) -> Kept:
    return Kept(floor, dict(entities), (), ())


def _forget_the_unsettled(
    kind: ResourceKind, floor: BookingKey | None, entities: Iterable[EntityState]
) -> BookingKey | None:
    return lower_bound(kind, floor, [entity for entity in entities if entity.settled])


def _never_moved(_entries: Iterable[Entry | Unreadable]) -> bool:
    return False


BREAKS = {
    "versions": (Rules(diff=_forget_versions), "version of .* is not the next|repeated", NEWEST_FIRST),
    "removals": (Rules(diff=_forget_removals), "the fold of all events|illegal|fold and state", WHOLE),
    "creation": (Rules(diff=_create_again), "illegal c", NEWEST_FIRST),
    "idleness": (Rules(diff=_always_update), "an idle read wrote", ASCENDING),
    "order": (Rules(diff=_as_shown), "order of booking keys", NEWEST_FIRST),
    "two absences": (Rules(observe=_believe_one_absence), "without two complete reads", WHOLE),
    "completeness": (Rules(observe=_believe_an_incomplete_read), "without two complete reads", NEWEST_FIRST),
    "floor on creation": (Rules(observe=_ignore_the_floor), "created at or below the floor|repeated", NEWEST_FIRST),
    "backfill bound": (Rules(observe=_ignore_the_backfill_bound), "the first sync lost", NEWEST_FIRST),
    "presence": (Rules(observe=_drop_the_unreadable), "without two complete reads", NEWEST_FIRST),
    "quarantine once": (Rules(observe=_quarantine_every_time), "quarantined again", NEWEST_FIRST),
    "replaces": (Rules(observe=_ignore_replaces), "both kept|never served", NEWEST_FIRST),
    "adoption": (Rules(observe=_adopt_nothing), "below the floor, yet emitted before", NEWEST_FIRST),
    "floor only rises": (Rules(let_go=_lower_the_floor), "the floor fell", NEWEST_FIRST),
    "marks": (Rules(let_go=_leave_no_mark), "below the floor, yet emitted before", NEWEST_FIRST),
    "bounded state": (Rules(let_go=_keep_everything), "grows beyond the window", ASCENDING),
    "bounds": (Rules(lower_bound=_forget_the_unsettled), "no read will", NEWEST_FIRST),
    "movement": (Rules(moved=_never_moved), "taken for one that stood still", NEWEST_FIRST),
}


@pytest.mark.parametrize("broken", BREAKS)
def test_the_laws_notice_when_one_rule_is_broken(broken: str) -> None:
    rules, message, kind = BREAKS[broken]

    @settings(max_examples=400, phases=(Phase.generate,), report_multiple_bugs=False)
    @given(scripts)
    def lives(script: Script) -> None:
        play(kind, script, rules)

    with pytest.raises(AssertionError, match=message):
        lives()
