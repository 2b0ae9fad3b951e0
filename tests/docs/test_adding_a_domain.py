"""The ninth domain of `docs/adding-a-domain.md` is built outside the tree, word for word, and runs end to end."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from connector.cli.exits import CONFIGURATION

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "adding-a-domain.md").read_text(encoding="utf-8")
FILE = re.compile(r"^`([\w./]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run(arguments: list[str], directory: Path, python_path: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ZINDIGI_")}
    done = subprocess.run(
        arguments,
        cwd=directory,
        env=environment | {"PYTHONPATH": python_path},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, f"{shlex.join(arguments)}: {done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of the page, built and installed into a directory of its own."""
    source, target = tmp_path_factory.mktemp("zindigi-pots"), tmp_path_factory.mktemp("installed")
    for name, text in FILE.findall(PAGE):
        path = source / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    touch, compose, install, *_ = SHELL.findall(PAGE)[0].splitlines()
    (source / shlex.split(touch)[1]).touch()
    arguments, _, written = compose.partition(" > ")
    printed = run([sys.executable, *shlex.split(arguments)[1:]], source, str(ROOT))
    (source / written).write_text(printed, encoding="utf-8")
    run([sys.executable, *shlex.split(install)[1:], "--quiet", "--no-index", "--target", str(target)], source, "")
    return target


def told(installed: Path, directory: Path, journal: str) -> list[dict[str, Any]]:
    printed = run(
        [sys.executable, "-m", "tests.docs.ninth_domain", str(directory), journal], ROOT, f"{installed}:{ROOT}"
    )
    return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]


def test_it_runs_end_to_end_on_both_journals(installed: Path, tmp_path: Path, kafka: str | None) -> None:
    events = told(installed, tmp_path, kafka or "sqlite")
    assert [event["event_type"] for event in events] == [
        "StreamOpened",
        "PotOpened",
        "PotOpened",
        "BackfillCompleted",
        "PotReached",
        "EntryQuarantined",
        "PotClosed",
        "EntryReadable",
    ]
    assert [event["sequence"] for event in events] == list(range(1, 9))
    reached = events[4]
    assert (reached["op"], reached["changed"]) == ("u", ["saved"])
    assert reached["before"]["pot"]["saved"] == "120000.50"
    assert reached["after"]["pot"]["saved"] == "500000.00"
    # The odd entry counted as present: the pot is told as closed once it is gone, with what was known of it.
    odd, closed, over = events[5:]
    assert (odd["op"], odd["entity_id"]) == ("s", closed["entity_id"])
    assert (closed["op"], closed["before"]["pot"]["title"], closed["after"]) == ("d", "Laptop", None)
    assert (over["entity_id"], over["reason"]) == (closed["entity_id"], "removed")
    assert {event["source"]["backend"] for event in events} == {"bank"}


def test_the_command_line_knows_it(installed: Path, tmp_path: Path) -> None:
    shown = run([sys.executable, "-m", "connector.cli", "config", "show"], tmp_path, f"{installed}:{ROOT}")
    assert "polling.pots.head_interval_seconds" in shown


def test_without_the_package_nobody_has_heard_of_it(tmp_path: Path) -> None:
    assert "pots" not in run([sys.executable, "-m", "connector.cli", "config", "show"], tmp_path, str(ROOT))


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("pots = zindigi_pots.domain:Pot", "is no Domain"),
        ("pots = zindigi_pots.nowhere:POTS", "cannot be loaded from zindigi_pots.nowhere:POTS"),
        ("lending = connector.domains.lending:LENDING", "two domains are called lending"),
    ],
)
def test_a_package_that_announces_nonsense_is_named_in_one_line(
    tmp_path: Path, installed: Path, broken: str, said: str
) -> None:
    information = tmp_path / "broken-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n", encoding="utf-8")
    (information / "entry_points.txt").write_text(f"[zindigi_connector.domains]\n{broken}\n", encoding="utf-8")
    (tmp_path / "zindigi_pots").symlink_to(installed / "zindigi_pots")
    done = subprocess.run(
        [sys.executable, "-m", "connector.cli", "config", "show"],
        cwd=tmp_path,
        env=dict(os.environ) | {"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == CONFIGURATION
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
