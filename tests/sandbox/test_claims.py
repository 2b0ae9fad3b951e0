"""What the sandbox claims was observable, held against a poller that really observed.

The poller here is the simplest that is right: it keeps what it saw, compares, and believes an absence the second time.
It is killed, faults strike it, the bank goes on living; in the end its events must be the observable changes, each
once, and may hold uncertain ones, but none that the sandbox calls coalesced.
"""

from __future__ import annotations

import json
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from connector.sandbox.departments import resources_of
from connector.sandbox.wire import dumps
from tests.support.proofs import quickly

if TYPE_CHECKING:
    from connector.sandbox.ledger import Ledger

pytestmark = pytest.mark.anyio
Event = tuple[str, str, str, str]
"""Resource, op, key, body."""


class Discarded(Exception):  # noqa: N818 - a read given up is no error of the test
    """A read that must not be believed."""


class Poller:
    """Keeps state by resource; an absence is counted in memory only."""

    def __init__(self, visitor: Any) -> None:
        self.visitor = visitor
        self.state: dict[str, dict[str, str]] = {}
        self.absent: Counter[tuple[str, str]] = Counter()
        self.events: list[Event] = []

    @property
    def resources(self) -> list[str]:
        """What there is to read now: a new card brings its activity."""
        return list(resources_of(self.visitor.bank.life(self.visitor.spec.label)))

    async def read(self, resource: str, *, deep: bool) -> dict[str, Any]:
        """Items of a read by their wire key; each kind of resource has a method of its name."""
        kind, _, part = resource.partition("/")
        reader = getattr(self, f"_{kind.replace('-', '_')}")
        items: dict[str, Any] = await reader(part, deep=deep)
        return items

    def commit(self, resource: str, items: dict[str, Any], *, deep: bool) -> None:
        """Believe a read."""
        known = self.state.setdefault(resource, {})
        present = set()
        for wire_key, item in items.items():
            key = self._key(known, wire_key, item)
            present.add(key)
            body = dumps({name: value for name, value in item.items() if name != "balance_after"}).decode()
            if known.get(key) != body:
                self.events.append((resource, "u" if key in known else "c", key, body))
                known[key] = body
            self.absent.pop((resource, key), None)
        if deep:
            for key in set(known) - present:
                self.absent[resource, key] += 1
                if self.absent[resource, key] == 2:
                    self.events.append((resource, "d", key, known.pop(key)))

    def die(self) -> None:
        """Forget what is only in memory."""
        self.absent.clear()

    def _key(self, known: dict[str, str], wire_key: str, item: dict[str, Any]) -> str:
        for key, body in known.items():
            if item.get("replaces") is not None and f'"id":"{item["replaces"]}"' in body:
                return key
            if "initiated_at" in item and f'"id":"{wire_key}"' in body:
                return key
        return wire_key

    async def _feed(self, path: str, *, deep: bool) -> dict[str, Any]:
        items: dict[str, Any] = {}
        params: dict[str, Any] = {"limit": 40}
        while True:
            page = self._parse(await self.visitor.get(path, **params))
            for item in page["items"]:
                if items.setdefault(item["id"], item) != item:
                    raise Discarded
            if page["next_cursor"] is None or not deep:
                return items
            if page["next_cursor"] == params.get("cursor"):
                raise Discarded
            params["cursor"] = page["next_cursor"]

    async def _transactions(self, iban: str, *, deep: bool) -> dict[str, Any]:
        return await self._feed(f"/accounts/{iban}/transactions", deep=deep)

    async def _holdings(self, _part: str, *, deep: bool) -> dict[str, Any]:
        del deep
        body = self._parse(await self.visitor.get("/invest/v1/portfolio"))
        shares = {f"holding/equity/{item['symbol']}": item for item in body["equities"]}
        return shares | {f"holding/fund/{item['fundId']}": item for item in body["funds"]}

    async def _nav(self, fund_id: str, *, deep: bool) -> dict[str, Any]:
        del deep
        body = self._parse(await self.visitor.get(f"/invest/v1/funds/{fund_id}/nav"))
        return {f"nav/{fund_id}/{item['date']}": item for item in body["navs"]}

    async def _cards(self, _part: str, *, deep: bool) -> dict[str, Any]:
        del deep
        body = self._parse(await self.visitor.get("/cards"))
        return {f"card/{card['id']}": card for card in body["cards"]}

    async def _authorizations(self, card_id: str, *, deep: bool) -> dict[str, Any]:
        lines = await self._feed(f"/cards/{card_id}/authorizations", deep=deep)
        return {f"authorization/{line_id}": line for line_id, line in lines.items()}

    async def _bills(self, _part: str, *, deep: bool) -> dict[str, Any]:
        return {f"bill/{wire_key}": item for wire_key, item in (await self._feed("/bills", deep=deep)).items()}

    async def _bookings(self, _part: str, *, deep: bool) -> dict[str, Any]:
        return {f"booking/{wire_key}": item for wire_key, item in (await self._feed("/bookings", deep=deep)).items()}

    async def _vouchers(self, _part: str, *, deep: bool) -> dict[str, Any]:
        del deep
        body = self._parse(await self.visitor.get("/z-miles/summary"))
        return {f"voucher/{voucher['voucher_id']}": voucher for voucher in body["vouchers"]}

    async def _holder(self, _part: str, *, deep: bool) -> dict[str, Any]:
        del deep
        body = self._parse(await self.visitor.get("/me"))
        return {"holder": {name: value for name, value in body.items() if name != "accounts"}}

    async def _bank_account(self, iban: str, *, deep: bool) -> dict[str, Any]:
        del deep
        return self._halves(iban, self._parse(await self.visitor.get(f"/accounts/{iban}")))

    async def _loan(self, _part: str, *, deep: bool) -> dict[str, Any]:
        del deep
        return self._loans(self._parse(await self.visitor.inquire()))

    async def _points(self, _part: str, *, deep: bool) -> dict[str, Any]:
        known = [int(key.removeprefix("points/")) for key in self.state.get("points", {})]
        after = 0 if deep or not known else max(known)
        items: dict[str, Any] = {}
        while True:
            page = self._parse(await self.visitor.get("/z-miles/ledger", after_id=after, limit=40))
            items |= {f"points/{entry['id']}": entry for entry in page["entries"]}
            if not page["has_more"]:
                return items
            after = page["entries"][-1]["id"]

    async def _orders(self, _part: str, *, deep: bool) -> dict[str, Any]:
        items: dict[str, Any] = {}
        number, total = 0, None
        while True:
            page = self._parse(await self.visitor.get("/invest/v1/orders", page=number, size=10))
            if page["page"] != number or total not in {None, page["totalElements"]}:
                raise Discarded
            total = page["totalElements"]
            for item in page["content"]:
                if items.setdefault(f"order/{item['orderId']}", item) != item:
                    raise Discarded
            number += 1
            if number >= page["totalPages"] or not deep:
                return items

    def _loans(self, answer: dict[str, Any]) -> dict[str, Any]:
        items: dict[str, Any] = {}
        if answer["RESPONSE_CODE"] not in {"00", "01"}:
            raise Discarded
        for loan in (answer["DATA"] or {"LOANS": []})["LOANS"]:
            lines, repayments = loan.pop("SCHEDULE"), loan.pop("REPAYMENTS")
            items[f"loan/{loan['LOAN_ID']}"] = loan
            items |= {f"installment/{loan['LOAN_ID']}/{line['INSTALLMENT_NO']}": line for line in lines}
            items |= {f"repayment/{repayment['REPAYMENT_ID']}": repayment for repayment in repayments}
        return items

    def _halves(self, iban: str, body: dict[str, Any]) -> dict[str, Any]:
        halves = {
            "bank-account": ("iban", "title", "ccy", "status", "tier"),
            "balance": ("iban", "balance", "available", "ccy"),
        }
        return {f"{kind}/{iban}": {name: body[name] for name in names} for kind, names in halves.items()}

    def _parse(self, answer: Any) -> dict[str, Any]:
        if answer.status_code != 200:
            raise Discarded
        try:
            body: dict[str, Any] = answer.json()
        except ValueError:
            raise Discarded from None
        return body


