"""Random lives of a hostile bank: nothing is lost, and no claim that was ever made was false.

A failure names its theme and seed: `ADVERSARY="stale:17" pytest tests/adversary/test_machine.py -k replayed` plays that
one again. `ADVERSARY_SEEDS=200` plays that many of each theme in the proof.
"""

from __future__ import annotations

import os

import pytest

from tests.adversary.machine import THEMES, described, play, script_of, shortened

QUICK_THEMES = {"flicker", "statuses", "emptiness", "moving", "crashes"}
"""Played in every run; the others in the proof."""
SEEDS = {"bursts": 2, "flicker": 3, "statuses": 2, "odd entries": 16, "outliers": 10, "emptiness": 2, "moving": 7}
"""Those that have found most with the least; of the other themes the first."""
PROOF_SEEDS = range(100, 100 + int(os.environ.get("ADVERSARY_SEEDS", "1")))
HEAVY_THEMES = {"small pages", "bursts"}
"""Their lives cost as much as those of all others: many of them only where many are asked for."""
SHRINKING_PLAYS = 30


def besiege(theme: str, seed: int) -> None:
    script = script_of(THEMES[theme], seed)
    print(f"adversary {theme}:{seed}")
    findings = play(THEMES[theme], script)
    if findings:
        short = shortened(THEMES[theme], script, SHRINKING_PLAYS)
        pytest.fail(described(theme, seed, short, play(THEMES[theme], short)), pytrace=False)


@pytest.mark.parametrize(
    "theme", [pytest.param(one, marks=() if one in QUICK_THEMES else pytest.mark.proof) for one in THEMES]
)
def test_a_hostile_life_is_told_rightly(theme: str) -> None:
    besiege(theme, SEEDS.get(theme, 1))


@pytest.mark.proof
@pytest.mark.parametrize("theme", [one for one in THEMES if one not in HEAVY_THEMES or len(PROOF_SEEDS) > 1])
def test_many_hostile_lives_are_told_rightly(theme: str) -> None:
    for seed in PROOF_SEEDS:
        besiege(theme, seed)


@pytest.mark.skipif("ADVERSARY" not in os.environ, reason="ADVERSARY names no life to play again")
def test_a_life_is_played_again() -> None:
    theme, _, seed = os.environ["ADVERSARY"].rpartition(":")
    besiege(theme, int(seed))
