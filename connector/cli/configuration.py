"""`zindigi config …` and `zindigi vault …`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter
from rich.text import Text

from connector.cli.prompts import say
from connector.cli.screen import console, show_json
from connector.cli.settings_flags import SettingsFlags
from connector.master_key import make_master_key

config_app = App(name="config", help="Look at the settings.")
vault_app = App(name="vault", help="The vault that keeps bank sessions, sealed.")


@config_app.command
def show(*, json: Annotated[bool, Parameter(negative="")] = False, flags: SettingsFlags | None = None) -> None:
    """Show every setting that holds, and where it came from. Secrets are masked.

    Args:
        json: One JSON object instead of lines of KEY=VALUE, as --set takes them.
        flags: Where settings come from.
    """
    values = list((flags or SettingsFlags()).load().values())
    if json:
        show_json({value.key: {"value": value.text, "source": value.source} for value in values})
        return
    screen = console()
    for value in values:
        screen.print(Text(f"{value.key}={value.text}").append(f"  # {value.source}", "dim"), soft_wrap=True)


@vault_app.command
def init(*, flags: SettingsFlags | None = None) -> None:
    """Make the master key that seals the vault, in the file vault.master_key_file (mode 0600).

    A key that is there already is never overwritten: without it the vault cannot be opened.

    Args:
        flags: Where settings come from.
    """
    path = (flags or SettingsFlags()).load().settings.vault.master_key_file
    make_master_key(path)
    say("The master key is written. Keep a copy in a safe place: without it, every link must be made anew.")
    print(path)
