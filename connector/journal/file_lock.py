"""One connector a journal file: an OS lock beside it, which holds the owner's process id.

The kernel drops the lock with the process, however it ended, so a lock is never stale.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from connector.errors import ConfigurationError


class FileLock:
    """An exclusive lock on `<journal>.lock`, held from `take` to `drop`."""

    def __init__(self, journal_path: Path) -> None:
        self.path = journal_path.with_name(journal_path.name + ".lock")
        self._journal_path = journal_path
        self._descriptor: int | None = None

    def take(self) -> None:
        """Take the lock; nothing happens where it is held already.

        Raises:
            ConfigurationError: another connector holds it (its process id is in the message), or it cannot be made.
        """
        if self._descriptor is not None:
            return
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigurationError(f"the lock {self.path} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise ConfigurationError(
                f"the journal {self._journal_path} is in use by another connector (pid {owner or 'not known yet'}): "
                "stop that one, or give this one a journal of its own (journal.path)"
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise ConfigurationError(f"the lock {self.path} cannot be taken: {error.strerror}") from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def drop(self) -> None:
        """Give the lock up; nothing happens where it is not held. Never raises."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):
                # The file stays: removing it would let two owners lock two files of the same name.
                os.ftruncate(descriptor, 0)
            with suppress(OSError):
                os.close(descriptor)
