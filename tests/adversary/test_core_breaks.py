"""What the directed tests are worth: every rule of the core broken on purpose, each found by its test.

That test passes as long as nothing is broken: it is one of this directory.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.adversary import broken_rules as rules
from tests.adversary import test_claims as claims
from tests.adversary import test_clock_and_neighbours as neighbours
from tests.adversary import test_directed as directed
from tests.adversary.rules import frozen

pytestmark = pytest.mark.anyio

Scene = Callable[..., Awaitable[None]]


@dataclass(frozen=True)
class Found:
    """By which directed test a break is found, and in what words. `quick`: in every run, else in the proof."""

    scene: Scene
    words: str
    quick: bool = False


def by(scene: Scene, words: str, *, quick: bool = False, **parameters: Any) -> Found:
    return Found(partial(scene, **parameters), words, quick)


FALSE = "and is not told"
BURST = partial(by, directed.test_a_burst_between_two_complete_reads_is_all_told, surface="bills", count=1_300)
GAP = partial(by, claims.test_a_gap_is_said_and_claims_nothing_until_it_is_filled, surface="bills")
OUTLIER = partial(by, directed.test_an_entry_of_the_future_steers_nothing, surface="orders", odd=timedelta(days=60))
UNREADABLE = partial(by, directed.test_what_cannot_be_read_is_counted_and_told, surface="bookings")
REFUSED = partial(by, directed.test_an_answer_that_is_none_of_the_contract_is_trouble_that_passes)

FOUND: dict[str, Found] = {
    # Joining
    "a head read that stops short joins": BURST(words=FALSE),
    "a read that stops short leaves no hole": BURST(words=FALSE),
    "joined_to rises with a read that stops short": BURST(words=FALSE),
    "a hole does not stop the floor": BURST(words=FALSE, quick=True),
    "a hole asks for no full read": GAP(words="assert not 1"),
    "a fill ends after a chunk": BURST(words=FALSE),
    "claims move while there is a hole": GAP(words="."),
    "a hole is not said": GAP(words="."),
    "a page that shows nothing new vouches for what is below": by(
        claims.test_what_is_new_behind_pages_of_known_entries_is_told, surface="points", words=FALSE
    ),
    # Outliers
    "the window is measured from the newest entry, whatever its date": OUTLIER(words="at the end orders"),
    "an outlier is joined to": by(
        claims.test_a_burst_beside_an_entry_of_the_future_is_all_told, surface="authorizations", words="."
    ),
    "the unsettled are forgotten": by(
        claims.test_what_may_still_change_is_remembered_however_much_comes_after_it, surface="bills", words="."
    ),
    "an ascending read goes on after a freak number": by(
        directed.test_a_freak_number_in_the_points_ledger_hides_nothing, words=FALSE, quick=True
    ),
    # Absence and suspicion
    "one absence is proof": by(
        claims.test_what_one_complete_read_lacks_is_not_gone, surface="bookings", words="assert not"
    ),
    "a head read claims absence": by(claims.test_a_domain_is_as_complete_as_the_least_of_its_parts, words="."),
    "a part is an answer": by(claims.test_a_part_of_an_answer_proves_nothing, words="assert not", quick=True),
    "what left by its age was removed": by(
        claims.test_what_leaves_by_its_age_was_not_removed, surface="bills", words="not in"
    ),
    "a mass removal is believed": by(
        claims.test_half_of_everything_does_not_vanish_by_itself, surface="transactions", words="assert not", quick=True
    ),
    "a mass creation is believed": by(
        claims.test_much_that_appears_among_what_was_told_waits, surface="bills", words="assert 80 =="
    ),
    "what takes the place of all that is known is believed": by(
        directed.test_renumbered_entries_are_not_told_beside_the_old_ones,
        surface="points",
        history=60,
        words="assert 120 <=",
    ),
    "an emptiness is believed at once": by(
        directed.test_a_short_emptiness_is_not_believed, surface="vouchers", status=200, words="assert not"
    ),
    "a restart begins an emptiness anew": by(
        directed.test_an_emptiness_that_stays_is_believed_also_over_a_restart, surface="loans", words="assert not"
    ),
    "an account that is not listed is not missed": by(
        directed.test_one_of_two_bank_accounts_that_is_not_listed_any_more_is_held, words="assert 0 =="
    ),
    "a tier that nobody knows takes away": by(
        directed.test_a_profile_that_lacks_something_for_a_moment_closes_nothing,
        changes={"tier": "GOLD"},
        words="closed for tier",
    ),
    "the unreadable is absent": UNREADABLE(words="removed, and never was"),
    # Unchanged means equal to what is committed
    "a digest survives the commit of another read": by(
        directed.test_what_came_and_went_between_two_complete_reads_is_told_as_removed,
        surface="authorizations",
        life="one life",
        words="assert",
        quick=True,
    ),
    "a tag survives the commit of another read": by(
        directed.test_what_only_a_complete_read_saw_go_is_told_when_it_is_back, surface="bills", words="assert"
    ),
    "a tag is believed for ever": by(
        directed.test_a_tag_that_lies_is_not_believed_for_ever, surface="holdings", lie=frozen, words="assert"
    ),
    # Claims
    "a claim is the later of both clocks": by(
        directed.test_no_claim_is_of_the_future_by_the_banks_own_clock, offset=timedelta(hours=-5), words="assert"
    ),
    "a claim is of when the read ended": by(
        claims.test_what_comes_in_while_a_read_pages_is_not_claimed, words=FALSE, quick=True
    ),
    "a domain is as complete as what is known of it": by(
        claims.test_a_domain_is_as_complete_as_the_least_of_its_parts, words="is None"
    ),
    "with nothing read a claim is now": by(directed.test_with_nothing_read_nothing_is_claimed, words="is None"),
    "a stream that was not read has the profile's time": by(
        directed.test_a_stream_never_read_in_this_life_has_no_instant_of_another, words="is None"
    ),
    "what is held is vouched for": by(
        claims.test_an_emptiness_is_counted_while_it_waits, surface="vouchers", words="assert 0 == 1"
    ),
    "what is quarantined is not counted": UNREADABLE(words="is not counted"),
    "what can be read again is not said": UNREADABLE(words="EntryReadable"),
    # The clock
    "a complete read of the future counts": by(
        neighbours.test_a_clock_that_was_wrong_at_the_first_sync_hides_nothing_afterwards, hours=5, words="."
    ),
    "what was noted ahead stays": by(
        claims.test_a_clock_that_ran_ahead_leaves_no_claim_behind_where_nobody_tells_the_time, words="assert False"
    ),
    "a consent that has yet to begin is read under": by(
        neighbours.test_a_link_that_a_clock_ahead_has_made_is_read_from_then_on, words="before its consent begins"
    ),
    "what elapsed stops in a suspend": by(
        neighbours.test_a_snapshot_that_a_suspend_has_slept_through_is_made_up_for, words="not made up for"
    ),
    "a step of the clock is not doubted": by(
        neighbours.test_a_clock_that_is_months_ahead_for_a_moment_ends_nothing, words="closed for consent", quick=True
    ),
    # Statuses, and one that stops another
    "a status is its meaning": REFUSED(path="refresh", status="firewall", words="."),
    "any 401 is the token's": by(
        directed.test_a_401_of_an_unknown_code_does_not_rotate_the_tokens_at_each_try, words="<= 2"
    ),
    "one account's refusal is the backend's": by(
        neighbours.test_a_huge_retry_after_for_one_account_holds_no_other, words="other is served"
    ),
    "a hold lasts as long as the bank says": by(
        neighbours.test_a_huge_retry_after_for_one_account_holds_no_other, words="is asked again"
    ),
    "a defect ends the shard": by(
        claims.test_a_defect_in_one_stream_is_that_streams_alone, words="unforeseen, and everything ends"
    ),
}
BROKEN = {
    **rules.JOINING,
    **rules.OUTLIERS,
    **rules.ABSENCE,
    **rules.UNCHANGED,
    **rules.CLAIMS,
    **rules.CLOCK,
    **rules.NEIGHBOURS,
}


@pytest.mark.parametrize(
    "broken", [pytest.param(name, marks=() if found.quick else pytest.mark.proof) for name, found in FOUND.items()]
)
async def test_a_broken_rule_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    BROKEN[broken](monkeypatch)
    with pytest.raises(AssertionError, match=FOUND[broken].words):
        await FOUND[broken].scene(tmp_path)


def test_every_broken_rule_has_its_test() -> None:
    assert FOUND.keys() == BROKEN.keys()
