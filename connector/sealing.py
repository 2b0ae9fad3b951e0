"""Sealing: AES-256-GCM under keys derived by label, and keyed tokens for identifiers.

Pure but for the nonce. A sealed value opens only for the subject and field that it was sealed for, so that values
cannot be swapped between accounts or columns. Knows nothing of where keys come from or where values rest.

Layout of a sealed value: one byte of format version (1), 12 bytes of nonce, ciphertext with its 16-byte tag.
AES-GCM: NIST SP 800-38D; HKDF-SHA256: RFC 5869. A random 96-bit nonce is safe for 2^32 values under one key.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from functools import lru_cache
from struct import Struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from connector.errors import ConfigurationError, DataError

KEY_BYTES: Final = 32
TOKEN_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_VERSION: Final = b"\x01"
_OVERHEAD_BYTES: Final = len(_VERSION) + _NONCE_BYTES + _TAG_BYTES
_BODY_AT: Final = len(_VERSION) + _NONCE_BYTES
_CIPHERS: Final = 128
_LENGTH: Final = Struct(">I").pack


def derive_key(key: bytes, label: str) -> bytes:
    """The 32-byte subkey of `key` for one purpose.

    Raises:
        ConfigurationError: `key` is not 32 bytes.
    """
    _require_key(key)
    return HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=label.encode()).derive(key)


def decode_key(text: str) -> bytes:
    """A 32-byte key from its base64 form (standard or URL-safe alphabet).

    Raises:
        ConfigurationError: it is not base64 of exactly 32 bytes. The text is not repeated.
    """
    try:
        key = base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigurationError(f"the key is not base64; it must be base64 of {KEY_BYTES} random bytes") from None
    _require_key(key)
    return key


def keyed_token(key: bytes, text: str) -> str:
    """A stable 32-digit hex token of `text` that says nothing without `key` (HMAC-SHA256, first 16 bytes).

    Raises:
        ConfigurationError: `key` is not 32 bytes.
    """
    _require_key(key)
    return hmac.digest(key, b"zindigi/token/1\x00" + text.encode(), "sha256")[:TOKEN_BYTES].hex()


@lru_cache(maxsize=_CIPHERS)
def _cipher(key: bytes) -> AESGCM:
    """A cipher takes 3 KB with its key schedule, and 2 µs to make: only those at work are kept."""
    return AESGCM(key)


class Sealer:
    """Seals and opens the values of any subject under one key."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes, *, label: str = "zindigi/seal/1") -> None:
        self._key = derive_key(key, label)

    def seal(self, subject: str, field: str, plaintext: bytes) -> bytes:
        """`plaintext` sealed for (subject, field); 29 bytes longer."""
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + _cipher(self._key).encrypt(nonce, plaintext, _associated_data(subject, field))

    def unseal(self, subject: str, field: str, sealed: bytes) -> bytes:
        """What was sealed for (subject, field).

        Raises:
            DataError: of another format, cut, changed, sealed for something else, or under another key.
        """
        if len(sealed) < _OVERHEAD_BYTES or sealed[:1] != _VERSION:
            raise DataError(f"the sealed value of {field!r} is of no known format")
        try:
            return _cipher(self._key).decrypt(sealed[1:_BODY_AT], sealed[_BODY_AT:], _associated_data(subject, field))
        except InvalidTag:
            raise DataError(f"the sealed value of {field!r} does not open: another key, or it was changed") from None


def _associated_data(subject: str, field: str) -> bytes:
    """Both parts, unambiguously: the subject goes in with its length."""
    name = subject.encode()
    return _VERSION + _LENGTH(len(name)) + name + field.encode()


def _require_key(key: bytes) -> None:
    if len(key) != KEY_BYTES:
        raise ConfigurationError(f"a key has {KEY_BYTES} bytes, not {len(key)}")
