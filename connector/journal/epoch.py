"""Epochs: a journal is a branch, and its name is random."""

from __future__ import annotations

import secrets
from typing import Final

EPOCH_BYTES: Final = 8


def new_epoch() -> str:
    """A name that no branch has had before: 16 hex digits."""
    return secrets.token_hex(EPOCH_BYTES)
