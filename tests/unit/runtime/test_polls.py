"""How deep the next read of a resource is, and who may be read at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connector.cadence import Intervals
from connector.consent import Consent
from connector.domains.model import BookingKey
from connector.domains.registry import DOMAINS
from connector.links import Link
from connector.observe import Depth, Suspicion
from connector.ports import Resource
from connector.runtime.job_board import PROFILE, Job, wanted
from connector.runtime.memory import AccountMemory, ResourceMemory
from connector.runtime.packing import Packed
from connector.runtime.polls import choose_depth
from connector.runtime.sealed_state import Subject
from connector.state import Held, ResourceMeta

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
INTERVALS = Intervals(head_interval_seconds=30.0, reconcile_interval_seconds=1800.0)
RECENT = NOW - timedelta(seconds=1799)
DUE = NOW - timedelta(seconds=1800)
AHEAD = NOW + timedelta(hours=5)
"""A time that a clock wrote which ran ahead."""


def resource(name: str) -> Resource:
    return next(
        Resource("acc_x", domain.name, kind, name)
        for domain in DOMAINS.values()
        for kind in domain.resources
        if kind.name == name
    )


def memory(domain: str, **meta: object) -> ResourceMemory:
    return ResourceMemory(Packed(domain), ResourceMeta(**meta))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "meta", "depth"),
    [
        ("transactions", {}, Depth.BACKFILL),
        ("transactions", {"bound": BookingKey(1, "")}, Depth.BACKFILL),
        ("transactions", {"backfilled": True}, Depth.RECONCILE),
        ("transactions", {"backfilled": True, "swept_at": RECENT}, Depth.HEAD),
        ("transactions", {"backfilled": True, "swept_at": DUE}, Depth.RECONCILE),
        ("transactions", {"backfilled": True, "swept_at": NOW + timedelta(seconds=1)}, Depth.RECONCILE),
        ("transactions", {"backfilled": True, "swept_at": RECENT, "hole_since": RECENT}, Depth.FILL),
        ("points", {"backfilled": True, "swept_at": DUE, "hole_since": RECENT}, Depth.FILL),
        ("loan", {"backfilled": True, "swept_at": RECENT, "hole_since": RECENT}, Depth.WHOLE),
        ("transactions", {"backfilled": True, "swept_at": AHEAD}, Depth.RECONCILE),
        ("points", {"backfilled": True, "swept_at": RECENT}, Depth.HEAD),
        ("points", {"backfilled": True, "swept_at": AHEAD}, Depth.RECONCILE),
        ("points", {"backfilled": True, "swept_at": DUE}, Depth.RECONCILE),
        ("loan", {}, Depth.BACKFILL),
        ("loan", {"backfilled": True, "swept_at": RECENT}, Depth.WHOLE),
        ("vouchers", {"backfilled": True, "swept_at": DUE}, Depth.WHOLE),
    ],
)
def test_the_depth_follows_what_was_read_and_when(name: str, meta: dict[str, object], depth: Depth) -> None:
    found = resource(name)
    assert choose_depth(found, memory(found.domain, **meta), INTERVALS, NOW) is depth


def test_a_suspicion_or_an_operator_s_word_wants_a_complete_read_at_once() -> None:
    known = memory("transactions", backfilled=True, swept_at=RECENT)
    known.suspicion = Suspicion(absent=frozenset({"t-1"}))
    assert choose_depth(resource("transactions"), known, INTERVALS, NOW) is Depth.RECONCILE
    known.suspicion = Suspicion()
    known.meta = replace(known.meta, held=Held("mass_removal", NOW, 21, "accepted"))
    assert choose_depth(resource("transactions"), known, INTERVALS, NOW) is Depth.RECONCILE


@pytest.mark.parametrize(("name", "depth"), [("transactions", Depth.RECONCILE), ("loan", Depth.WHOLE)])
def test_a_snapshot_reads_everything_however_lately_it_was_read(name: str, depth: Depth) -> None:
    found = resource(name)
    known = memory(found.domain, backfilled=True, swept_at=NOW)
    assert choose_depth(found, known, INTERVALS, NOW, live=False) is depth


def test_only_more_to_confirm_asks_for_another_read() -> None:
    absent = Suspicion(absent=frozenset({"t-1", "t-2"}))
    assert absent.beyond(Suspicion())
    assert Suspicion(absent=frozenset({"t-1", "t-3"})).beyond(absent)
    assert not absent.beyond(absent)
    assert not Suspicion(absent=frozenset({"t-1"})).beyond(absent)
    assert not Suspicion().beyond(absent)


def account(link: Link | None) -> AccountMemory:
    made = AccountMemory("acc_x", Subject("acc_x", bytes(32)), link)
    made.resources = {("loyalty", "points"): resource("points")}
    return made


def linked(*, paused: bool = False, removed: bool = False, status: str = "AUTH") -> Link:
    domains = frozenset({"loyalty"})
    consent = Consent("cns_x", domains, NOW, NOW + timedelta(days=1), "0" * 64, "en", status)  # type: ignore[arg-type]
    return Link("acc_x", 1, "app-session", "x", domains, consent, paused, removed)


def test_a_job_goes_on_while_its_link_stands() -> None:
    points, loans, profile = (
        Job("acc_x", "loyalty", "points"),
        Job("acc_x", "lending", "loan"),
        Job("acc_x", "", PROFILE),
    )
    standing = account(linked())
    assert wanted(points, standing)
    assert wanted(profile, standing)
    assert not wanted(loans, standing)
    for link in (None, linked(paused=True), linked(removed=True), linked(status="EXPD"), linked(status="CANC")):
        assert not wanted(points, account(link))
        assert not wanted(profile, account(link))
    standing.waiting_for = "otp"
    assert not wanted(points, standing)


def test_a_link_covers_what_it_asks_for_and_consent_allows() -> None:
    assert linked().covered_domains == frozenset({"loyalty"})
    wide = Link("acc_x", 1, "app-session", "x", frozenset({"loyalty", "lending"}), linked().consent)
    assert wide.covered_domains == frozenset({"loyalty"})
    assert Link("acc_x", 1, "app-session", "x", frozenset({"loyalty"}), None).covered_domains == frozenset()
    assert not linked().over
    assert linked(removed=True).over
    assert linked(status="EXPD").over
