"""The vault's rows and what they add up to: who the vault is, how far it has come, and that nobody else changed a row.

Knows SQLite and sealing, and nothing of what the rows mean.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from connector.errors import ConfigurationError, DataError
from connector.sealing import Sealer

VAULT_SUBJECT: Final = "vault"
"""What the vault seals of itself is sealed for."""
_VAULT_ID_BYTES: Final = 8
_ROWS: Final = {"account": "account_id", "mark": "shard"}
"""The tables whose rows add up to what the vault's state says, and how a row is named."""
_MODULUS: Final = 1 << 256


@dataclass(frozen=True, slots=True)
class VaultState:
    """What a vault says of itself, sealed: who it is, how often it was written to, and what its rows add up to."""

    vault_id: str
    counter: int
    rows: int


class VaultRows:
    """Keeps the vault's state in step with its rows: none can be edited, removed, swapped or put back alone.

    The sum of a keyed hash of every row (an incremental multiset hash), so that a write costs two hashes.
    """

    def __init__(self, sealer: Sealer, key: bytes) -> None:
        self.floor = 0
        """What the counter must be above after the present transaction."""
        self._sealer = sealer
        self._key = key
        self._change = 0

    @contextmanager
    def changing(self, connection: sqlite3.Connection, table: str, name: str | int) -> Iterator[None]:
        """What happens to one row in here is added to the sum when the transaction ends."""
        before = self._of(connection, table, name)
        yield
        self._change += self._of(connection, table, name) - before

    def count(self, connection: sqlite3.Connection) -> None:
        """The end of a transaction: one that changed nothing does not count."""
        if not self._change and not self.floor:
            return
        state = self.read(connection)
        counter = max(state.counter, self.floor) + 1
        self._write(connection, VaultState(state.vault_id, counter, (state.rows + self._change) % _MODULUS))

    def begin(self) -> None:
        """The beginning of a transaction; what an earlier one that failed has left is forgotten."""
        self._change, self.floor = 0, 0

    def read(self, connection: sqlite3.Connection) -> VaultState:
        """The state as it is.

        Raises:
            DataError: it was changed, or is gone.
        """
        row = connection.execute("SELECT value FROM vault WHERE name = 'state'").fetchone()
        if row is None:
            raise DataError("the vault does not say how far it has come")
        facts = json.loads(self._sealer.unseal(VAULT_SUBJECT, "state", row["value"]))
        return VaultState(str(facts["vault_id"]), int(facts["counter"]), int(facts["rows"], 16))

    def require_sound(self, connection: sqlite3.Connection, path: Path) -> None:
        """Compare the rows with the state; a vault that is new is given one.

        Raises:
            ConfigurationError: a row was edited, removed, added, or put back as it was before.
        """
        total = 0
        for table in _ROWS:
            for row in connection.execute(f"SELECT * FROM {table}"):  # noqa: S608  our own names
                total += self._hash(table, row)
        if not total and connection.execute("SELECT 1 FROM vault WHERE name = 'state'").fetchone() is None:
            self._write(connection, VaultState(secrets.token_hex(_VAULT_ID_BYTES), 1, 0))
            return
        try:
            sound = self.read(connection).rows == total % _MODULUS
        except DataError:
            sound = False
        if not sound:
            raise ConfigurationError(
                f"the vault {path} was changed outside of the connector: a row was edited, removed, added, or put back "
                "as it was before; put back the newest copy (`zindigi restore`)"
            )

    def _write(self, connection: sqlite3.Connection, state: VaultState) -> None:
        facts = {"vault_id": state.vault_id, "counter": state.counter, "rows": f"{state.rows:x}"}
        connection.execute(
            "INSERT INTO vault VALUES ('state', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (self._sealer.seal(VAULT_SUBJECT, "state", json.dumps(facts).encode()),),
        )

    def _of(self, connection: sqlite3.Connection, table: str, name: str | int) -> int:
        query = f"SELECT * FROM {table} WHERE {_ROWS[table]} = ?"  # noqa: S608  our own names
        row = connection.execute(query, (name,)).fetchone()
        return 0 if row is None else self._hash(table, row)

    def _hash(self, table: str, row: sqlite3.Row) -> int:
        mac = hashlib.blake2b(table.encode(), key=self._key, digest_size=32)
        for value in tuple(row):
            raw = value if isinstance(value, bytes) else repr(value).encode()
            mac.update(f"{type(value).__name__}/{len(raw)}/".encode() + raw)
        return int.from_bytes(mac.digest(), "big")
