"""What is held can be seen and decided: each kind is listed, shown, decided, told, and gone from the list after."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.to_thread
import pytest

from connector.cli import exits, settings_flags
from connector.cli.main import execute
from connector.domains.model import Entry, Unreadable
from connector.ports import Page
from connector.runtime.isolation import UNFORESEEN_BEFORE_HOLDING
from connector.runtime.shard_worker import ShardWorker
from tests.contract.journal.backends import Backend, KafkaBackend
from tests.support.feeds import TRANSACTIONS, Feed
from tests.support.log_watch import Log
from tests.support.virtual_clock import VirtualClock
from tests.support.world import MASTER_KEY, OPTIONS, World, people

HOLDER = "account-1"
ENTRIES = 200
MASS = 80  # of them: above 20 entries and above 30 %
TWO_LOOKS = 2
NEVER = 1e9
BILLS = Feed("bills", "/bills")

Zindigi = Callable[..., Awaitable[tuple[int, str, str]]]


class Altered:
    """A source whose answers a test changes before the connector sees them."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.pages: Callable[[Any, bytes], bytes] = lambda _, body: body
        self.profile: Callable[[Any], Any] = lambda profile: profile
        self.understood: Callable[[Any, Page], Page] = lambda _, page: page

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    async def fetch_page(self, resource: Any, request: Any) -> Any:
        page = await self._source.fetch_page(resource, request)
        body = page.body and self.pages(resource, page.body)
        return page if body == page.body else replace(page, body=body, digest=sha256(body).digest(), etag=None)

    async def understand(self, resource: Any, body: bytes) -> Page:
        return self.understood(resource, await self._source.understand(resource, body))

    async def fetch_profile(self, account_id: str, etag: str | None = None) -> Any:
        del etag
        return self.profile(await self._source.fetch_profile(account_id))


@pytest.fixture
async def world(tmp_path: Path, place: Backend) -> AsyncIterator[World]:
    options = replace(OPTIONS, empty_confirm_seconds=NEVER)
    scenario = people(HOLDER, scenario="peers", history_days=28)
    async with World.open(tmp_path, scenario, seed=11, clock=VirtualClock(), place=place, options=options) as opened:
        TRANSACTIONS.fill(opened, HOLDER, ENTRIES)
        await opened.link(HOLDER)
        opened.source = cast("Any", Altered(opened.source))
        yield opened


@pytest.fixture
def zindigi(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Zindigi:
    """One command on the world's journal and vault, beside whoever works on them."""
    monkeypatch.chdir(world.directory)
    monkeypatch.setenv("ZINDIGI_VAULT__MASTER_KEY", base64.b64encode(MASTER_KEY).decode())
    monkeypatch.setattr(settings_flags, "configure_logging", lambda *_, **__: None)
    settings = {"vault.path": str(world.directory / "vault.db"), "journal.shard_count": "1"}
    if isinstance(world.place, KafkaBackend):
        servers, prefix = world.place.location.split(" ")
        settings |= {"journal.kind": "kafka", "kafka.bootstrap_servers": servers, "kafka.prefix": prefix}
        settings["kafka.replication_factor"] = "1"
    else:
        settings["journal.path"] = world.place.location
    given = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]

    async def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = await anyio.to_thread.run_sync(execute, [*arguments, *given])
        out, err = capsys.readouterr()
        return code, out, err

    return run


async def listed(zindigi: Zindigi) -> list[dict[str, Any]]:
    code, out, err = await zindigi("held", "list", "--json")
    assert code == exits.OK, err
    return [json.loads(line) for line in out.splitlines()]


async def in_link_list(zindigi: Zindigi) -> str:
    """What `link list` says of the only link in its column HELD; the JSON is the same things."""
    code, out, _ = await zindigi("link", "list", "--json")
    assert code == exits.OK
    [link] = [json.loads(line) for line in out.splitlines()]
    held = [{key: row[key] for key in row if key not in {"label", "asked"}} for row in await listed(zindigi)]
    assert [one["kind"] for one in link["held"]] == [one["kind"] for one in held]
    heading, row = (await zindigi("link", "list"))[1].splitlines()
    start = heading.index("HELD")
    return row[start : heading.index("CADENCE")].strip()