WHOLE = frozenset({"vouchers", "loan", "holder", "bank-account", "cards", "holdings", "nav"})
"""Resources that one answer shows whole."""
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "server_error", "count": 3, "rate": 0.5},
    {"kind": "truncated_json", "count": 3, "rate": 0.5},
    {"kind": "mutate_while_paging", "count": 2},
    {"kind": "arrive_while_paging", "count": 2},
    {"kind": "repeat_cursor"},
    {"kind": "invalid_cursor"},
    {"kind": "advance_cash_code", "count": 2},
)


@pytest.mark.parametrize("seed", quickly(range(5), 1))
async def test_a_poller_observes_what_the_sandbox_says_it_could(bank: Any, visitor: Any, seed: int) -> None:
    rng = Random(seed)
    people = [await visitor(label).log_in() for label in ("freelancer", "borrower")]
    pollers = [Poller(person) for person in people]
    http = people[0].http
    for _ in range(60):
        await live_on(bank, pollers, rng)
        check_all(bank, pollers, settled=False)
    await http.delete("/sandbox/faults")
    for _ in range(3):
        for poller in pollers:
            for resource in poller.resources:
                await poll(poller, resource, deep=True)
    assert (await http.get("/sandbox/settled")).json()["settled"]
    check_all(bank, pollers, settled=True)


