"""The oracle: holds what a journal says against what the bank knows to be true.

It claims what may be claimed of a poller, no more and no less:

- always: sequences are 1..n without gap or repeat; no event id twice; every `after` is a version that the bank really
  served, versions of an entity follow each other, and `before` is what the last event left;
- every change that the bank calls *observable* is told by exactly one event;
- once settled: the fold of all events is the bank's present state, each present entity created exactly once.

An entry told by `EntryBelowFloor` is outside these claims. Shares no code with the connector: it is given decoded
events as plain dictionaries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connector.sandbox.rendering import Expected, agrees
from connector.sandbox.renderings import render

Event = Mapping[str, Any]
MAXIMUM_FINDINGS = 50


@dataclass(slots=True)
class Row:
    """One domain's line in the table of proof. Counts of changes are the bank's, the rest is the oracle's."""

    domain: str
    changes: int = 0
    observable: int = 0
    coalesced: int = 0
    events: int = 0
    missing: int = 0
    duplicated: int = 0
    out_of_order: int = 0
    illegal: int = 0
    fold_differs: int = 0

    @property
    def unclear(self) -> int:
        """Changes of which the bank cannot say whether they were seen; an event of one is right, and so is none."""
        return self.changes - self.observable - self.coalesced

    @property
    def sound(self) -> bool:
        """True when nothing is off."""
        return not (self.missing or self.duplicated or self.out_of_order or self.illegal or self.fold_differs)


@dataclass(slots=True)
class Verdict:
    """What the oracle found, by domain; `findings` says in words what is off, none of it personal data."""

    rows: dict[str, Row] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """True when nothing is off anywhere."""
        return all(row.sound for row in self.rows.values())

    def row(self, domain: str) -> Row:
        """The row of a domain."""
        return self.rows.setdefault(domain, Row(domain))

    def find(self, text: str) -> None:
        """Note what is off; the first few are enough to know where to look."""
        if len(self.findings) < MAXIMUM_FINDINGS:
            self.findings.append(text)


def judge(
    truth: Mapping[str, Any],
    events: Iterable[tuple[str, Event]],
    msisdn_of: Mapping[str, str],
    *,
    settled: bool = True,
    lockstep: bool = False,
) -> Verdict:
    """Hold events against the truth.

    `truth` is what `/sandbox/truth` answered, numbers as `Decimal`; `events` are (topic, decoded envelope) in journal
    order; `msisdn_of` maps account ids to the bank's holders. `settled`: the bank stood still and everything was read
    completely since. `lockstep`: nothing may have been coalesced, so that truth and events match one to one.
    """
    verdict = Verdict()
    streams: dict[tuple[str, str], list[Event]] = {}
    seen: Counter[tuple[str, str]] = Counter()
    for topic, event in events:
        streams.setdefault((event["account_id"], topic), []).append(event)
        if event["op"] != "r":
            seen[topic, event["event_id"]] += 1
    for (topic, _), times in seen.items():
        verdict.row(topic).duplicated += times - 1
    if any(times > 1 for times in seen.values()):
        verdict.find("an event id stands more than once")
    holders = {holder["msisdn"]: holder["domains"] for holder in truth["holders"]}
    for (account_id, topic), told in streams.items():
        _judge_sequence(verdict, account_id, topic, told)
    for account_id, msisdn in msisdn_of.items():
        for domain, facts in holders[msisdn].items():
            told = streams.get((account_id, domain), [])
            stream = _Stream(verdict, f"{account_id}/{domain}", verdict.row(domain), facts, told)
            stream.judge(settled=settled, lockstep=lockstep)
    return verdict


def _judge_sequence(verdict: Verdict, account_id: str, topic: str, told: Sequence[Event]) -> None:
    row = verdict.row(topic)
    for expected, event in enumerate(told, start=1):
        if event["sequence"] != expected:
            row.out_of_order += 1
            verdict.find(f"{account_id}/{topic}: sequence {event['sequence']} stands where {expected} should")
            break