async def look(world: World, worker: ShardWorker, feed: Feed = TRANSACTIONS, times: int = 1) -> None:
    for _ in range(times):
        world.clock.jump(feed.reconcile_seconds)  # type: ignore[attr-defined]
        await world.read_once(worker, kinds={feed.domain})


async def ops(world: World, domain: str, known: int) -> list[str]:
    return [event["op"] for event in (await world.told(domain))[known:]]


def said(log: Log, event: str) -> list[tuple[str, str, Any]]:
    return [(line["kind"], line["domain"], line.get("count")) for line in log.lines(event)]


async def decide(zindigi: Zindigi, worker: ShardWorker, *words: str) -> str:
    """Give a decision while the connector works; what was said before it was recorded."""
    code, _, err = await zindigi("held", *words, "--yes", "--wait-seconds", "0")
    assert code == exits.OK, err
    await worker.apply_commands()
    return err


@pytest.mark.anyio
async def test_a_mass_removal_is_listed_shown_accepted_told_and_gone(world: World, zindigi: Zindigi, log: Log) -> None:
    [account_id] = world.msisdn_of
    async with world.working() as worker:
        await worker.sweep()
        assert await listed(zindigi) == []
        assert await in_link_list(zindigi) == "-"
        known = len(await world.told("transactions"))
        world.mutate(holder=HOLDER, domain="transactions", op="remove", age_days=14, count=MASS)
        await look(world, worker, times=3)
        [thing] = await listed(zindigi)
        assert (thing["account_id"], thing["label"], thing["domain"]) == (account_id, HOLDER, "transactions")
        assert (thing["kind"], thing["count"], thing["decision"]) == ("mass_removal", MASS, None)
        assert thing["next_step"].startswith(f"zindigi held accept {account_id} transactions")
        assert await in_link_list(zindigi) == f"transactions (mass removal of {MASS})"
        _, shown, _ = await zindigi("held", "show", HOLDER, "transactions")
        assert f"it concerns {MASS} of the" in shown
        # It was said once, though it was looked at three times.
        assert said(log, "held") == [("mass_removal", "transactions", MASS)]
        assert log.lines("held")[0]["next_step"] == thing["next_step"]

        before = await decide(zindigi, worker, "accept", HOLDER, "transactions")
        assert f"{MASS} removals will be believed" in before
        assert (await listed(zindigi))[0]["decision"] == "accepted"
        await look(world, worker, times=2)
        assert await ops(world, "transactions", known) == ["d"] * MASS
        assert await listed(zindigi) == []
        assert said(log, "held_no_more") == [("mass_removal", "transactions", None)]
        await worker.sweep()
        await world.assert_sound(lockstep=True)


@pytest.mark.anyio
async def test_what_is_rejected_stays_held_and_is_not_asked_again(world: World, zindigi: Zindigi) -> None:
    async with world.working() as worker:
        await worker.sweep()
        known = len(await world.told("transactions"))
        world.mutate(holder=HOLDER, domain="transactions", op="remove", age_days=14, count=MASS)
        await look(world, worker, times=2)
        await decide(zindigi, worker, "reject", HOLDER, "transactions")
        await look(world, worker, times=3)
        assert await ops(world, "transactions", known) == []
        assert [thing["decision"] for thing in await listed(zindigi)] == ["rejected"]
        code, _, err = await zindigi("held", "reject", HOLDER, "transactions", "--yes")
        assert code == exits.USAGE
        assert "rejected already" in err