async def live_on(bank: Any, pollers: list[Poller], rng: Random) -> None:
    """Some steps, perhaps a fault, a read each, perhaps the end of the client."""
    if rng.random() < 0.7:
        bank.step(rng.randint(1, 3))
    if rng.random() < 0.3:
        await pollers[0].visitor.http.post("/sandbox/faults", json=rng.choice(FAULTS))
    for poller in pollers:
        await poll(poller, rng.choice(poller.resources), deep=rng.random() < 0.5)
    if rng.random() < 0.15:
        for poller in pollers:
            await die_reading(poller, rng)
        await pollers[0].visitor.http.post("/sandbox/client-lost")


async def poll(poller: Poller, resource: str, *, deep: bool) -> None:
    try:
        items = await poller.read(resource, deep=deep)
    except Discarded:
        return
    poller.commit(resource, items, deep=deep or resource.partition("/")[0] in WHOLE)


async def die_reading(poller: Poller, rng: Random) -> None:
    """Be killed at some moment of a read: in its midst, before its commit or after."""
    resource = rng.choice(poller.resources)
    try:
        items = await poller.read(resource, deep=rng.random() < 0.5)
    except Discarded:
        items = {}
    if rng.random() < 0.5:
        poller.commit(resource, items, deep=False)
    poller.die()


def check_all(bank: Any, pollers: list[Poller], *, settled: bool) -> None:
    for poller in pollers:
        life = bank.life(poller.visitor.spec.label)
        for ledger in life.ledgers.values():
            check(bank, ledger, poller, settled=settled)


def check(bank: Any, ledger: Ledger, poller: Poller, *, settled: bool) -> None:
    """Never is more claimed than was observed; in the end nothing was observed that is not allowed for."""
    standing: dict[tuple[str, str, str], list[str]] = {}
    entities: dict[tuple[str, str], str] = {}
    for change in ledger.changes:
        body = "gone" if change.body is None else dumps(json.loads(dumps(change.body))).decode()
        entities[change.resource, body] = change.entity
        what = bank.watch.standing(ledger.holder, ledger.history[change.entity], change)
        standing.setdefault((change.resource, change.entity, body), []).append(what)
    observed = Counter(
        (resource, entities[resource, body], "gone" if op == "d" else body)
        for resource, op, _, body in poller.events
        if (resource, body) in entities
    )
    # What may return to an earlier look, a balance, is told as often as it had that look.
    assert all(times <= len(standing[key]) for key, times in observed.items())
    claimed = {key for key, what in standing.items() if "observable" in what}
    assert claimed <= set(observed), sorted(claimed - set(observed))[:3]
    if settled:
        allowed = claimed | {key for key, what in standing.items() if "uncertain" in what}
        assert set(observed) <= allowed, [(key, standing[key]) for key in sorted(set(observed) - allowed)][:3]
        assert not any("pending" in what for what in standing.values())
