"""A feed in numbered pages that shift under the read: nothing is lost, doubled or believed gone; and how far it reads.

The bank here is a list of orders; between two pages something may happen to it. What the poller yields is observed and
applied as the runtime does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from connector.diff import apply, diff
from connector.domains.investments import INVESTMENTS, Order
from connector.domains.model import BookingKey, Entry, Profile
from connector.errors import DataError, UnavailableError
from connector.limits import MAXIMUM_PAGES_A_READ, MAXIMUM_STALLED_PAGES
from connector.observe import Depth, Known, Read, Suspicion, observe
from connector.ports import Intend, OpenRefresh, Page, PageRequest, RawPage, Resource
from connector.runtime import poller, walk
from connector.runtime.memory import Bounds, ResourceMemory
from connector.runtime.packing import Packed
from connector.runtime.poller import Poller, PollLimits
from connector.state import EntityState
from tests.golden.samples import ORDER

pytestmark = pytest.mark.anyio

START = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)
KIND = next(kind for kind in INVESTMENTS.resources if kind.name == "orders")
RESOURCE = Resource("acc_test", "investments", KIND, "orders")
SIZE = 3
Happening = Callable[["Orders"], None]


def order(number: int) -> Order:
    placed_at = START + timedelta(hours=number)
    return replace(ORDER, order_id=f"O{number}", placed_at=placed_at, updated_at=placed_at)


@dataclass
class Orders:
    """A bank's orders, newest first in numbered pages, as a `Source`.

    `happens`: what befalls it before it serves the page of that count. `total` False: it does not say how many there
    are. `mixed`: it does not keep to the order. `stuck`: it shows its first page again and again.
    """

    numbers: list[int]
    happens: dict[int, Happening] = field(default_factory=dict)
    total: bool = True
    mixed: bool = False
    stuck: bool = False
    served: int = 0
    asked: list[str] = field(default_factory=list)
    pages: dict[bytes, Page] = field(default_factory=dict)
    route = api_version = parser_version = "1"

    async def fetch_page(self, _resource: Resource, request: PageRequest) -> RawPage:
        self.happens.get(self.served, lambda _: None)(self)
        self.served += 1
        number = int(request.cursor or 0)
        self.asked.append(str(number))
        every = list(self.numbers) if self.mixed else sorted(self.numbers, reverse=True)
        shown = 0 if self.stuck else number
        entries = tuple(
            Entry(order(one), str(one).encode().ljust(16)) for one in every[shown * SIZE : (shown + 1) * SIZE]
        )
        more = (number + 1) * SIZE < len(every)
        body = repr((number, every)).encode()
        self.pages[body] = Page(entries, str(number + 1) if more else None, total=len(every) if self.total else None)
        return RawPage(body, body[:16].ljust(16), None, START, START)

    def normalise(self, _resource: Resource, body: bytes) -> Page:
        return self.pages[body]

    async def understand(self, resource: Resource, body: bytes) -> Page:
        return self.normalise(resource, body)

    async def fetch_profile(self, account_id: str, etag: str | None = None) -> Profile | None:
        raise NotImplementedError

    async def tell_time(self) -> datetime | None:
        raise NotImplementedError

    def take_charge(self, account_id: str, intend: Intend, left_open: OpenRefresh | None = None) -> None:
        raise NotImplementedError

    async def log_out(self, account_id: str) -> None:
        raise NotImplementedError


@dataclass
class Reader:
    """What is known of the orders after some reads, and every event that they gave."""

    bank: Orders
    restarts: int = 3
    limits: PollLimits | None = None
    entities: dict[str, EntityState] = field(default_factory=dict)
    suspicion: Suspicion = field(default_factory=Suspicion)
    told: list[tuple[str, str]] = field(default_factory=list)

    async def read(self, depth: Depth = Depth.RECONCILE, lower: BookingKey | None = None) -> list[Read]:
        memory = ResourceMemory(Packed("investments"), bounds=Bounds(None, lower))
        limits = self.limits or PollLimits(read_restart_cap=self.restarts, backfill_chunk_pages=2)
        reads = []
        async for reading in Poller(self.bank, limits).readings(RESOURCE, memory, depth, lambda: "consent"):
            assert reading.read is not None
            reads.append(reading.read)
            known = Known(KIND, self.entities, floor=None, backfilled=True, suspicion=self.suspicion)
            observation = observe(known, reading.read)
            changes = diff(self.entities, observation.believed)
            self.told += [(str(change.op), change.after.entity_id) for change in changes if change.op]
            self.entities, self.suspicion = apply(self.entities, changes), observation.suspicion
        return reads

    @property
    def there(self) -> set[int]:
        live = (entity for entity in self.entities.values() if entity.status == "live")
        return {int(entity.entity_id.removeprefix("order/O")) for entity in live}


def arrive(bank: Orders) -> None:
    bank.numbers.append(max(bank.numbers) + 1)


def newest_goes(bank: Orders) -> None:
    bank.numbers.remove(max(bank.numbers))


def row_above_the_border_goes(bank: Orders) -> None:
    bank.numbers.remove(sorted(bank.numbers, reverse=True)[SIZE - 1])


def oldest_goes(bank: Orders) -> None:
    bank.numbers.remove(min(bank.numbers))


SHIFTS: dict[str, Happening] = {
    "arrival": arrive,
    "newest goes": newest_goes,
    "row above the border goes": row_above_the_border_goes,
    "oldest goes": oldest_goes,
}
SWEEPS = (Depth.RECONCILE, Depth.BACKFILL)


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("before_page", [1, 2])
async def test_rows_that_shift_while_paging_are_neither_lost_nor_doubled_nor_believed_gone(
    shift: str, before_page: int
) -> None:
    bank = Orders(list(range(15)))
    reader = Reader(bank)
    await reader.read()
    for _ in range(4):
        bank.served, bank.happens = 0, {before_page: SHIFTS[shift]}
        bank.asked.clear()
        await reader.read()
        assert bank.asked[: before_page + 2] == [*map(str, range(before_page + 1)), "0"], "it was not begun again"
        assert reader.there >= set(bank.numbers)
    bank.happens.clear()
    await reader.read()
    await reader.read()
    assert reader.there == set(bank.numbers)
    assert set(Counter(reader.told).values()) == {1}


@pytest.mark.parametrize("total", [True, False])
async def test_a_row_that_slipped_over_the_border_twice_is_believed_gone_only_where_nobody_counts(total: bool) -> None:
    """The count is what tells: with a bank that states none, the same two reads lose a row that is there."""
    bank = Orders(list(range(9)), total=total)
    reader = Reader(bank)
    await reader.read()
    for _ in range(2):
        # Order 5 is the first row of the second page, and slips onto the first when one above it goes.
        bank.served, bank.happens = 0, {1: newest_goes}
        await reader.read()
        bank.numbers.append(100 + bank.numbers[-1])
    assert (("d", "order/O5") in reader.told) is not total
    assert 5 in bank.numbers


@pytest.mark.parametrize("depth", SWEEPS)
@pytest.mark.parametrize("total", [True, False])
async def test_a_first_read_during_which_a_row_slips_has_it_only_where_somebody_counts(
    depth: Depth, total: bool
) -> None:
    bank = Orders(list(range(9)), {1: newest_goes}, total=total)
    reader = Reader(bank)
    await reader.read(depth)
    assert (5 in reader.there) is total
    assert set(Counter(reader.told).values()) == {1}


async def test_a_feed_that_never_stands_still_is_left_for_later() -> None:
    bank = Orders(list(range(9)), dict.fromkeys(range(1, 30), arrive))
    reader = Reader(bank)
    with pytest.raises(UnavailableError, match="3 reads in a row"):
        await reader.read()
    assert reader.told == []


@pytest.mark.parametrize("history", [300, 3000])
async def test_a_complete_read_goes_down_to_the_window_and_no_further(history: int) -> None:
    bank = Orders(list(range(history)))
    reader = Reader(bank)
    lower = order(history - 20).booking_key
    [read] = await reader.read(lower=lower)
    # Twenty orders in pages of three; the first page that ends below them is the last.
    assert len(bank.asked) == 7
    assert read.complete
    assert reader.there == set(range(history - 20, history))
    assert all(isinstance(entry, Entry) and entry.record.booking_key >= lower for entry in read.entries)


async def test_within_the_window_what_is_gone_is_gone_and_below_it_nothing_is_said() -> None:
    bank = Orders(list(range(60)))
    reader = Reader(bank)
    await reader.read()
    lower = order(40).booking_key
    for number in (5, 45):
        bank.numbers.remove(number)
    for _ in range(3):
        await reader.read(lower=lower)
    assert [told for told in reader.told if told[0] == "d"] == [("d", "order/O45")]


async def test_a_page_out_of_order_does_not_end_a_read() -> None:
    """A row of long ago among the newest: what follows it is not older."""
    bank = Orders([59, 2, 58, *range(57, 2, -1), 1, 0], mixed=True)
    reader = Reader(bank)
    await reader.read(lower=order(50).booking_key)
    assert reader.there == set(range(50, 60))


# ── Bounds ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_feed_without_an_end_is_given_up() -> None:
    bank = Orders(list(range(40)))
    with pytest.raises(DataError, match="does not end within 12 pages"):
        await Reader(bank, limits=PollLimits(maximum_pages=12)).read()
    assert PollLimits().maximum_pages == MAXIMUM_PAGES_A_READ
    assert len(bank.asked) == 12


async def test_a_read_gathers_no_more_than_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MAXIMUM_ENTRIES_A_READ", 10)
    with pytest.raises(DataError, match="more than 10 entries"):
        await Reader(Orders(list(range(40)))).read()
    assert len(await Reader(Orders(list(range(9)))).read()) == 1


@pytest.mark.parametrize("chunk", [4, 7])
async def test_a_long_read_is_committed_in_chunks(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "MAXIMUM_ENTRIES_A_CHUNK", chunk)
    reader = Reader(Orders(list(range(40))), limits=PollLimits(backfill_chunk_pages=1000))
    reads = await reader.read(Depth.BACKFILL)
    # Pages are taken whole: a chunk ends with the page that fills it.
    assert {len(read.entries) for read in reads[:-1]} == {-(-chunk // SIZE) * SIZE}
    assert reader.there == set(range(40))


async def test_pages_that_do_not_get_on_are_begun_again() -> None:
    bank = Orders(list(range(40)), stuck=True)
    with pytest.raises(UnavailableError, match="reads in a row"):
        await Reader(bank).read()
    # The first page, and as many as show nothing else, in each of three tries.
    assert len(bank.asked) == 3 * (1 + MAXIMUM_STALLED_PAGES)
