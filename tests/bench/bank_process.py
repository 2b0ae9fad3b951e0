"""A bank in a process of its own: a module of this package that prints its port once it can be talked to."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

ENDING_SECONDS = 10.0


@contextmanager
def bank_process(module: str, numbers: Sequence[int]) -> Iterator[str]:
    """The base URL of `python -m module numbers...`, which is ended with the block.

    Raises:
        RuntimeError: it ended before it said its port.
    """
    arguments = [str(number) for number in numbers]
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout is None or not (port := process.stdout.readline().strip()):
            raise RuntimeError(f"{module} did not start")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(ENDING_SECONDS)
        if process.stdout is not None:
            process.stdout.close()
