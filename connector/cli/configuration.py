"""`zindigi config …` and `zindigi vault …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter
from rich.text import Text

from connector.cli.exits import UsageError
from connector.cli.prompts import say
from connector.cli.screen import console, show_json
from connector.cli.settings_flags import SettingsFlags
from connector.errors import ConfigurationError
from connector.master_key import make_master_key

config_app = App(name="config", help="The settings: write them down, look at them.")
vault_app = App(name="vault", help="The vault that seals bank sessions.")

WRITTEN: Final = Path("config/connector.toml")
_SHIPPED: Final = (
    Path(__file__).resolve().parents[2] / WRITTEN,
    Path(__file__).resolve().parents[1] / "_config" / WRITTEN.name,
)
"""In a checkout, and as installed."""


@config_app.command(name="init")
def write_settings(path: Path = WRITTEN, /) -> None:
    """Write the settings file, every key with its meaning and its default. Overwrites nothing; prints the path.

    Args:
        path: Where to; `zindigi` looks for config/connector.toml where it is started.
    """
    shipped = next((one for one in _SHIPPED if one.is_file()), None)
    if shipped is None:
        raise ConfigurationError("the installation has no settings file to copy: install it anew")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as written:
            written.write(shipped.read_text(encoding="utf-8"))
    except FileExistsError:
        raise UsageError(f"{path} is there already: nothing was written") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None
    say("Written. Next: zindigi vault init; then zindigi link connect.")
    print(path)


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
