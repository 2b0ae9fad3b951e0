"""The log never waits and never fails, whatever is at the other end; what is dropped is counted and said."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from connector.log_output import LogOutput

FULL = Path("/dev/full")


def notice(count: int) -> str:
    return f"dropped {count}\n"


def read_all(fd: int, enough: int) -> str:
    told = b""
    deadline = time.monotonic() + 120
    while told.count(b"\n") < enough and time.monotonic() < deadline:
        told += os.read(fd, 65536)
    return told.decode()


def test_lines_come_out_in_order() -> None:
    reading, writing = os.pipe()
    output = LogOutput(writing, notice)
    for number in range(100):
        output.write(f"line {number}\n")
    assert output.last_words(120.0)
    assert read_all(reading, 100) == "".join(f"line {number}\n" for number in range(100))


@pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is always full")
def test_a_full_disk_drops_and_counts() -> None:
    output = LogOutput(os.open(FULL, os.O_WRONLY), notice)
    for _ in range(50):
        output.write("x\n")
    assert output.last_words(120.0)
    assert output.dropped == 50


def test_a_reader_that_died_drops_and_counts() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    output = LogOutput(writing, notice)
    output.write("x\n")
    assert output.last_words(120.0)
    assert output.dropped == 1


def test_a_pipe_that_nobody_reads_holds_nobody_up_and_once_read_it_tells_what_is_missing() -> None:
    reading, writing = os.pipe()
    output = LogOutput(writing, notice, maximum_waiting_lines=10)
    line = "y" * 20_000 + "\n"  # a pipe holds three of them
    for _ in range(1_000):
        output.write(line)  # whoever waited here would wait for ever
    assert not output.last_words(0.1), "what hangs is not waited for"
    assert output.dropped > 500
    told = read_all(reading, 1_000 - output.dropped + 1)
    assert f"dropped {output.dropped}\n" in told
