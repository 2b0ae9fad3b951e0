"""`zindigi`: the commands put together, and every way out of them."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from cyclopts import App, CycloptsError, Group, Parameter
from rich.console import Console

from connector import __version__
from connector.cli import exits
from connector.cli.completion import completion
from connector.cli.configuration import config_app, vault_app
from connector.cli.events import events
from connector.cli.held import held_app
from connector.cli.journal import backup, journal_app, restore
from connector.cli.links import link_app
from connector.cli.prompts import say
from connector.cli.schemas import schemas_app
from connector.cli.screen import console
from connector.cli.service import run, sandbox
from connector.cli.topics import topics_app
from connector.errors import ConnectorError

EPILOGUE = f"""\
Examples:
  zindigi sandbox                        a bank of invented people, to try it on
  zindigi link connect --label mine      consent, PIN, one-time password
  zindigi events --tail 20 --follow      what happened last, then what comes
Each command has its own --help. Settings: config/connector.toml, over it
ZINDIGI_… variables, over both --set KEY=VALUE.
{exits.EXPLAINED}
"""
DAILY = Group("From day to day", sort_key=1)
KEEPING = Group("The journal", sort_key=2)
SETTING_UP = Group("Setting up", sort_key=3)
FLAGS = Group("Flags", sort_key=4)
COMMANDS: tuple[tuple[Any, Group], ...] = (
    (run, DAILY),
    (link_app, DAILY),
    (events, DAILY),
    (held_app, DAILY),
    (journal_app, KEEPING),
    (backup, KEEPING),
    (restore, KEEPING),
    (config_app, SETTING_UP),
    (vault_app, SETTING_UP),
    (topics_app, SETTING_UP),
    (schemas_app, SETTING_UP),
    (sandbox, SETTING_UP),
    (completion, SETTING_UP),
)


def make_app() -> App:
    """The whole command line, for the terminal as it is at the moment."""
    plain = not sys.stdout.isatty()
    app = App(
        name="zindigi",
        help="Turn Zindigi accounts into provable streams of change events.",
        help_epilogue=EPILOGUE,
        help_format="plaintext",
        help_formatter="plain" if plain else "default",
        # That a flag is off unless given goes without saying.
        default_parameter=Parameter(show_default=lambda default: default or None),
        version=f"zindigi {__version__}",
        console=console(),
        error_console=Console(stderr=True),
        exit_on_error=False,
        print_error=True,
        suppress_keyboard_interrupt=False,
    )
    for command, group in COMMANDS:
        if isinstance(command, App):
            command.group = (group,)
            app.command(command)
        else:
            app.command(command, group=group)
    for flag in ("--help", "--version"):
        app[flag].group = (FLAGS,)
    return app


def execute(arguments: Sequence[str]) -> int:
    """Do one command; its exit code. Errors of ours are said in one line, without a stack."""
    try:
        make_app()(list(arguments), result_action="return_value")
    except CycloptsError:
        return exits.USAGE
    except ConnectorError as error:
        return _refused([error])
    except BaseExceptionGroup as group:
        ours, others = group.split(ConnectorError)
        if ours is None or others is not None:
            raise
        return _refused(list(_leaves(ours)))
    except KeyboardInterrupt:
        say()
        return exits.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone: nothing more to say, and nobody to say it to.
        _drop_output()
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _drop_output()
        say("zindigi: the output could not be written: no space left")
        return exits.FAILURE
    return exits.OK


def _drop_output() -> None:
    """Nothing more to standard output: what is still buffered must not fail again when the process ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refused(errors: Sequence[ConnectorError]) -> int:
    """Say each error once; the exit code of the first."""
    for text in dict.fromkeys(str(error) for error in errors):
        say(f"zindigi: {text}")
    return exits.exit_code(errors[0])


def _leaves(group: BaseExceptionGroup[ConnectorError]) -> Iterator[ConnectorError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
