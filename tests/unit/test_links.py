"""Commands on links: each wish leads to one desired state."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from connector.cadence import Off, PeriodicSnapshot
from connector.links import Command, Link, apply_command

LINK = Link("acc", 3, "app-session", "shop till", frozenset({"lending"}), None)


def command(kind: Any, link: Link | None = None) -> Command:
    return Command("cmd", kind, "acc", datetime(2026, 1, 1, tzinfo=UTC), link)


def test_connecting_counts_generations_on() -> None:
    wanted = replace(LINK, generation=99, label="other")
    assert apply_command(None, command("connect", wanted)) == replace(wanted, generation=1)
    assert apply_command(LINK, command("connect", wanted)) == replace(wanted, generation=4)


def test_connecting_again_opens_a_removed_link() -> None:
    removed = replace(LINK, removed=True, paused=True)
    assert apply_command(removed, command("connect", LINK)) == replace(LINK, generation=4)


def test_connecting_without_a_link_changes_nothing() -> None:
    assert apply_command(LINK, command("connect")) == LINK
    assert apply_command(None, command("connect")) is None


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("pause", {}, {"paused": True}),
        ("resume", {"paused": True}, {"paused": False}),
        ("remove", {}, {"removed": True}),
        ("remove", {"paused": True}, {"removed": True}),
    ],
)
def test_a_change_is_a_new_generation_and_the_same_wish_again_is_none(kind: str, before: Any, after: Any) -> None:
    link = replace(LINK, **before)
    changed = apply_command(link, command(kind))
    assert changed == replace(link, generation=4, **after)
    assert apply_command(changed, command(kind)) == changed


def test_resuming_what_runs_changes_nothing() -> None:
    assert apply_command(LINK, command("resume")) == LINK


def test_a_word_about_removals_leaves_the_link_alone() -> None:
    assert apply_command(LINK, command("accept")) == LINK


def a_cadence(**wished: Any) -> Command:
    return replace(command("cadence"), cadence=tuple(sorted(wished.items())))


def test_a_cadence_is_asked_for_domain_by_domain_and_given_up_again() -> None:
    slow = apply_command(LINK, a_cadence(lending=PeriodicSnapshot(3600), loyalty=Off()))
    assert slow == replace(LINK, generation=4, cadence=(("lending", PeriodicSnapshot(3600)), ("loyalty", Off())))
    assert (slow.mode("loyalty"), slow.mode("cards")) == (Off(), None)
    assert apply_command(slow, a_cadence(loyalty=Off())) == slow
    assert apply_command(slow, a_cadence(loyalty=None)) == replace(
        LINK, generation=5, cadence=(("lending", PeriodicSnapshot(3600)),)
    )


def test_a_renewed_link_is_read_as_before_and_one_that_was_removed_is_not() -> None:
    off = replace(LINK, cadence=(("lending", Off()),))
    assert apply_command(off, command("connect", LINK)) == replace(off, generation=4)
    assert apply_command(replace(off, removed=True), command("connect", LINK)) == replace(LINK, generation=4)


@pytest.mark.parametrize("kind", ["pause", "resume", "remove", "accept", "cadence"])
def test_without_a_link_there_is_nothing_to_change(kind: str) -> None:
    assert apply_command(None, command(kind)) is None
