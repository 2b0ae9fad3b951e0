"""`zindigi run` and `zindigi sandbox`: the processes that stay."""

from __future__ import annotations

from pathlib import Path

import anyio

from connector.cli.prompts import say
from connector.cli.screen import show_table
from connector.cli.settings_flags import SettingsFlags
from connector.master_key import read_master_key


def run(*, flags: SettingsFlags | None = None) -> None:
    """Run the connector: poll every linked account and write its changes to the journal.

    SIGTERM and Ctrl-C finish what is in flight and end it; whatever else ends it loses nothing.

    Args:
        flags: Where settings come from.
    """
    effective = (flags or SettingsFlags()).load()
    # Asked before anything starts, so that a missing secret is said with every place where it was looked for.
    master_key = read_master_key(effective.settings, effective.sources)
    from connector.runtime.connector import run_connector  # noqa: PLC0415  the other commands start without it

    anyio.run(run_connector, effective.settings, master_key)


def sandbox(*, scenario: Path = Path("demo"), host: str = "127.0.0.1", port: int = 8642, seed: int = 1) -> None:
    """Run the sandbox: a bank of invented people, to link and read without a real one.

    Args:
        scenario: A scenario file, or the name of one in config/scenarios.
        host: Address to listen on; only loopback addresses make sense.
        port: Port to listen on; 0 takes a free one.
        seed: The same seed makes the same lives.
    """
    from connector.sandbox.scenario import load_scenario  # noqa: PLC0415
    from connector.sandbox.server import run as serve  # noqa: PLC0415

    loaded = load_scenario(scenario)

    def announce(bound: int) -> None:
        people = [(holder.label, holder.tier, holder.msisdn, holder.pin) for holder in loaded.holders]
        show_table(("INVENTED HOLDER", "TIER", "MSISDN", "PIN"), people)
        say(f"\nSandbox bank on http://{host}:{bound} (scenario {loaded.title}, seed {seed}). Ctrl-C ends it.")
        say(f"One-time passwords: curl 'http://{host}:{bound}/sandbox/otp?msisdn=%2B923…'")

    serve(loaded, host=host, port=port, seed=seed, ready=announce)
