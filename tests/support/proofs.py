"""Which parameters of a test are for the long proofs only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def quickly(values: Iterable[Any], *quick: Any) -> list[Any]:
    """All `values` as parameters; those that are not `quick` take part in the proof only."""
    return [value if value in quick else pytest.param(value, marks=pytest.mark.proof) for value in values]
