"""Local servers in the foreground of a terminal or a script."""

from __future__ import annotations

import signal


def heed_signals() -> None:
    """From now on SIGTERM and SIGINT raise KeyboardInterrupt at any moment, so that what was started is ended in turn.

    In the background of a script, too, where the shell has SIGINT ignored.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
