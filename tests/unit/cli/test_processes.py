"""What only a process of its own shows: where its output goes, and what it says when it cannot start."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from connector.cli import exits

ROOT = Path(__file__).parents[3]
COMMAND = (sys.executable, "-m", "connector.cli")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
FULL = Path("/dev/full")


def zindigi(*arguments: str, stdout: int | IO[str] = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env=ENVIRONMENT,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("arguments", [("config", "show"), ("config", "show", "--json"), ("--help",)])
def test_a_reader_that_has_seen_enough_is_no_failure(arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = zindigi(*arguments, stdout=writing)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (exits.OK, "")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is always full")
@pytest.mark.parametrize("arguments", [("config", "show"), ("config", "show", "--json")])
def test_output_to_a_full_disk_is_said_in_one_line(arguments: tuple[str, ...]) -> None:
    with FULL.open("w") as full:
        done = zindigi(*arguments, stdout=full)
    said = "zindigi: the output could not be written: no space left\n"
    assert (done.returncode, done.stderr) == (exits.FAILURE, said)


def test_a_sandbox_whose_port_is_taken_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = zindigi("sandbox", "--port", port)
    assert done.returncode == exits.CONFIGURATION
    assert done.stderr == f"zindigi: the sandbox cannot listen on 127.0.0.1, port {port}: Address already in use\n"


def test_a_port_that_cannot_be_is_refused() -> None:
    done = zindigi("sandbox", "--port", "99999")
    assert done.returncode == exits.USAGE
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr
