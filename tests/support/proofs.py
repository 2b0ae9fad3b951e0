"""Which parameters of a test are for the long proofs only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def quickly(values: Iterable[Any], *quick: Any) -> list[Any]:
    """All `values` as parameters, tuples where a test takes several; only `quick` ones are not left to the proof."""
    return [
        pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=() if value in quick else [PROOF])
        for value in values
    ]


PROOF = pytest.mark.proof
