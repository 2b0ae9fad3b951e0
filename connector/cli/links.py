"""`zindigi link …`: every change is a command in the journal, which the connector applies when it runs."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Final

import anyio
from cyclopts import App, Parameter

from connector.cadence import Mode, parse_mode
from connector.cli.commanding import (
    Account,
    Json,
    Wait,
    Yes,
    command_about,
    command_id,
    domains_named,
    find_link,
    wait_for,
)
from connector.cli.consent_form import write_consent_form
from connector.cli.exits import DeclinedError, UsageError
from connector.cli.held_view import opened_vault
from connector.cli.link_status import CadenceView, LinkView, known_links, view_cadence, view_links
from connector.cli.prompts import agree, ask, ask_secret, say
from connector.cli.screen import show_json, show_table
from connector.cli.settings_flags import SettingsFlags, reading
from connector.cli.typed import OTP_DIGITS, PIN_DIGITS, code_of, mobile_number_of
from connector.clock import SystemClock
from connector.consent import Consent
from connector.domains.registry import DOMAINS
from connector.errors import ConfigurationError, RetryableError
from connector.links import Command, CommandKind, Link
from connector.master_key import read_master_key
from connector.ports import JournalReader
from connector.runtime.held_things import held_things, summary
from connector.settings import Effective, Settings

if TYPE_CHECKING:
    from connector.sources.zindigi.source import ZindigiSource
    from connector.vault import SqliteVault

link_app = App(name="link", help="Connect accounts; list, pause, resume, remove them.")

ROUTE: Final = "app-session"
MAXIMUM_DAYS: Final = 365
_LABEL: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_LONG_NUMBER: Final = re.compile(r"[0-9]{5}")
ALL: Final = "all"
DEFAULT: Final = "default"


@link_app.command
def connect(
    *,
    msisdn: str | None = None,
    label: str | None = None,
    domains: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    days: int | None = None,
    yes: Yes = False,
    wait_seconds: Wait = 3.0,
    flags: SettingsFlags | None = None,
) -> None:
    """Link an account: consent, then PIN and one-time password. Prints the account id.

    Also renews a link whose session the bank ended. PIN and one-time password
    are asked for, never given as flags; where standard input is no terminal,
    each is one line of it.

    Args:
        msisdn: The holder's mobile number, +923xxxxxxxxx; asked for if left out.
        label: Your own name for the link: small letters, digits, hyphens; nothing personal.
        domains: What may be read, such as transactions and cards. Every domain if left out.
        days: For how many days consent is given, 1 to 365.
        yes: The holder has accepted the consent text already: it is shown, but not asked about.
        wait_seconds: How long to wait for a running connector to take the link up.
        flags: Where settings come from.
    """
    effective = (flags or SettingsFlags()).load()
    wanted = domains_named(domains)
    lasting = effective.settings.consent.default_days if days is None else days
    if not 1 <= lasting <= MAXIMUM_DAYS:
        raise UsageError(f"--days {lasting}: it must be 1 to {MAXIMUM_DAYS}")
    if label is not None and (not _LABEL.fullmatch(label) or _LONG_NUMBER.search(label)):
        raise UsageError("--label: small letters, digits and hyphens, at most 32, and no long number")
    number = None if msisdn is None else _e164(msisdn)
    master_key = read_master_key(effective.settings, effective.sources)
    form = write_consent_form(wanted, lasting, SystemClock().now())
    say(form.text)
    if not yes and not agree("Do you accept?"):
        raise DeclinedError("consent was not given; nothing was read and nothing is stored")
    number = number or _ask_number()
    anyio.run(_connect, effective.settings, master_key, number, label, form.accepted(), wait_seconds)


async def _connect(
    settings: Settings, master_key: bytes, msisdn: str, label: str | None, consent: Consent, wait_seconds: float
) -> None:
    async with reading(settings, make=True) as reader:
        links = await known_links(reader)
        async with _bank_and_vault(settings, master_key) as (source, vault):
            # Whatever can be refused is refused before there is a session at the bank.
            before = _named_before(links, await vault.find_account(msisdn), label)
            account_id = await _log_in(source, msisdn)
            name = label if label is not None else before.label if before else ""
            link = Link(
                account_id=account_id, generation=0, route=ROUTE, label=name, domains=consent.domains, consent=consent
            )
            command = Command(command_id(), "connect", account_id, SystemClock().now(), link=link)
            try:
                await reader.append_command(command)
            except BaseException:
                if before is None or before.over:
                    # Nobody would know of the session.
                    with anyio.CancelScope(shield=True):
                        await source.log_out(account_id)
                        await vault.delete_session(account_id)
                raise
        await wait_for(reader, command, wait_seconds)
    print(account_id)


def _named_before(links: Mapping[str, Link], account_id: str | None, label: str | None) -> Link | None:
    """The link that the account has already.

    Raises:
        UsageError: another account's link has the label.
    """
    if label and any(link.label == label and link.account_id != account_id for link in links.values()):
        raise UsageError(f"--label {label}: another link has it")
    return links.get(account_id) if account_id is not None else None


@asynccontextmanager
async def _bank_and_vault(settings: Settings, master_key: bytes) -> AsyncIterator[tuple[ZindigiSource, SqliteVault]]:
    from connector.runtime.connector import source_options
    from connector.sources.zindigi.source import ZindigiSource
    from connector.vault import SqliteVault

    vault = await SqliteVault.open(settings.vault.path, master_key)
    try:
        source = ZindigiSource.over_network(source_options(settings), vault, SystemClock())
        try:
            yield source, vault
        finally:
            await source.close()
    finally:
        await vault.close()


async def _log_in(source: ZindigiSource, msisdn: str) -> str:
    """Log the holder in, the session going to the vault; the account id."""
    from connector.sources.zindigi.login import OtpRequest

    async def ask_pin() -> str:
        return _ask_code("PIN:", PIN_DIGITS)

    async def ask_otp(request: OtpRequest) -> str:
        if request.attempts_left is not None:
            say(f"The one-time password was wrong; attempts left: {request.attempts_left}.")
        if request.renewed:
            say("The one-time password had expired; another one was sent.")
        return _ask_code(f"One-time password (sent by {request.channel}):", OTP_DIGITS)

    return (await source.log_in(msisdn, ask_pin, ask_otp)).account_id


@link_app.command(name="list")
def list_links(*, json: Json = False, flags: SettingsFlags | None = None) -> None:
    """Show every link, how it stands, and until when consent is given."""
    effective = (flags or SettingsFlags()).load()
    views = anyio.run(_views, effective)
    if json:
        for view in views:
            show_json(view.as_json())
        return
    if not views:
        say("There is no link yet: `zindigi link connect` makes one.")
        return
    show_table(
        ("ACCOUNT", "LABEL", "STATE", "DOMAINS", "CONSENT UNTIL", "HELD", "CADENCE"),
        [
            (
                view.account_id,
                view.label or "-",
                view.state,
                f"all {len(DOMAINS)}" if set(view.domains) == set(DOMAINS) else ", ".join(view.domains),
                view.consent_until or "-",
                "?" if view.held is None else summary(view.held),
                " ".join(f"{domain}={mode}" for domain, mode in view.cadence.items()) or "-",
            )
            for view in views
        ],
        whole=(0,),
    )


async def _views(effective: Effective) -> list[LinkView]:
    async with reading(effective.settings) as reader:
        views = await view_links(reader, SystemClock().now())
        try:
            async with opened_vault(effective) as vault:
                things = await held_things(reader, vault, await reader.links())
        except (ConfigurationError, RetryableError) as error:
            if views:
                say(f"What is held is not shown: {error}")
            return views
    return [replace(view, held=tuple(one for one in things if one.account_id == view.account_id)) for view in views]


@link_app.command
def pause(account: Account, /, *, wait_seconds: Wait = 3.0, flags: SettingsFlags | None = None) -> None:
    """Stop reading an account for a while; nothing is forgotten."""
    _change("pause", account, flags, wait_seconds)


@link_app.command
def resume(account: Account, /, *, wait_seconds: Wait = 3.0, flags: SettingsFlags | None = None) -> None:
    """Go on reading a paused account."""
    _change("resume", account, flags, wait_seconds)


@link_app.command
def remove(
    account: Account, /, *, yes: Yes = False, wait_seconds: Wait = 3.0, flags: SettingsFlags | None = None
) -> None:
    """Revoke: stop reading an account, end its session at the bank and delete its tokens.

    Args:
        account: Account id, the beginning of one, or a label.
        yes: Do not ask.
        wait_seconds: How long to wait for a running connector to apply it.
        flags: Where settings come from.
    """
    if not yes and not agree(f"Remove the link {account}?"):
        raise DeclinedError("the link stays")
    _change("remove", account, flags, wait_seconds)


@link_app.command
def cadence(
    account: Account,
    /,
    *changes: str,
    json: Json = False,
    wait_seconds: Wait = 3.0,
    flags: SettingsFlags | None = None,
) -> None:
    """Show how an account is read, or change it, also while the connector runs.

    MODE is live, live:30s/30m (new entries, everything), snapshot@06:00,18:00
    (times in Pakistan), snapshot/6h, off, or default: what the settings say.

    Args:
        account: Account id, the beginning of one, or a label.
        changes: DOMAIN=MODE, or all=MODE; may be given again. Without any, how it is read is shown.
        json: One JSON object a line instead of a table.
        wait_seconds: How long to wait for a running connector to apply it.
        flags: Where settings come from.
    """
    if changes:
        _change("cadence", account, flags, wait_seconds, wished=_modes_named(changes))
        return
    effective = (flags or SettingsFlags()).load()
    views = anyio.run(_cadence_views, effective, account)
    if json:
        for view in views:
            show_json({"domain": view.domain, "cadence": view.mode, "from": view.source, "applied": view.applied})
        return
    rows = [(view.domain, view.mode, view.source, "" if view.applied else "not applied yet") for view in views]
    show_table(("DOMAIN", "CADENCE", "FROM", ""), rows)


async def _cadence_views(effective: Effective, account: str) -> list[CadenceView]:
    async with reading(effective.settings) as reader:
        return await view_cadence(reader, find_link(await known_links(reader), account), effective)


def _modes_named(changes: Sequence[str]) -> dict[str, Mode | None]:
    """The modes by domain, `default` as None. A later change counts over an earlier one."""
    wished: dict[str, Mode | None] = {}
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals:
            raise UsageError(f"{change}: it must be DOMAIN=MODE, as in loyalty=snapshot@06:00,18:00")
        try:
            mode = None if text == DEFAULT else parse_mode(text)
        except ValueError as error:
            raise UsageError(f"{change}: {error}, or {DEFAULT}") from None
        wished.update(dict.fromkeys(DOMAINS if name == ALL else domains_named([name]), mode))
    return wished


def _change(
    kind: CommandKind,
    account: str,
    flags: SettingsFlags | None,
    wait_seconds: float,
    *,
    wished: Mapping[str, Mode | None] | None = None,
) -> None:
    settings = (flags or SettingsFlags()).load().settings

    async def changing() -> None:
        async with reading(settings) as reader:
            if kind == "remove" and await _is_damaged(reader, account):
                # Its link cannot be read: it can be closed all the same, by its whole id.
                await command_about(reader, kind, account, wait_seconds=wait_seconds)
                return
            link = find_link(await known_links(reader), account)
            if link.removed:
                raise UsageError(f"the link {account} is removed: `zindigi link connect` opens it again")
            asked = {name: mode for name, mode in (wished or {}).items() if name in link.domains}
            if wished and not asked:
                raise UsageError(f"the link {account} does not ask for {', '.join(wished)}")
            await command_about(reader, kind, link.account_id, wished=asked, wait_seconds=wait_seconds)

    anyio.run(changing)


async def _is_damaged(reader: JournalReader, account: str) -> bool:
    """Is `account` the id of one whose link cannot be understood?"""
    return account in {one.account_id for one in await reader.damaged() if one.kind == "link"}


_NUMBER_FORM: Final = "the mobile number must be like +923001234567 or 03001234567"


def _e164(text: str) -> str:
    """Raises UsageError where `text` is no mobile number; it is not repeated."""
    number = mobile_number_of(text)
    if number is None:
        raise UsageError(_NUMBER_FORM)
    return number


def _ask_number() -> str:
    while (number := mobile_number_of(ask("Mobile number:"))) is None:
        say(f"That is none: {_NUMBER_FORM}.")
    return number


def _ask_code(question: str, lengths: range) -> str:
    """A code that can be one: whatever else was typed is asked for again, and goes nowhere."""
    while (code := code_of(ask_secret(question), lengths)) is None:
        say(f"It has {lengths.start} to {lengths.stop - 1} digits; what was typed was sent to nobody. Once more:")
    return code
