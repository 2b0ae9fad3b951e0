"""`docs/operations.md` says of every exit code whether a supervisor starts the connector again."""

from __future__ import annotations

import re
from pathlib import Path

from connector.cli import exits

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
CODES = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
SECTION = PAGE.partition("## Exit codes")[2].partition("\n## ")[0]


def test_every_code_has_a_row_and_every_row_a_code() -> None:
    assert [int(code) for code in re.findall(r"(?m)^\| (\d+) \|", SECTION)] == sorted(CODES)


def test_help_explains_the_same_codes() -> None:
    assert [int(code) for code in re.findall(r"\b(\d+) [a-z]", exits.EXPLAINED)] == sorted(CODES)


def test_what_must_not_be_restarted_is_what_systemd_is_told() -> None:
    listed = re.search(r"RestartPreventExitStatus=([\d ]+)", SECTION)
    assert listed is not None
    rows = re.findall(r"(?m)^\| (\d+) \|.*\| (?:\*\*)?no\b[^|]*\|$", SECTION)
    # 0 is no failure, and nobody interrupts what a supervisor runs.
    assert {int(code) for code in listed[1].split()} == {int(code) for code in rows} - {exits.OK, exits.INTERRUPTED}