@pytest.mark.anyio
async def test_nothing_is_said_to_be_done_that_was_not(world: World, zindigi: Zindigi, log: Log) -> None:
    [account_id] = world.msisdn_of
    outcome: list[tuple[int, str, str]] = []

    async def accept() -> None:
        outcome.append(await zindigi("held", "accept", HOLDER, "transactions", "--yes", "--wait-seconds", "60"))

    async with world.working() as worker:
        await worker.sweep()
        world.mutate(holder=HOLDER, domain="transactions", op="remove", age_days=14, count=MASS)
        await look(world, worker, times=3)
        async with anyio.create_task_group() as deciding:
            deciding.start_soon(accept)
            while not await world.reader.pending_commands():  # noqa: ASYNC110  another thread's doing
                await anyio.sleep(0.01)
            # Between the question and the answer the stream is set aside.
            for _ in range(UNFORESEEN_BEFORE_HOLDING):
                worker.commits.isolation.unforeseen((account_id, "transactions"), OSError())
            await worker.apply_commands()
        [(code, _, err)] = outcome
        assert code == exits.FAILURE
        assert "not decided, for it changed meanwhile" in err
        assert "Done" not in err
        log.truncate(0)
        log.seek(0)
        assert [thing["decision"] for thing in await listed(zindigi)] == [None]


@pytest.mark.anyio
async def test_a_mass_creation_is_held_and_told_once_accepted(world: World, zindigi: Zindigi, log: Log) -> None:
    async with world.working() as worker:
        await worker.sweep()
        known = len(await world.told("transactions"))
        world.mutate(holder=HOLDER, domain="transactions", op="back_date", age_days=9, count=1)
        for number in range(3 * MASS):
            world.mutate(holder=HOLDER, domain="transactions", op="back_date", age_days=9 + number / MASS)
        await look(world, worker, times=2)
        [thing] = await listed(zindigi)
        assert thing["kind"] == "mass_creation"
        assert "which they are no state says" in (await zindigi("held", "show", HOLDER))[1]
        before = await decide(zindigi, worker, "accept", HOLDER, "transactions")
        assert f"{thing['count']} creations will be believed" in before
        await look(world, worker, times=3)
        assert set(await ops(world, "transactions", known)) == {"c"}
        assert await listed(zindigi) == []
        assert [kind for kind, _, _ in said(log, "held")] == ["mass_creation"]


@pytest.mark.anyio
async def test_an_emptiness_is_held_shown_and_told_once_accepted(world: World, zindigi: Zindigi, log: Log) -> None:
    altered = cast("Altered", world.source)
    async with world.working() as worker:
        BILLS.fill(world, HOLDER, 6)
        await worker.sweep()
        known = len(await world.told("bills"))
        altered.pages = lambda resource, body: (
            b'{"items": [], "next_cursor": null}' if resource.kind.name == "bills" else body
        )
        await look(world, worker, BILLS, times=3)
        [thing] = await listed(zindigi)
        assert (thing["domain"], thing["kind"]) == ("bills", "emptiness")
        _, shown, _ = await zindigi("held", "show", HOLDER, "bills", "--json")
        assert len(json.loads(shown)["standing"]) >= thing["count"] > 0
        assert await in_link_list(zindigi) == f"bills (emptiness of {thing['count']})"
        before = await decide(zindigi, worker, "accept", HOLDER, "bills", "--resource", "bil")
        assert f"{thing['count']} removals will be believed" in before
        await look(world, worker, BILLS, times=3)
        assert await ops(world, "bills", known) == ["d"] * thing["count"]
        assert await listed(zindigi) == []
        assert [kind for kind, _, _ in said(log, "held")] == ["emptiness"]


@pytest.mark.anyio
async def test_a_bank_account_that_is_not_listed_is_held_and_gone_once_accepted(
    world: World, zindigi: Zindigi, log: Log
) -> None:
    altered = cast("Altered", world.source)
    async with world.working() as worker:
        await worker.sweep()
        known = len(await world.told("account"))
        altered.profile = lambda profile: replace(profile, bank_accounts=())
        await worker.sweep()
        things = await listed(zindigi)
        assert {thing["kind"] for thing in things} == {"unlisted"}
        assert {thing["domain"] for thing in things} == {"account", "transactions"}
        assert len(said(log, "held")) == len(things)
        shown = (await zindigi("held", "show", HOLDER, "account"))[1]
        assert "lists the bank account no more" in shown
        for domain in ("account", "transactions"):
            before = await decide(zindigi, worker, "accept", HOLDER, domain)
            assert "will be believed gone" in before
        await worker.sweep()
        assert set(await ops(world, "account", known)) == {"d"}
        assert await listed(zindigi) == []


