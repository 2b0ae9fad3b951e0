"""Brokers and registries that run in the foreground of a process of their own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def started(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """A process with pipes; told to end at the end of the block, where it has not by then."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def pid_said(process: subprocess.Popen[str]) -> int:
    """The process id of what it runs, from the first line that it prints."""
    assert process.stdout is not None
    return int(process.stdout.readline().split("(pid ")[1].split(")")[0])
