"""`zindigi run` and `zindigi sandbox`: the processes that stay."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, TextIO, cast
from urllib.parse import quote

import anyio
from cyclopts import Parameter, validators

from connector.cli.prompts import say
from connector.cli.screen import show_table
from connector.cli.settings_flags import SettingsFlags
from connector.master_key import read_master_key
from connector.settings import LogSettings
from connector.telemetry import unhindered

Port = Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65535))]


def run(*, new_epoch: Annotated[bool, Parameter(negative="")] = False, flags: SettingsFlags | None = None) -> None:
    """Run the connector: poll every link and write its changes.

    SIGTERM and Ctrl-C finish what is in flight and end it; whatever else ends
    it loses nothing. SIGHUP has it read its settings again for how often what
    is read: [cadence], and the intervals and bounds of [polling].

    Args:
        new_epoch: First what `zindigi journal new-epoch` does, without asking: for
            one start, not for a unit file, where every start would begin another.
        flags: Where settings come from.
    """
    given = flags or SettingsFlags()
    effective = given.load()
    # Asked before anything starts, so that a missing secret is said with every place where it was looked for.
    master_key = read_master_key(effective.settings, effective.sources)
    from connector.runtime.connector import bank_name, journal_name, run_connector

    if sys.stderr.isatty():
        settings = effective.settings
        say(f"Reads     {bank_name(settings)}, for the links of `zindigi link list`")
        say(f"Writes    {journal_name(settings)}")
        say("Look at   zindigi events --follow, zindigi held list")
        say("End with  Ctrl-C or SIGTERM: nothing is lost")
        say("What follows are changes and problems, and one line an hour when all is well.")
        say()
    # Whoever reads standard error may stop reading, or the disk be full: that must not end or freeze the service.
    with _unhindered_standard_error(effective.settings.log):
        reload = lambda: given.read().settings  # noqa: E731  # it is handed on, and called later
        anyio.run(partial(run_connector, effective.settings, master_key, reload=reload, new_epoch=new_epoch))


@contextmanager
def _unhindered_standard_error(settings: LogSettings) -> Iterator[None]:
    """Nobody waits for standard error from here to the end of the process, nor fails with it."""
    try:
        descriptor = sys.stderr.fileno()
    except (OSError, ValueError):
        yield  # there is none: what stands there instead neither fills up nor hangs
        return
    output = unhindered(settings, descriptor, colours=sys.stderr.isatty())
    atexit.register(output.last_words)
    try:
        yield
    except BaseException:
        # What ends it is said after what led there, by the thread that nobody waits for.
        sys.stderr = cast("TextIO", output)
        raise


def sandbox(*, scenario: Path = Path("life"), host: str = "127.0.0.1", port: Port = 8642, seed: int = 1) -> None:
    """Run a bank of invented people, to try everything on.

    Args:
        scenario: A scenario file, or the name of one in config/scenarios.
        host: Address to listen on; only loopback addresses make sense.
        port: Port to listen on; 0 takes a free one.
        seed: The same seed makes the same lives.
    """
    from connector.sandbox.scenario import load_scenario
    from connector.sandbox.server import run as serve

    loaded = load_scenario(scenario)

    def announce(bound: int) -> None:
        people = [(holder.label, holder.tier, holder.msisdn, holder.pin) for holder in loaded.holders]
        show_table(("INVENTED HOLDER", "TIER", "MSISDN", "PIN"), people)
        say(f"\nSandbox bank on http://{host}:{bound} (scenario {loaded.title}, seed {seed}). Ctrl-C ends it.")
        first = loaded.holders[0]
        say(f"One-time passwords of {first.label}:")
        say(f"curl 'http://{host}:{bound}/sandbox/otp?msisdn={quote(first.msisdn)}'")

    serve(loaded, host=host, port=port, seed=seed, ready=announce)