@pytest.mark.anyio
async def test_an_unreadable_entry_is_listed_by_field_and_reason_and_told_by_a_retry(
    world: World, zindigi: Zindigi, log: Log
) -> None:
    async with world.working() as worker:
        await worker.sweep()
        ledger = world.bank.life(HOLDER).ledgers["transactions"]
        entity = sorted(ledger.present)[len(ledger.present) // 2]
        params = {"field": "amount", "value": {"of": "another type"}, "entity": entity}
        world.strike("field_retyped", path="/accounts/*/transactions", count=None, params=params)
        await look(world, worker, times=2)
        [thing] = await listed(zindigi)
        assert (thing["kind"], thing["count"], thing["domain"]) == ("quarantined", 1, "transactions")
        assert thing["reason"].startswith("amount")
        assert entity not in json.dumps(thing)
        row = (await zindigi("held", "list"))[1].splitlines()[1]
        assert "  amount" in row
        shown = json.loads((await zindigi("held", "show", HOLDER, "transactions", "--json"))[1])
        [entry] = shown["entries"]
        assert (entry["entity_id"], entry["version"], entry["reason"]) == (
            ledger.present[entity].name,
            1,
            thing["reason"],
        )
        assert entry["observed_at"]
        assert "content" not in entry
        # What the bank showed is opened only for who asks for it.
        shown = json.loads((await zindigi("held", "show", HOLDER, "transactions", "--content", "--json"))[1])
        [entry] = shown["entries"]
        content = json.loads(entry["content"])
        assert content["id"] == ledger.present[entity].name
        assert content["amount"] == {"of": "another type"}
        lines = (await zindigi("held", "show", HOLDER, "transactions", "--content"))[1].splitlines()
        assert lines[2].startswith("  amount")
        assert f"    {entry['content']}" in lines
        assert await in_link_list(zindigi) == "quarantined 1"
        assert said(log, "entries_quarantined") == [("quarantined", "transactions", 1)]
        world.bank.faults.clear()
        before = await decide_retry(zindigi, worker)
        assert "transactions: 1 entry will be read anew" in before
        # No time goes by: it is read because somebody asked for it.
        await world.read_once(worker, kinds={"transactions"})
        assert await listed(zindigi) == []
        assert said(log, "entries_readable") == [("quarantined", "transactions", 1)]
        code, _, err = await zindigi("held", "retry", HOLDER, "transactions")
        assert code == exits.USAGE
        assert "waits to be tried again" in err


@pytest.mark.anyio
async def test_what_another_release_understands_is_told_after_a_start(world: World, zindigi: Zindigi) -> None:
    """The bank shows the same bytes; nobody asks for a retry."""
    source = cast("Altered", world.source)

    def without_the_third(resource: Any, page: Page) -> Page:
        if resource.domain != "transactions" or len(page.entries) < 3:
            return page
        third = page.entries[2]
        assert isinstance(third, Entry)
        unreadable = Unreadable(third.raw_digest, "amount: not of this release", third.record.entity_id)
        return replace(page, entries=(*page.entries[:2], unreadable, *page.entries[3:]))

    source.understood = without_the_third
    async with world.working() as worker:
        await worker.sweep()
        await look(world, worker, times=2)
        assert {thing["kind"] for thing in await listed(zindigi)} == {"quarantined"}
        source.understood = lambda _, page: page
        await look(world, worker, times=2)
        assert {thing["kind"] for thing in await listed(zindigi)} == {"quarantined"}, "the same bytes are not parsed"
    async with world.working() as worker:
        await look(world, worker, times=2)
        assert await listed(zindigi) == []
        await world.assert_sound(lockstep=True)


async def decide_retry(zindigi: Zindigi, worker: ShardWorker) -> str:
    code, _, err = await zindigi("held", "retry", HOLDER, "transactions", "--wait-seconds", "0")
    assert code == exits.OK, err
    await worker.apply_commands()
    return err


@pytest.mark.anyio
async def test_an_isolated_stream_is_listed_and_goes_on_by_a_retry(world: World, zindigi: Zindigi, log: Log) -> None:
    [account_id] = world.msisdn_of
    async with world.working() as worker:
        await worker.sweep()
        for _ in range(UNFORESEEN_BEFORE_HOLDING):
            worker.commits.isolation.unforeseen((account_id, "transactions"), OSError())
        log.truncate(0)
        log.seek(0)
        await worker.checkpoint()
        [thing] = await listed(zindigi)
        assert (thing["kind"], thing["domain"], thing["resource"]) == ("isolated", "transactions", None)
        assert await in_link_list(zindigi) == "transactions (isolated)"
        assert "set aside" in (await zindigi("held", "show", HOLDER))[1]
        code, _, err = await zindigi("held", "accept", HOLDER, "transactions", "--yes")
        assert (code, "retry" in err) == (exits.USAGE, True)
        world.mutate(holder=HOLDER, domain="transactions", op="add")
        known = len(await world.told("transactions"))
        await world.read_once(worker, kinds={"transactions"})
        assert await ops(world, "transactions", known) == [], "it is set aside"
        before = await decide_retry(zindigi, worker)
        assert "1 stream that is set aside will be tried again" in before
        await world.read_once(worker, kinds={"transactions"})
        assert await ops(world, "transactions", known) == ["c"]
        await world.read_once(worker)
        await worker.checkpoint()
        assert await listed(zindigi) == []


DAMAGES = {
    "its state": ("UPDATE state SET value = ? WHERE key = ?", "SELECT value FROM state WHERE key = ?", "/loyalty"),
    "its link": ("UPDATE links SET value = ? WHERE account_id = ?", "SELECT value FROM links WHERE account_id = ?", ""),
}


@pytest.mark.anyio
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
async def test_an_account_that_does_not_open_is_listed_whether_the_connector_runs_or_not(
    world: World, zindigi: Zindigi, damage: str
) -> None:
    [account_id] = world.msisdn_of
    async with world.working() as worker:
        await worker.sweep()
    update, select, of_key = DAMAGES[damage]
    journal = sqlite3.connect(world.place.location, isolation_level=None)
    [(sound,)] = journal.execute(select, (account_id + of_key,)).fetchall()
    journal.execute(update, ("{}", account_id + of_key))
    for running in (False, True):
        if running:
            async with world.working() as worker:
                await worker.checkpoint()
        [thing] = await listed(zindigi)
        assert (thing["account_id"], thing["kind"], thing["domain"]) == (account_id, "set_aside", None)
        assert f"zindigi link remove {account_id}" in thing["next_step"]
        assert await in_link_list(zindigi) == "set aside"
        assert "set_aside" in (await zindigi("held", "show", account_id))[1]
        for decision in (("accept", "--yes"), ("reject", "--yes"), ("retry",)):
            code, _, err = await zindigi("held", decision[0], account_id, "loyalty", *decision[1:])
            assert (code, "is set aside" in err) == (exits.USAGE, True)
    assert await world.reader.pending_commands() == ()
    journal.execute(update, (sound, account_id + of_key))
    journal.close()
    async with world.working() as worker:
        await worker.checkpoint()
        assert await listed(zindigi) == []


@pytest.mark.anyio
async def test_a_hole_is_said_when_it_opens_and_when_it_closes(world: World, zindigi: Zindigi, log: Log) -> None:
    async with world.working() as worker:
        await worker.sweep()
        [account] = [one for one in worker.accounts.values() if one.resources]
        resources = [one for one in account.resources.values() if one.kind.name == "transactions"]
        for resource in resources:
            memory = account.resource(resource.domain, resource.name)
            memory.meta = replace(memory.meta, hole_since=world.clock.now())
        assert resources
        await look(world, worker, times=2)
        assert len(said(log, "hole_closed")) == len(resources)
        assert await listed(zindigi) == []


@pytest.mark.anyio
async def test_where_nothing_is_held_nothing_is_recorded(world: World, zindigi: Zindigi) -> None:
    async with world.working() as worker:
        await worker.sweep()
    for decision in (("accept", "--yes"), ("reject", "--yes"), ("retry",)):
        code, _, err = await zindigi("held", decision[0], HOLDER, "loyalty", *decision[1:])
        assert (code, "nothing" in err) == (exits.USAGE, True)
    assert await world.reader.pending_commands() == ()
    assert (await zindigi("held", "list"))[2] == "Nothing is held.\n"
