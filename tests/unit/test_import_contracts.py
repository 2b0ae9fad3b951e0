"""The import contracts hold, and each of them fails when it is broken."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def lint_imports(directory: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache"], cwd=directory, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "connector", tmp_path / "connector", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_they_hold(copy: Path) -> None:
    code, said = lint_imports(copy)
    assert code == 0, said


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("diff.py", "import connector.ports", "Dependencies point one way"),
        ("journal/sqlite.py", "import connector.runtime", "Dependencies point one way"),
        ("sources/zindigi/options.py", "import connector.journal.sqlite", "Dependencies point one way"),
        ("runtime/options.py", "import connector.documents.catalogue", "Dependencies point one way"),
        ("unplaced.py", "", "Dependencies point one way"),
        ("parties.py", "import connector.domains.model", "Dependencies point one way"),
        ("observe.py", "import random", "The core is pure"),
        ("consumers/parties.py", "import os", "The core is pure"),
        ("domains/lending.py", "import fastavro", "The core is pure"),
        ("runtime/backend.py", "import httpx", "HTTP is spoken by sources"),
        ("journal/sqlite.py", "import aiokafka", "Kafka is spoken by its journal"),
        ("sandbox/ledger.py", "import connector.domains.model", "The sandbox shares nothing"),
        ("vault.py", "import connector.sandbox.app", "Only the command line and the proofs"),
    ],
)
def test_a_planted_violation_is_caught(copy: Path, module: str, line: str, contract: str) -> None:
    path = copy / "connector" / module
    path.write_text(f"{path.read_text() if path.exists() else ''}\n{line}\n")
    code, said = lint_imports(copy)
    assert code != 0
    if module == "unplaced.py":
        assert "unplaced" in said
    else:
        assert any(contract in row and "BROKEN" in row for row in said.splitlines()), said
