"""Log output: lines for a file descriptor that may be full, closed at its other end, or read by nobody.

Whoever logs never waits and never fails. Lines queue for a thread of their own; those that find no room, or that cannot
be written, are dropped and counted, and the count is said as soon as something can be written again.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

MAXIMUM_WAITING_LINES: Final = 10_000
"""At some 300 bytes a line, three megabytes at most."""
LAST_WORDS_SECONDS: Final = 1.0
"""How long the end of the process waits for what is still queued."""


class LogOutput:
    """A text stream (`write`, `flush`) over descriptor `fd`. `notice` makes the line that tells of dropped ones."""

    def __init__(
        self, fd: int, notice: Callable[[int], str], *, maximum_waiting_lines: int = MAXIMUM_WAITING_LINES
    ) -> None:
        self._fd = fd
        self._notice = notice
        self._maximum = maximum_waiting_lines
        self._waiting: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._dropped = 0
        self._untold = 0
        self._writing = False
        # A write that hangs for ever must not keep the process alive.
        threading.Thread(target=self._work, name="log-output", daemon=True).start()

    @property
    def dropped(self) -> int:
        """How many lines were dropped so far."""
        return self._dropped

    def write(self, text: str) -> int:
        """Queue a line, or drop it. Never waits, never raises."""
        with self._changed:
            if len(self._waiting) < self._maximum:
                self._waiting.append(text.encode(errors="backslashreplace"))
                self._changed.notify_all()
            else:
                self._drop(1)
        return len(text)

    def flush(self) -> None:
        """Nothing: lines leave by themselves."""

    def last_words(self, seconds: float = LAST_WORDS_SECONDS) -> bool:
        """Wait until everything queued is written or dropped, but no longer than `seconds`; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._writing, seconds)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._waiting))
                line, self._writing = self._waiting.popleft(), True
            self._put(line)

    def _put(self, line: bytes) -> None:
        """Write a line; before it, how many were dropped. What fails in the middle is dropped as a whole."""
        with self._changed:
            untold = self._untold
        try:
            if untold:
                self._write_all(self._notice(untold).encode())
                with self._changed:
                    self._untold -= untold
            self._write_all(line)
        except OSError:
            with self._changed:
                self._drop(1)

    def _write_all(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._fd, data) :]

    def _drop(self, lines: int) -> None:
        self._dropped += lines
        self._untold += lines
