"""What a shard vouches for when some of its streams rest: each up to its last read, and nobody further."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from connector.cadence import parse_mode
from connector.consent import Consent
from connector.domains.lifecycle import Checkpoint, DomainUntil
from connector.domains.registry import DOMAINS
from connector.links import Link
from connector.ports import Resource
from connector.runtime.checkpoint import MAXIMUM_BEHIND, checkpoint_of
from connector.runtime.memory import AccountMemory
from connector.runtime.options import WorkerOptions
from connector.runtime.sealed_state import Subject
from connector.runtime.timetable import Timetable
from connector.state import Held, ResourceMeta, StreamHead
from tests.support.virtual_clock import START, VirtualClock

NOW = START
RECENT = NOW - timedelta(seconds=20)
ALMOST_LATE = NOW - timedelta(seconds=90)
EARLIER = NOW - timedelta(hours=3)
DAILY = "snapshot@06:00"


def account(number: int, cadence: str, read_at: datetime | None, domain: str = "lending") -> AccountMemory:
    name = f"acc_{number}"
    domains = frozenset({domain})
    consent = Consent("cns", domains, NOW, NOW + timedelta(days=1), "0" * 64, "en")
    link = Link(name, 1, "app-session", "x", domains, consent, cadence=((domain, parse_mode(cadence)),))
    made = AccountMemory(name, Subject(name, bytes(32)), link)
    kind = DOMAINS[domain].resources[0]
    made.resources = {(domain, kind.name): Resource(name, domain, kind, kind.name)}
    made.stream(domain).head = StreamHead(status="live")
    memory = made.resource(domain, kind.name)
    memory.meta = replace(memory.meta, backfilled=True, swept_at=read_at)
    memory.read_at = memory.reconciled_at = read_at
    return made


def told(*accounts: AccountMemory) -> Checkpoint:
    timetable = Timetable(WorkerOptions(), VirtualClock())
    return checkpoint_of(0, accounts, NOW, timetable, held=lambda _stream: False)


def test_what_rests_is_listed_with_its_last_read_and_holds_nobody_back() -> None:
    said = told(account(1, "live", RECENT), account(2, DAILY, EARLIER), account(3, "off", EARLIER))
    assert (said.polled_until, said.reconciled_until, said.streams) == (RECENT, RECENT, 3)
    assert [(row.status, row.polled_until) for row in said.behind] == [("SNAPSHOT", EARLIER), ("OFF", EARLIER)]
    assert said.behind_count == 2


def test_a_domain_that_is_read_rarely_holds_back_nothing_but_itself_and_the_whole() -> None:
    rare, never = account(2, "live", ALMOST_LATE, "investments"), account(3, "live", RECENT, "loyalty")
    never.resource("loyalty", DOMAINS["loyalty"].resources[0].name).reconciled_at = None
    said = told(account(1, "live", RECENT), account(4, "live", NOW), rare, never)
    assert said.domains == (
        DomainUntil("investments", ALMOST_LATE, ALMOST_LATE),
        DomainUntil("lending", RECENT, RECENT),
        DomainUntil("loyalty", RECENT, None),
    )
    assert said.behind == ()
    assert (said.polled_until, said.reconciled_until) == (ALMOST_LATE, None)


def test_a_domain_whose_streams_are_all_behind_is_not_vouched_for() -> None:
    said = told(account(1, "live", RECENT), account(2, "live", None, "loyalty"), account(3, DAILY, EARLIER, "bills"))
    assert said.domains == (
        DomainUntil("bills", EARLIER, EARLIER),
        DomainUntil("lending", RECENT, RECENT),
        DomainUntil("loyalty", None, None),
    )
    assert (said.polled_until, said.reconciled_until) == (None, None)
    nobody = told(account(1, "live", None))
    assert nobody.domains == (DomainUntil("lending", None, None),)
    assert (nobody.polled_until, nobody.reconciled_until) == (None, None)


def test_an_outage_shows_as_a_lag_that_grows_and_never_as_now() -> None:
    said = told(account(1, "live", EARLIER), account(2, "live", EARLIER - timedelta(hours=1)))
    assert [row.status for row in said.behind] == ["STALE", "STALE"]
    assert said.polled_until == EARLIER - timedelta(hours=1)
    assert said.reconciled_until == EARLIER - timedelta(hours=1)


def test_no_claim_is_of_the_future() -> None:
    ahead = NOW + timedelta(hours=5)
    assert told(account(1, "live", ahead)).polled_until == NOW


def test_a_part_that_was_not_read_yet_leaves_the_stream_without_an_instant() -> None:
    one = account(1, "live", RECENT, "loyalty")
    kind = DOMAINS["loyalty"].resources[1]
    one.resources["loyalty", kind.name] = Resource("acc_1", "loyalty", kind, kind.name)
    assert [(row.status, row.polled_until) for row in told(one).behind] == [("NOT_READY", None)]


HOLE = {"hole_since": EARLIER}
DOUBT = {"held": Held("emptiness", EARLIER, 3)}


@pytest.mark.parametrize(("meta", "status"), [(HOLE, "HOLE"), (DOUBT, "HELD"), ({**HOLE, **DOUBT}, "HOLE")])
def test_what_is_not_whole_or_not_believed_is_behind_and_counted(meta: dict[str, Any], status: str) -> None:
    one = account(1, "live", RECENT)
    memory = one.resource("lending", "loan")
    memory.meta = replace(memory.meta, **meta)
    one.stream("lending").head = StreamHead(status="live", resources={"loan": memory.meta})
    said = told(one)
    assert [row.status for row in said.behind] == [status]
    assert (said.holes, said.held) == (int(status == "HOLE"), int(status == "HELD"))


def test_what_is_gone_for_good_holds_nobody_back() -> None:
    one = account(1, "live", RECENT)
    gone = ResourceMeta(backfilled=True, held=Held("gone", EARLIER, 1))
    one.stream("lending").head = StreamHead(status="live", resources={"loan:gone": gone})
    assert told(one).behind == ()


def test_quarantined_entries_are_counted_by_domain() -> None:
    one = account(1, "live", RECENT)
    one.stream("lending").head = StreamHead(status="live", resources={"loan": ResourceMeta(quarantined_count=2)})
    said = told(one, account(2, "live", RECENT, "loyalty"))
    assert said.quarantined == 2
    assert [(row.domain, row.quarantined) for row in said.domains] == [("lending", 2), ("loyalty", 0)]


def test_what_is_read_by_bank_account_is_vouched_for_no_further_than_the_bank_accounts_are_known() -> None:
    one = account(1, "live", RECENT, "transactions")
    one.profile_asked_at = ALMOST_LATE
    assert told(one).domains == (DomainUntil("transactions", ALMOST_LATE, ALMOST_LATE),)
    one.profile_asked_at = EARLIER
    said = told(one)
    assert [(row.status, row.polled_until) for row in said.behind] == [("STALE", EARLIER)]
    assert said.domains == (DomainUntil("transactions", EARLIER, EARLIER),)


def test_what_the_list_has_no_room_for_holds_the_shard_back_and_nothing_is_vouched_for_too_far() -> None:
    resting = [account(number, DAILY, EARLIER + timedelta(seconds=number)) for number in range(MAXIMUM_BEHIND + 2)]
    said = told(account(9999, "live", RECENT), *resting)
    assert said.behind_count == len(said.behind) == MAXIMUM_BEHIND
    unlisted = EARLIER + timedelta(seconds=MAXIMUM_BEHIND)
    assert (said.polled_until, said.reconciled_until) == (unlisted, unlisted)


@pytest.mark.parametrize(
    ("cadence", "read_at", "status"),
    [
        (DAILY, NOW - timedelta(hours=27), "STALE"),
        (DAILY, None, "NOT_READY"),
        ("live", EARLIER, "STALE"),
        ("live", None, "NOT_READY"),
        ("off", None, "OFF"),
        ("snapshot/6h", NOW - timedelta(hours=13), "STALE"),
    ],
)
def test_each_mode_has_its_own_measure_of_late(cadence: str, read_at: datetime | None, status: str) -> None:
    [row] = told(account(1, cadence, read_at)).behind
    assert (row.status, row.polled_until) == (status, read_at)


def test_a_snapshot_of_an_earlier_life_is_neither_late_nor_vouched_for() -> None:
    """When it was read is known, but not from when on the bank's answer speaks."""
    rested = account(1, DAILY, EARLIER)
    rested.resource("lending", DOMAINS["lending"].resources[0].name).read_at = None
    [row] = told(rested).behind
    assert (row.status, row.polled_until) == ("SNAPSHOT", None)
