"""`make demo` as a newcomer sees it, only shorter: legible, its advice works, and it fails when something is off."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.cli.demo import HEADINGS
from connector.domains.registry import DOMAINS

ROOT = Path(__file__).parents[2]
COLUMNS, LINES = 80, 24
PATIENCE_SECONDS = 180
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def files() -> Iterator[Path]:
    """A directory with a short name, as a person would have it: the demo says where its files are."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


def environment(directory: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "COLUMNS", "LINES", "SEED"}}
    return {**kept, "TMPDIR": str(directory), "TERM": "xterm-256color", "PYTHONPATH": str(ROOT), **more}


def command(entry: str) -> list[str]:
    program = f"import sys; from connector.cli.demo import main; sys.exit(main(['--seconds', '4'], entry='{entry}'))"
    return [sys.executable, "-c", program]


def table(text: str) -> dict[str, list[str]]:
    """The table of proof: its cells by domain."""
    rows = [line.split() for line in text.partition("6. The proof")[2].splitlines()]
    return {row[0]: row[1:] for row in rows if row and row[0] in DOMAINS}


def test_it_is_legible_in_a_file_and_what_it_advises_works(files: Path) -> None:
    done = subprocess.run(
        command("connector.cli"),
        cwd=ROOT,
        env=environment(files),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    print(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= COLUMNS
    assert "✗ SIGKILL" in done.stdout
    assert "PROVEN: 1 SIGKILL, exit code 0 after SIGTERM." in done.stdout
    cells = table(done.stdout)
    assert set(cells) == set(DOMAINS)
    for row in cells.values():
        assert len(row) == len(HEADINGS) - 1
        changes, observable, coalesced, unclear, events = map(int, row[:5])
        assert changes == observable + coalesced + unclear
        assert 0 < observable <= events <= observable + unclear
        assert row[5:] == ["0", "0", "0", "yes"]
    export, *advised = done.stdout.partition("try next:\n")[2].strip().splitlines()
    assert len(advised) == 3
    for line in advised:
        tried = subprocess.run(
            ["bash", "-c", f"{export}\n{line}"],
            cwd=ROOT,
            env=environment(files),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        assert (tried.returncode, tried.stderr) == (0, ""), line
        if "--json" in line:
            assert {json.loads(event)["topic"] for event in tried.stdout.splitlines()} == {"lending"}
            assert len(tried.stdout.splitlines()) >= int(cells["lending"][4])


@pytest.mark.proof
def test_it_fails_and_says_what_is_off_when_events_are_lost(files: Path) -> None:
    """In a terminal of 80 columns, with colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    with subprocess.Popen(
        command("tests.crash.torn_connector"),
        cwd=ROOT,
        env=environment(files, TORN="lossy", TORN_SEED="1"),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    ) as running:
        os.close(theirs)
        shown = read_all(ours)
        code = running.wait(PATIENCE_SECONDS)
    print(shown)
    assert code == 1
    plain = ESCAPE.sub("", shown)
    assert plain != shown
    assert "\x1b" not in plain
    assert max(map(len, plain.splitlines())) <= COLUMNS
    assert "NOT PROVEN" in plain
    assert sum(int(row[5]) for row in table(plain).values()) > 0, "missing"
    assert any(row[-1] != "yes" for row in table(plain).values())


def read_all(terminal: int) -> str:
    """What is written to a terminal until nobody has it open any more."""
    shown = b""
    try:
        while more := os.read(terminal, 65536):
            shown += more
    except OSError:  # how Linux says that the other side is gone
        pass
    finally:
        os.close(terminal)
    return shown.decode()
