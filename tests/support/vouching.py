"""Holds what checkpoints vouch for against what the bank knew by then.

Shares no code with the connector. Of a stream that a checkpoint does not list as behind it claims

- by `polled_until` of its domain: every entity that was new at the bank by then is told, entries that came late (below
  one that was there before) aside;
- by `reconciled_until`: every entity is told as it stood then or later, the removed ones as removed.

The order is that of the journal: what stands after the checkpoint does not count.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from connector.sandbox.oracle import Event, Row, Verdict, _Stream, _tells

Instants = Sequence[tuple[datetime, int]]
"""When the bank had changed last, and the ordinal of that change; in order."""


class Vouching:
    """The truth of one bank, asked for one checkpoint after the other."""

    def __init__(self, truth: Mapping[str, Any], instants: Instants, msisdn_of: Mapping[str, str]) -> None:
        self._instants = instants
        self._facts = {
            (account_id, domain): facts
            for holder in truth["holders"]
            for account_id, msisdn in msisdn_of.items()
            if holder["msisdn"] == msisdn
            for domain, facts in holder["domains"].items()
        }
        self.checked = 0
        """How many claims about an entity were looked at."""

    def broken(self, events: Iterable[tuple[str, Event]]) -> list[str]:
        """What the checkpoints among the events of a one-shard journal claim and is not so, in words."""
        told: dict[tuple[str, str], list[Event]] = {}
        found = []
        for topic, event in events:
            if event["event_type"] != "Checkpoint":
                told.setdefault((event["account_id"], topic), []).append(event)
                continue
            said = event["after"]["checkpoint"]
            found += [f"checkpoint {event['sequence']}: {one}" for one in self._broken(said, told)]
        return found

    def _broken(self, said: Mapping[str, Any], told: Mapping[tuple[str, str], Sequence[Event]]) -> Iterable[str]:
        until = {row["domain"]: row for row in said["domains"]}
        behind = {(row["account_id"], row["domain"]) for row in said["behind"]}
        for stream, facts in self._facts.items():
            events = told.get(stream, [])
            marks = [event["event_type"] for event in events if event["event_type"] in {"StreamOpened", "StreamClosed"}]
            if stream in behind or not marks or marks[-1] == "StreamClosed":
                continue
            name = "/".join(stream)
            row = until.get(stream[1])
            if row is None:
                yield f"{name} is open and not behind, and its domain is not vouched for"
                continue
            naming = _Stream(Verdict(), name, Row(name), facts, events)
            last = {naming._entity_of(event): event for event in events if _about_an_entity(event)}
            yield from self._unknown(name, naming, last, row["polled_until"])
            if row["reconciled_until"] is not None:
                yield from self._outdated(name, naming, last, row["reconciled_until"])

    def _unknown(self, name: str, naming: _Stream, last: Mapping[str, Event], until: datetime) -> Iterable[str]:
        """Entities that were new by `until`, and are not told."""
        newest: dict[str, int] = {}
        for change in naming._facts["changes"]:
            entity, booking = change["entity"], change["booking"]
            if change["op"] != "c":
                continue
            late = booking < newest.get(change["resource"], booking)
            newest[change["resource"]] = max(booking, newest.get(change["resource"], booking))
            if late or change["ordinal"] > self._ordinal(until):
                continue
            self.checked += 1
            if entity not in last and naming._versions[entity][-1]["op"] != "d":
                yield f"{name}: {entity} was there by {until}, and is not told"

    def _outdated(self, name: str, naming: _Stream, last: Mapping[str, Event], until: datetime) -> Iterable[str]:
        """Entities that are told as they stood before `until` at most."""
        reached = self._ordinal(until)
        for entity, versions in naming._versions.items():
            stood = sum(one["ordinal"] <= reached for one in versions)
            if not stood or (entity in last and last[entity]["op"] == "s"):
                continue
            since = versions[stood - 1 :]
            self.checked += 1
            if entity not in last:
                if all(one["op"] != "d" for one in since):
                    yield f"{name}: {entity} stood at the bank by {until}, and is not told"
            elif not any(_tells(last[entity], one) for one in since):
                yield f"{name}: {entity} is told as it was before {until}"

    def _ordinal(self, at: datetime) -> int:
        """The last change that the bank had made by then."""
        place = bisect_right(self._instants, at, key=lambda one: one[0])
        return self._instants[place - 1][1] if place else -1


def _about_an_entity(event: Event) -> bool:
    return event["entity_id"] != ":balance-chain" and (event["op"] != "s" or event["event_type"] == "EntryBelowFloor")