class _Stream:
    """One account's stream of one domain, held against the truth."""

    def __init__(self, verdict: Verdict, name: str, row: Row, facts: Mapping[str, Any], told: Sequence[Event]) -> None:
        self._verdict = verdict
        self._name = name
        self._row = row
        self._facts = facts
        self._told = told
        self._versions: dict[str, list[Mapping[str, Any]]] = {}
        self._names: dict[tuple[str | None, str], str] = {}
        for change in facts["changes"]:
            self._versions.setdefault(change["entity"], []).append(change)
            self._names[change["iban"], change["name"]] = change["entity"]
            bank_id = (change["body"] or {}).get("id")
            if change["iban"] is not None and bank_id is not None:
                self._names[change["iban"], bank_id] = change["entity"]
        self._matched: dict[str, list[int]] = {}

    def judge(self, *, settled: bool, lockstep: bool) -> None:
        counts = self._facts["counts"]
        self._row.changes += counts["changes"]
        self._row.observable += counts["observable"]
        self._row.coalesced += counts["coalesced"]
        by_entity: dict[str, list[Event]] = {}
        excused: set[str] = set()
        for event in self._told:
            if event["op"] == "s":
                excused |= {self._entity_of(event)} if event["event_type"] == "EntryBelowFloor" else set()
            elif event["entity_id"] != ":balance-chain":
                by_entity.setdefault(self._entity_of(event), []).append(event)
        for entity, told in by_entity.items():
            self._row.events += len(told)
            self._judge_entity(entity, told, lockstep=lockstep)
        self._judge_missing(excused, lockstep=lockstep)
        open_ = not self._told or self._told[-1]["event_type"] != "StreamClosed"
        if settled and open_:
            self._judge_fold(by_entity, excused)

    def _entity_of(self, event: Event) -> str:
        """The truth's name of the entity that an event is about."""
        records = (event["after"] or event["before"] or {}).values()
        iban = next((record.get("iban") for record in records if record is not None), None)
        if iban is None and event["event_type"] == "EntryBelowFloor":
            candidates = [entity for (_, name), entity in self._names.items() if name == event["entity_id"]]
            return candidates[0] if candidates else f"?{event['entity_id']}"
        name = event["entity_id"]
        return self._names.get((iban, name)) or self._names.get((None, name), f"?{name}")

    def _judge_entity(self, entity: str, told: Sequence[Event], *, lockstep: bool) -> None:
        """Each event must be the next step in the life that the bank really gave the entity."""
        versions = self._versions.get(entity, [])
        places = self._align(versions, told, lockstep=lockstep)
        self._matched[entity] = places or []
        last: Event | None = None
        place = 0
        for event in told:
            version = 1 if last is None else last["entity_version"] + 1
            if event["entity_version"] != version:
                self._off(event, f"has entity version {event['entity_version']}, not {version}")
            there = last is not None and last["op"] != "d"
            if (event["op"] == "c") == there:
                self._off(event, f"has op {event['op']} while the entity is {'there' if there else 'not there'}")
            if not _same(event["before"], last["after"] if last is not None else None):
                self._off(event, "has another `before` than the last event left")
            if places is None:
                found = next((at for at in range(place, len(versions)) if _tells(event, versions[at])), None)
                if found is None:
                    self._off(event, "tells what the bank never served, or served earlier")
                else:
                    place = found + 1
                    self._matched[entity].append(found)
            last = event

    def _align(
        self, versions: Sequence[Mapping[str, Any]], told: Sequence[Event], *, lockstep: bool
    ) -> list[int] | None:
        """The versions that the events tell, one after the other, so that none that must be told is left out.

        Where a version looks like an earlier one, an event may tell either; None where no reading of it is sound.
        """
        readings: dict[int, list[int]] = {0: []}
        for place, change in enumerate(versions):
            after: dict[int, list[int]] = {}
            for count, matched in readings.items():
                if not _must_be_told(change, lockstep=lockstep) or self._looks_like_the_last(versions, matched, place):
                    after.setdefault(count, matched)
                if count < len(told) and _tells(told[count], change):
                    # What the last event told decides what may follow; which of its readings it was does not.
                    after.setdefault(count + 1, [*matched, place])
            readings = after
        return readings.get(len(told))

    def _judge_missing(self, excused: set[str], *, lockstep: bool) -> None:
        for entity, versions in self._versions.items():
            matched = self._matched.get(entity, [])
            for place, change in enumerate(versions):
                if not _must_be_told(change, lockstep=lockstep) or place in matched or entity in excused:
                    continue
                if self._looks_like_the_last(versions, matched, place):
                    continue
                self._row.missing += 1
                self._verdict.find(f"{self._name}: no event tells {change['op']} {entity} version {change['version']}")

    def _looks_like_the_last(self, versions: Sequence[Mapping[str, Any]], matched: Sequence[int], place: int) -> bool:
        """Went there and back between two reads: what was read last time is what is read now."""
        before = max((other for other in matched if other < place), default=None)
        if before is None or versions[place]["op"] == "d" or versions[before]["op"] == "d":
            return False
        return _rendered(versions[before]) == _rendered(versions[place])

    def _judge_fold(self, by_entity: Mapping[str, Sequence[Event]], excused: set[str]) -> None:
        present = self._facts["present"]
        for entity, told in by_entity.items():
            last = told[-1]
            if last["op"] == "d":
                if entity in present:
                    self._differs(entity, "is told as removed, and stands at the bank")
                continue
            if entity not in present:
                self._differs(entity, "is told as present, and is gone from the bank")
                continue
            kind, expected = _rendered(self._versions[entity][-1])
            record = (last["after"] or {}).get(kind)
            if record is None or not agrees(expected, record):
                self._differs(entity, "is told otherwise than it stands at the bank")
        for entity in present:
            if entity not in by_entity and entity not in excused:
                self._differs(entity, "stands at the bank and was never told")

    def _differs(self, entity: str, what: str) -> None:
        self._row.fold_differs += 1
        self._verdict.find(f"{self._name}: {entity} {what}")

    def _off(self, event: Event, what: str) -> None:
        self._row.illegal += 1
        self._verdict.find(f"{self._name}: event {event['sequence']} ({event['event_type']}) {what}")


def _must_be_told(change: Mapping[str, Any], *, lockstep: bool) -> bool:
    one_to_one = lockstep and change["op"] != "d" and not change["derived"]
    return change["standing"] == "observable" or one_to_one


def _tells(event: Event, change: Mapping[str, Any]) -> bool:
    """Whether an event may be the one that tells a change of its entity."""
    if event["op"] == "d" or change["op"] == "d":
        return bool(event["op"] == change["op"])
    if change["served"] is None:
        return False
    kind, expected = _rendered(change)
    record = (event["after"] or {}).get(kind)
    return record is not None and agrees(expected, record)


def _rendered(change: Mapping[str, Any]) -> tuple[str, Expected]:
    return render(change)


def _same(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> bool:
    """Equal but for the running balance, which moves without the entity changing."""
    return _without_balance(before) == _without_balance(after)


def _without_balance(state: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if state is None or not state.get("transaction"):
        return state
    return {**state, "transaction": {**state["transaction"], "balance_after": None}}
