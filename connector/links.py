"""Links: the desired state of an account's connection, and the commands that change it.

Pure. A command line only ever appends commands; the connector applies them, each once, in one commit with the link it
writes and the event that tells of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

from connector.cadence import Mode
from connector.consent import Consent
from connector.state import Decision

CommandKind = Literal["connect", "pause", "resume", "remove", "cadence", "accept", "reject", "retry"]
DECISIONS: Final[frozenset[CommandKind]] = frozenset({"accept", "reject", "retry"})
"""Kinds of commands that are about what is held back; they leave the link as it is."""
DECIDED: Final[Mapping[CommandKind, Decision]] = {"accept": "accepted", "reject": "rejected"}
"""What somebody has said once such a command is applied."""


@dataclass(frozen=True, slots=True)
class Link:
    """The whole desired state of one account's connection.

    `generation` rises with every change. `label` is the operator's own name for it and must hold no personal data.
    `cadence` names the domains, sorted, that are read in another mode than the settings say for all links.
    """

    account_id: str
    generation: int
    route: str
    label: str
    domains: frozenset[str]
    consent: Consent | None
    paused: bool = False
    removed: bool = False
    cadence: tuple[tuple[str, Mode], ...] = ()

    @property
    def over(self) -> bool:
        """True when nothing will be read again unless the holder connects anew."""
        return self.removed or (self.consent is not None and self.consent.status != "AUTH")

    @property
    def covered_domains(self) -> frozenset[str]:
        """What it asks for and the holder consented to."""
        return self.domains & self.consent.domains if self.consent is not None else frozenset()

    def mode(self, domain: str) -> Mode | None:
        """The mode asked for in a domain; None: the one that the settings say."""
        return next((mode for name, mode in self.cadence if name == domain), None)

    def with_cadence(self, wished: Mapping[str, Mode | None]) -> Link:
        """The same link with other modes in some domains; None: what the settings say."""
        modes = {name: mode for name, mode in {**dict(self.cadence), **wished}.items() if mode is not None}
        return replace(self, cadence=tuple((name, modes[name]) for name in sorted(modes)))


@dataclass(frozen=True, slots=True)
class Command:
    """One wish of an operator or holder.

    `link` is given for `connect` (also after the holder mended the session); `domain` for the `DECISIONS`, and
    `resource` where it is about one resource of it; `cadence` for `cadence`: by domain, sorted, the mode asked for,
    None where the settings shall say it again.
    """

    command_id: str
    kind: CommandKind
    account_id: str
    issued_at: datetime
    link: Link | None = None
    domain: str | None = None
    cadence: tuple[tuple[str, Mode | None], ...] = ()
    resource: str | None = None


def apply_command(current: Link | None, command: Command) -> Link | None:
    """The desired state after `command`; None where there is no link to change."""
    if command.kind == "connect":
        wanted = command.link
        if wanted is None:
            return current
        # A link that is renewed is read as it was; one that was removed begins anew.
        kept = current.cadence if current is not None and not current.removed else wanted.cadence
        return replace(wanted, generation=(current.generation if current else 0) + 1, cadence=kept)
    if current is None:
        return None
    if command.kind in DECISIONS:
        return current
    changed = {
        "pause": replace(current, paused=True),
        "resume": replace(current, paused=False),
        "remove": replace(current, removed=True),
        "cadence": current.with_cadence(dict(command.cadence)),
    }[command.kind]
    return current if changed == current else replace(changed, generation=current.generation + 1)
