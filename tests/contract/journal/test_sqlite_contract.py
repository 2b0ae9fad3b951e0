"""The embedded journal under the contract, and two broken on purpose that the contract must catch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.journal.backends import Backend, SqliteBackend, backend_named
from tests.contract.journal.suite import JournalContract, kill_and_check


class TestSqliteJournal(JournalContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        return SqliteBackend(str(tmp_path / "journal.db"))


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["sqlite-state-first", "sqlite-events-first"])
async def test_the_contract_catches_a_journal_of_two_transactions(name: str, tmp_path: Path) -> None:
    caught: list[str] = []
    for seed in range(60):
        try:
            await kill_and_check(backend_named(name, str(tmp_path / f"{seed}.db")), seed)
        except AssertionError as error:
            caught.append(str(error))
            break
    assert any("torn" in complaint for complaint in caught), f"{name} got through 60 kills"
