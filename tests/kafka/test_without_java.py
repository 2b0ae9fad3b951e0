"""Without Java or Maven tests on a broker or registry are skipped, saying what to install; where CI asks they fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.proofs import quickly

ROOT = Path(__file__).parents[2]
ON_A_BROKER = "tests/contract/journal/test_kafka_contract.py::TestKafkaJournal::test_a_commit_is_seen_whole"
ON_A_REGISTRY = "tests/kafka/test_schema_registry.py::test_what_is_no_schema_cannot_be_used"


@pytest.mark.parametrize("one", quickly([ON_A_BROKER, ON_A_REGISTRY], ON_A_BROKER))
@pytest.mark.parametrize(("ci", "code", "word"), [(None, 0, "SKIPPED"), ("1", 1, "ERROR")])
def test_what_to_install_is_said(tmp_path: Path, one: str, ci: str | None, code: int, word: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_") and name != "CI"}
    environment |= {"PATH": str(tmp_path)} | ({"CI": ci} if ci else {})
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:xdist", one],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == code, done.stdout
    [line] = [line for line in done.stdout.splitlines() if line.startswith(word)]
    assert "needs java and mvn: install a JDK of 17 or later and Maven" in done.stdout
    assert "apt install openjdk-17-jdk-headless maven" in done.stdout
    assert ci or "needs java and mvn" in line
