"""The vault's master key: found in the settings or in a file of its own, and made there once."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from connector.errors import ConfigurationError
from connector.sealing import KEY_BYTES, decode_key
from connector.settings import Settings

_OTHERS: Final = 0o077


def read_master_key(settings: Settings, sources: Mapping[str, str] | None = None) -> bytes:
    """The 32 bytes that seal the vault: `vault.master_key`, else the content of `vault.master_key_file`.

    `sources` (of `settings.Effective`) lets a message say where the setting came from.

    Raises:
        ConfigurationError: there is none, it is no base64 of 32 bytes, or others may read the file. Never shows it.
    """
    vault = settings.vault
    sources = sources or {}
    if vault.master_key is not None:
        source = sources.get("vault.master_key", "default")
        return _decoded(vault.master_key.get_secret_value(), f"vault.master_key ({source})")
    path = vault.master_key_file
    try:
        return read_key_file(path, "the master key")
    except FileNotFoundError:
        raise ConfigurationError(
            f"no master key: vault.master_key is not set ($ZINDIGI_VAULT__MASTER_KEY), and there is no file {path} "
            f"(vault.master_key_file, {sources.get('vault.master_key_file', 'default')}): "
            "make one with `zindigi vault init`"
        ) from None


def read_key_file(path: Path, what: str) -> bytes:
    """The 32 bytes of a key file; `what` names the key in messages.

    Raises:
        FileNotFoundError: it is not there.
        ConfigurationError: it is no base64 of 32 bytes, or others may read it.
    """
    try:
        if path.stat().st_mode & _OTHERS:
            raise ConfigurationError(f"{what} {path} can be read by others: chmod 600 {path}")
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{what} {path} cannot be read: {type(error).__name__}") from None
    return _decoded(text, f"{what} {path}")


def make_master_key(path: Path, what: str = "a master key") -> None:
    """Write a new random key, for its owner only; `what` names it in messages.

    Raises:
        ConfigurationError: there is a file already (it is never overwritten: a lost key is a lost vault), or it
            cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigurationError(f"there is {what} at {path} already; it is never overwritten") from None
    except OSError as error:
        raise ConfigurationError(f"{what} cannot be written at {path}: {error.strerror}") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _decoded(text: str, place: str) -> bytes:
    try:
        return decode_key(text)
    except ConfigurationError:
        raise ConfigurationError(
            f"{place} is not base64 of {KEY_BYTES} bytes: make one with `zindigi vault init`"
        ) from None
