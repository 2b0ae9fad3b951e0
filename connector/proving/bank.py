"""The sandbox bank as a process of the rig: serves a scenario on a free port and says in a file which one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.types import ASGIApp

from connector.sandbox.scenario import load_scenario
from connector.sandbox.server import run


def main(scenario: str, seed: str, port_file: str, *, around: Callable[[Starlette], ASGIApp] = lambda app: app) -> None:
    """Serve until SIGTERM. `around` may put something between the bank and the network."""

    def announce(port: int) -> None:
        # Renamed into place: whoever waits for the file must not read half of it.
        path = Path(port_file)
        unready = path.with_suffix(".part")
        unready.write_text(str(port), encoding="ascii")
        os.replace(unready, path)  # noqa: PTH105  # atomic, and says so

    run(load_scenario(scenario), seed=int(seed), ready=announce, around=around)


if __name__ == "__main__":
    main(*sys.argv[1:])
