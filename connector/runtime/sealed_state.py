"""Sealed state: the keys under which state is committed, and values that only the subject's data key opens.

Keys: ``account/domain`` for a stream's head, ``account/domain/resource/hash`` for an entity. No key holds anything that
the bank said: entity ids are hashed under the subject's own key.
"""

from __future__ import annotations

import re
from sys import intern
from typing import NamedTuple

from connector.avro import decode_head, decode_position, encode_head, encode_position
from connector.errors import DataError
from connector.ports import StateRecord
from connector.sealing import Sealer, keyed_token
from connector.state import Position, StreamHead

_STATE_KEY = re.compile(r"((?:shard/)?[^/]+)/([a-z]+)(?:/([^/]+)/([0-9a-f]+))?")


class StateKey(NamedTuple):
    """A state key taken apart; `resource` and `entity_hash` are None for a head."""

    account_id: str
    domain: str
    resource: str | None = None
    entity_hash: str | None = None

    @classmethod
    def parse(cls, key: str) -> StateKey:
        """Take a key apart; `shard/3` counts as an account.

        Raises:
            DataError: it is no state key.
        """
        match = _STATE_KEY.fullmatch(key)
        if match is None:
            raise DataError(f"{key!r} is no state key: expected account/domain or account/domain/resource/hash")
        account_id, domain, resource, entity_hash = match.groups()
        # There are few domains and very many keys.
        return cls(account_id, intern(domain), resource, entity_hash)


class Subject:
    """Seals and opens the state of one account."""

    def __init__(self, account_id: str, data_key: bytes) -> None:
        self.account_id = account_id
        self._data_key = data_key
        self._sealer = Sealer(data_key)

    def token(self, text: str) -> str:
        """An opaque stand-in for an identifier, the same on every run: 32 hex digits."""
        return keyed_token(self._data_key, text)

    def head_record(self, domain: str, head: StreamHead) -> StateRecord:
        """A stream's head, sealed."""
        key = head_key(self.account_id, domain)
        return StateRecord(key, self._sealer.seal(self.account_id, key, encode_head(head)))

    def entity_record(self, key: str, value: bytes) -> StateRecord:
        """An entity's state, already encoded, sealed under its `entity_key`."""
        return StateRecord(key, self._sealer.seal(self.account_id, key, value))

    def seal(self, field: str, plaintext: bytes) -> bytes:
        """Any other value of this subject's."""
        return self._sealer.seal(self.account_id, field, plaintext)

    def unseal(self, field: str, sealed: bytes) -> bytes:
        """What `seal` was given.

        Raises:
            DataError: it was not sealed for this subject and field, or it was altered.
        """
        return self._sealer.unseal(self.account_id, field, sealed)

    def open(self, record: StateRecord) -> bytes:
        """The plaintext of a state value.

        Raises:
            DataError: it was not sealed for this subject and key, or it was altered.
        """
        return self._sealer.unseal(self.account_id, record.key, record.value or b"")

    def position_record(self, position: Position) -> StateRecord:
        """Where the shard stands, sealed; this subject must be the shard."""
        key = position_key(self.account_id)
        return StateRecord(key, self._sealer.seal(self.account_id, key, encode_position(position)))

    def open_position(self, record: StateRecord) -> Position:
        """Where the shard stands, opened."""
        return decode_position(self.open(record))

    def open_head(self, record: StateRecord) -> StreamHead:
        """A stream's head, opened."""
        return decode_head(self.open(record))

    def entity_key(self, domain: str, resource: str, entity_id: str) -> str:
        """The state key of an entity."""
        return f"{head_key(self.account_id, domain)}/{resource}/{self.token(f'{resource}/{entity_id}')}"


def head_key(account_id: str, domain: str) -> str:
    """The state key of a stream's head."""
    return f"{account_id}/{domain}"


def position_key(subject: str) -> str:
    """The state key of where a shard (`shard/3`) stands."""
    return f"{subject}/position"
