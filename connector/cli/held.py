"""`zindigi held …`: what is held back, what it means, and a person's decision about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import anyio
from cyclopts import App, Parameter

from connector.cli.commanding import Account, Json, Wait, Yes, applied, command_id, domains_named
from connector.cli.exits import DeclinedError, UsageError
from connector.cli.held_view import Desk, in_resource
from connector.cli.prompts import agree, say
from connector.cli.screen import printable, show_json, show_table
from connector.cli.settings_flags import SettingsFlags
from connector.clock import SystemClock
from connector.links import DECIDED, Command, CommandKind
from connector.runtime.held_things import Thing
from connector.runtime.held_words import DECIDABLE, RETRYABLE, effect, entries_of

held_app = App(name="held", help="See what is not believed or understood, and decide.")

Resource = Annotated[str | None, Parameter(help="One resource of the domain only: its name, or how it begins.")]


@held_app.command(name="list")
def list_held(*, json: Json = False, flags: SettingsFlags | None = None) -> None:
    """Show everything that is held back, what it means, and the next step. Shows nothing of a person.

    Args:
        json: One JSON object a line instead of a table.
        flags: Where settings come from.
    """
    effective = (flags or SettingsFlags()).load()

    async def listing() -> None:
        async with Desk.open(effective) as desk:
            things, asked = await desk.things(entries=True), await desk.asked_already()
            if json:
                for thing in things:
                    show_json({"label": desk.label(thing.account_id), **thing.as_json(), "asked": _asked(thing, asked)})
            elif not things:
                say("Nothing is held.")
            else:
                show_table(
                    ("ACCOUNT", "LABEL", "DOMAIN", "RESOURCE", "KIND", "SINCE", "WHAT", "NEXT STEP"),
                    [_row(desk, thing, asked) for thing in things],
                    whole=(0,),
                )

    anyio.run(listing)


def _row(desk: Desk, thing: Thing, asked: Sequence[Command]) -> tuple[str, ...]:
    waiting = _asked(thing, asked)
    step = f"{waiting} is recorded; zindigi run applies it" if waiting else thing.next_step
    return (
        thing.account_id,
        desk.label(thing.account_id) or "-",
        thing.domain or "-",
        thing.resource or "-",
        thing.kind,
        f"{thing.since:%Y-%m-%d %H:%MZ}" if thing.since else "-",
        thing.words,
        step,
    )


def _asked(thing: Thing, asked: Sequence[Command]) -> CommandKind | None:
    """The decision about it that no connector has applied yet."""
    about = [
        one.kind
        for one in asked
        if (one.account_id, one.domain) == (thing.account_id, thing.domain) and one.resource in {None, thing.resource}
    ]
    return about[-1] if about else None


@held_app.command
def show(
    account: Account,
    domain: str | None = None,
    resource: str | None = None,
    /,
    *,
    content: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
    flags: SettingsFlags | None = None,
) -> None:
    """Show what is held of an account, entry by entry. Entry ids may be personal data.

    Args:
        account: Account id, the beginning of one, or a label.
        domain: Only of this domain.
        resource: Only of this resource: its name, or how it begins.
        content: Also what the bank showed of each entry that cannot be understood: personal data.
        json: One JSON object a line instead of text.
        flags: Where settings come from.
    """
    named = None if domain is None else next(iter(domains_named([domain])))
    effective = (flags or SettingsFlags()).load()

    async def showing() -> None:
        async with Desk.open(effective) as desk:
            things = await desk.things(await desk.account_named(account), entries=True)
            if named is not None:
                things = in_resource(things, named, resource)
            if not things:
                say("Nothing is held.")
            for thing in things:
                if json:
                    show_json(_details(thing, content=content))
                else:
                    print("\n".join(map(printable, _lines(thing, content=content))))

    anyio.run(showing)


def _details(thing: Thing, *, content: bool) -> dict[str, object]:
    entries = [
        {
            "entity_id": one.entity_id,
            "reason": one.reason,
            "field": one.field,
            "observed_at": None if one.observed_at is None else one.observed_at.isoformat(),
            "version": one.version,
            **({"content": one.content} if content else {}),
        }
        for one in thing.unreadable
    ]
    return {**thing.as_json(), "entries": entries, "standing": list(thing.standing)}


def _lines(thing: Thing, *, content: bool) -> list[str]:
    """One thing in words, and the entries that it concerns as far as they are known."""
    where = " ".join(filter(None, (thing.account_id, thing.domain, thing.resource)))
    since = f", since {thing.since:%Y-%m-%d %H:%M:%SZ}" if thing.since else ""
    lines = [f"{where}: {thing.kind}{since}", f"  {thing.words}"]
    for one in thing.unreadable:
        field = f"{one.field} | " if one.field else ""
        last = f"version {one.version} is what was last told" if one.version else "never told"
        seen = f"; seen {one.observed_at:%Y-%m-%d %H:%M:%SZ}" if one.observed_at else ""
        lines.append(f"  {field}{one.reason} | {one.entity_id}; {last}{seen}")
        if content:
            lines.append(f"    {one.content}" if one.content else "    what the bank showed was not kept")
    if thing.kind in {"mass_removal", "emptiness"} and thing.count < len(thing.standing):
        lines.append(f"  it concerns {thing.count} of the {len(thing.standing)} entries known; which, no state says")
    elif thing.kind in {"mass_removal", "emptiness", "unlisted"}:
        lines += [f"  {entity_id}" for entity_id in thing.standing]
    elif thing.kind == "mass_creation":
        lines.append("  which they are no state says: they were not taken up")
    return [*lines, f"  next: {thing.next_step}"]


@held_app.command
def accept(
    account: Account,
    domain: str,
    /,
    *,
    resource: Resource = None,
    yes: Yes = False,
    wait_seconds: Wait = 3.0,
    flags: SettingsFlags | None = None,
) -> None:
    """Believe what is held in a domain: entries that vanish or appear at once, or a bank account that is gone.

    Args:
        account: Account id, the beginning of one, or a label.
        domain: One of the domains, such as transactions.
        resource: One resource of the domain only: its name, or how it begins.
        yes: Do not ask.
        wait_seconds: How long to wait for a running connector to apply it.
        flags: Where settings come from.
    """

    def will(thing: Thing) -> str:
        return effect(thing.kind, thing.count)

    _decide("accept", account, domain, resource, will, yes=yes, wait_seconds=wait_seconds, flags=flags)


@held_app.command
def reject(
    account: Account,
    domain: str,
    /,
    *,
    resource: Resource = None,
    yes: Yes = False,
    wait_seconds: Wait = 3.0,
    flags: SettingsFlags | None = None,
) -> None:
    """Go on not believing what is held in a domain: it stays held, and what was told stays as it is.

    Args:
        account: Account id, the beginning of one, or a label.
        domain: One of the domains, such as transactions.
        resource: One resource of the domain only: its name, or how it begins.
        yes: Do not ask.
        wait_seconds: How long to wait for a running connector to apply it.
        flags: Where settings come from.
    """

    def will(thing: Thing) -> str:
        return f"{entries_of(thing.count)} stay as they were told, until the bank shows something else"

    _decide("reject", account, domain, resource, will, yes=yes, wait_seconds=wait_seconds, flags=flags)


@held_app.command
def retry(account: Account, domain: str, /, *, wait_seconds: Wait = 3.0, flags: SettingsFlags | None = None) -> None:
    """Read a domain anew, completely: for unreadable entries, and for a stream that is set aside.

    Entries that can be understood by now are told. A stream that fails again is
    set aside again.

    Args:
        account: Account id, the beginning of one, or a label.
        domain: One of the domains, such as transactions.
        wait_seconds: How long to wait for a running connector to apply it.
        flags: Where settings come from.
    """
    [named] = domains_named([domain])
    effective = (flags or SettingsFlags()).load()

    async def retrying() -> None:
        async with Desk.open(effective) as desk:
            account_id = await desk.account_named(account)
            things = await _of_domain(desk, account_id, named, None)
            found = [one for one in things if one.kind in RETRYABLE]
            if not found:
                raise UsageError(f"nothing in {named} of {account} waits to be tried again: see `zindigi held list`")
            unreadable = sum(one.count for one in found if one.kind == "quarantined")
            if unreadable:
                say(f"{named}: {entries_of(unreadable)} will be read anew.")
            if any(one.kind == "isolated" for one in found):
                say(f"{named}: 1 stream that is set aside will be tried again at once.")
            await _send(
                desk, [Command(command_id(), "retry", account_id, SystemClock().now(), domain=named)], wait_seconds
            )

    anyio.run(retrying)


def _decide(
    kind: CommandKind,
    account: str,
    domain: str,
    resource: str | None,
    will: Callable[[Thing], str],
    *,
    yes: bool,
    wait_seconds: float,
    flags: SettingsFlags | None,
) -> None:
    """Say what will be done to what is held now, ask, and have it done to that and nothing else."""
    [named] = domains_named([domain])
    effective = (flags or SettingsFlags()).load()
    decision = DECIDED[kind]

    async def deciding() -> None:
        async with Desk.open(effective) as desk:
            account_id = await desk.account_named(account)
            of_domain = await _of_domain(desk, account_id, named, resource)
            if any(one.kind == "isolated" for one in of_domain):
                raise UsageError(f"the stream {named} of {account} is set aside: `zindigi held retry` it first")
            things = [one for one in of_domain if one.kind in DECIDABLE]
            found = [one for one in things if one.decision != decision]
            if not found:
                already = f"what is held there is {decision} already" if things else "nothing is held there"
                raise UsageError(f"{account} {named}: {already}; see `zindigi held list`")
            for thing in found:
                say(f"{thing.resource}: {will(thing)}.")
            if not yes and not agree(f"{kind.capitalize()} this?"):
                raise DeclinedError("it stays as it is")
            now = SystemClock().now()
            commands = [
                Command(command_id(), kind, account_id, now, domain=named, resource=one.resource) for one in found
            ]
            await _send(desk, commands, wait_seconds)

    anyio.run(deciding)


async def _of_domain(desk: Desk, account_id: str, domain: str, resource: str | None) -> list[Thing]:
    """What is held in a domain of an account that can be decided about.

    Raises:
        UsageError: the account is set aside, or its link is removed.
    """
    things = await desk.things(account_id)
    for one in things:
        if one.kind == "set_aside":
            raise UsageError(f"{account_id} is set aside ({one.reason}): {one.next_step}")
    link = desk.links.get(account_id)
    if link is not None and link.removed:
        raise UsageError(f"the link {account_id} is removed: nothing of it is held")
    return in_resource(things, domain, resource)


async def _send(desk: Desk, commands: Sequence[Command], wait_seconds: float) -> None:
    """Append the commands of one account, and give a running connector a moment to apply them; the last one tells.

    Raises:
        DeclinedError: what they were about went away, or was set aside, before they were applied.
    """
    for command in commands:
        await desk.reader.append_command(command)
    if not await applied(desk.reader, commands[-1], wait_seconds):
        return
    deciding = [command for command in commands if command.kind in DECIDED]
    now = await desk.things(commands[-1].account_id) if deciding else []
    undecided = [
        f"{thing.resource or thing.domain}: {thing.words}"
        for command in deciding
        for thing in in_resource(now, command.domain or "", command.resource)
        if thing.decision != DECIDED[command.kind] and thing.kind in {*DECIDABLE, "isolated"}
    ]
    if undecided:
        raise DeclinedError("not decided, for it changed meanwhile: " + "; ".join(undecided))
    say("Done: the connector has applied it.")
