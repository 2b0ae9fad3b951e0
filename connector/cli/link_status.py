"""How a link stands: what is wished (the link), what is still waiting to be applied, and what was last told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from connector.avro import decode_event
from connector.domains.lifecycle import NAME as LIFECYCLE
from connector.links import Link, apply_command
from connector.ports import JournalReader
from connector.runtime.held_things import Thing
from connector.settings import Effective


@dataclass(frozen=True, slots=True)
class LinkView:
    """One line of `zindigi link list`."""

    account_id: str
    label: str
    state: str
    domains: tuple[str, ...]
    consent_until: str | None
    generation: int
    cadence: Mapping[str, str]
    """The domains that are read in another mode than the settings say."""
    held: tuple[Thing, ...] | None = None
    """What is held of it; None where it cannot be known without the vault's key."""

    def as_json(self) -> dict[str, object]:
        """The same for programs."""
        return {
            "account_id": self.account_id,
            "label": self.label,
            "state": self.state,
            "domains": list(self.domains),
            "consent_until": self.consent_until,
            "generation": self.generation,
            "cadence": dict(self.cadence),
            "held": None if self.held is None else [thing.as_json() for thing in self.held],
        }


@dataclass(frozen=True, slots=True)
class CadenceView:
    """One line of `zindigi link cadence`: how a domain is read, and who says so."""

    domain: str
    mode: str
    source: str
    applied: bool


async def known_links(reader: JournalReader) -> Mapping[str, Link]:
    """Every link by account id; of one that a connector has yet to take up or renew, what it will be."""
    waiting = {command.account_id: command.link for command in await reader.pending_commands() if command.link}
    return {**await reader.links(), **waiting}


async def view_links(reader: JournalReader, now: datetime) -> list[LinkView]:
    """Every link, and every one that a connector has yet to take up; by label, then id."""
    links = await reader.links()
    told = await _told(reader)
    waiting = [link for account_id, link in (await known_links(reader)).items() if account_id not in links]
    views = [_view(link, _state(link, told.get(account_id), now)) for account_id, link in links.items()]
    views += [_view(link, "waiting for `zindigi run`") for link in waiting]
    views += [
        LinkView(one.account_id, "", f"set aside: {one.reason}", (), None, 0, {})
        for one in await reader.damaged()
        if one.kind == "link"
    ]
    return sorted(views, key=lambda view: (view.label, view.account_id))


def _view(link: Link, state: str) -> LinkView:
    until = link.consent.valid_until if link.consent else None
    return LinkView(
        link.account_id,
        link.label,
        state,
        tuple(sorted(link.domains)),
        f"{until:%Y-%m-%d %H:%MZ}" if until else None,
        link.generation,
        {domain: str(mode) for domain, mode in link.cadence},
    )


async def view_cadence(reader: JournalReader, link: Link, effective: Effective) -> list[CadenceView]:
    """How each domain of a link is read, with what is asked for and not applied yet."""
    wished = link
    for command in await reader.pending_commands():
        if command.account_id == link.account_id and command.kind == "cadence":
            wished = apply_command(wished, command) or wished
    views = []
    for domain in sorted(link.domains):
        asked = wished.mode(domain)
        mode = asked or effective.settings.cadence.mode(domain)
        source = "link" if asked else effective.sources.get(f"cadence.{domain}", "default")
        views.append(CadenceView(domain, str(mode), source, asked == link.mode(domain)))
    return views


async def _told(reader: JournalReader) -> dict[str, str]:
    """The last status that the lifecycle stream tells of each account."""
    told: dict[str, str] = {}
    async for event in reader.read_events((LIFECYCLE,)):
        if "/" in event.key:
            # A shard's checkpoint: most of the stream is, so that it is not even decoded.
            continue
        link = (decode_event(event.value).get("after") or {}).get("link")
        if link is not None:
            action = f" ({link['action']})" if link.get("action") else ""
            told[event.key] = f"{link['status']}{action}"
    return told


def _state(link: Link, told: str | None, now: datetime) -> str:
    if link.removed:
        return "removed"
    if link.consent is None or link.consent.status != "AUTH" or now >= link.consent.valid_until:
        return "consent ended"
    if now < link.consent.valid_from:
        return f"consent begins at {link.consent.valid_from:%Y-%m-%d %H:%MZ}"
    if link.paused:
        return "paused"
    return told.lower() if told else "active"
