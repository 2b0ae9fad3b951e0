"""PIN, OTP, tokens, CNIC, mobile numbers and names are in no log, key, header, exception, nor in clear in any file.

A whole life is lived at a bank whose secrets are known: links, steps, every kind of fault, refusals, a new login, an
end. Then everything that the connector left is searched in every form that a secret could take. Events hold personal
data by design: their values are left out, their keys and headers are not.
"""

from __future__ import annotations

import base64
import io
import logging
import re
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from connector.domains.lifecycle import NAME as LIFECYCLE
from connector.domains.registry import DOMAINS
from connector.errors import ActionRequiredError, ConnectorError
from connector.ports import Commit, EventRecord, QuarantineRecord, StateRecord
from connector.runtime.job_runner import JobRunner
from connector.runtime.shard_worker import ShardWorker
from connector.sandbox import report, sessions
from connector.sandbox.faults import KINDS
from connector.settings import LogSettings
from connector.telemetry import FIELDS, configure_logging, logger
from tests.contract.journal.backends import Backend
from tests.support.hunt import Quarry, files
from tests.support.virtual_clock import VirtualClock
from tests.support.world import World, people

LABELS = ("adult", "borrower")
PINS = {"adult": "918273", "borrower": "564738"}
SEED = 14


class Traces:
    """Everything that a life leaves in text."""

    def __init__(self) -> None:
        self.log = io.StringIO()
        self.library = io.StringIO()
        self.exceptions: list[str] = []

    def note(self, error: BaseException) -> None:
        self.exceptions += ["".join(traceback.format_exception(error)), repr(error), repr(error.__dict__)]


@pytest.fixture(params=["json", pytest.param("console", marks=pytest.mark.proof)])
def traces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Traces]:
    left = Traces()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging(LogSettings(format=request.param, level="debug"), left.log)
    # What libraries would say to anybody who listens to all of it.
    listening = logging.StreamHandler(left.library)
    root.addHandler(listening)
    root.setLevel(logging.DEBUG)
    fail = JobRunner._fail

    async def failing(self: JobRunner, job: Any, account: Any, error: ConnectorError, **more: Any) -> float | None:
        left.note(error)
        return await fail(self, job, account, error, **more)

    monkeypatch.setattr(JobRunner, "_fail", failing)
    yield left
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def otps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every one-time password that was sent, none of them like another number of these lives."""
    sent: list[str] = []

    def next_otp() -> str:
        sent.append(str(84_620_137 + 791_903 * len(sent)))
        return sent[-1]

    monkeypatch.setattr(sessions, "_new_otp", next_otp)
    return sent


@asynccontextmanager
async def planted(directory: Path, place: Backend) -> AsyncIterator[World]:
    scenario = people(*LABELS)
    holders = tuple(holder.model_copy(update={"pin": PINS[holder.label]}) for holder in scenario.holders)
    scenario = scenario.model_copy(update={"holders": holders})
    async with World.open(directory, scenario, seed=SEED, clock=VirtualClock(), place=place) as world:
        yield world


async def mistype(world: World, traces: Traces, label: str) -> None:
    """A login in which PIN, then one-time password, are wrong."""
    facts = world.holder(label)

    async def wrong_pin() -> str:
        return "777555"

    async def pin() -> str:
        return str(facts["pin"])

    async def wrong_otp(*_: object) -> str:
        return "333111"

    for ask in (wrong_pin, pin):
        try:
            await world.source.log_in(facts["msisdn"], ask, wrong_otp)
        except ActionRequiredError as error:
            traces.note(error)


async def read_everything(world: World, worker: ShardWorker) -> None:
    world.bank.step()
    await world.read_once(worker)
    world.clock.jump(1801)  # type: ignore[attr-defined]
    await world.read_once(worker)


async def live(world: World, traces: Traces) -> None:
    await mistype(world, traces, "adult")
    await world.link(*LABELS)
    async with world.working() as worker:
        await worker.sweep()
        for number, kind in enumerate(kind for kind in KINDS if kind not in {"latency", "trickle", "cut_body"}):
            world.strike(kind, params={"field": ("amount", "id", "counterparty.name", "POINTS")[number % 4]})
            await read_everything(world, worker)
            world.bank.faults.clear()
            waiting = [account for account in worker.accounts.values() if account.waiting_for is not None]
            if waiting:
                await mistype(world, traces, str(waiting[0].link.label))  # type: ignore[union-attr]
                world.clock.jump(901)  # type: ignore[attr-defined]
                await world.link(*[account.link.label for account in waiting if account.link is not None])
                await worker.apply_commands()
        # Entries that nobody can read: what is said of them is sealed, too.
        world.strike("field_missing", path="/accounts/*/transactions", count=None, params={"field": "amount"})
        await read_everything(world, worker)
        world.bank.faults.clear()
        await worker.sweep()
        await worker.checkpoint()
        [adult, *_] = world.msisdn_of
        await world.command("remove", adult)
        await worker.apply_commands()
    async with world.working() as worker:
        await worker.sweep()


async def secrets_of(world: World, otps: list[str]) -> Quarry:
    """What nobody but vault and bank may hold."""
    quarry = Quarry()
    desk = world.bank.desk
    quarry.add("PIN", *PINS.values(), "777555")
    quarry.add("one-time password", *otps, "333111")
    quarry.add("access token", *desk._by_access)
    quarry.add("refresh token", *desk._by_refresh)
    quarry.add("device id", *{session.device_id for session in desk._by_access.values()})
    quarry.add("voucher code", *voucher_codes(world))
    quarry.add("challenge id", *{message.challenge_id for message in desk.messages})
    return quarry


def voucher_codes(world: World) -> set[str]:
    """Whoever knows one can spend the voucher."""
    lives = world.bank.lives.values()
    return {order.voucher.code for life in lives for _, order in life.bookings.newest_first() if order.voucher}


def persons_of(world: World) -> Quarry:
    """Personal data of the holders, and of those whom they deal with."""
    quarry = Quarry()
    for holder in report.holders(world.bank):
        quarry.add("mobile number", holder["msisdn"])
        quarry.add("CNIC", holder["cnic"])
        quarry.add("name", holder["name"], *[part for part in holder["name"].split() if len(part) > 4])
        quarry.add("e-mail address", holder["email"])
        quarry.add("IBAN", *holder["ibans"])
        life = world.bank.life(holder["msisdn"])
        quarry.add("transaction id", *list(life.ledgers["transactions"].history)[:200])
        quarry.add("consumer number", *{bill.consumer_number for _, bill in life.bills.newest_first()})
        for contact in life.contacts.people:
            told = [contact.alias, contact.iban, contact.cnic, contact.name]
            quarry.add("counterparty", *[value for value in told if value is not None and len(value) > 5])
    return quarry


def without_times(log: str) -> str:
    """A log without the moments of its lines: digits by the thousand that nobody planted."""
    return re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "", log)


@pytest.mark.anyio
async def test_a_whole_life_leaves_no_secret_anywhere(
    tmp_path: Path, place: Backend, traces: Traces, otps: list[str]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    async with planted(home, place) as world:
        await live(world, traces)
        secrets, persons = await secrets_of(world, otps), persons_of(world)
        # While everything is still open, so that the write-ahead logs are there as they are.
        for path in files(home):
            assert secrets.hunt(path.name, path.read_bytes()) == set()
            if path.name.startswith("vault"):
                assert persons.hunt(path.name, path.read_bytes()) == set()
        everything = await place.remains(tmp_path / "copy", event_values=True)
        assert secrets.hunt("journal", everything) == set()
        sealed = await place.remains(tmp_path / "copy", event_values=False)
        assert persons.hunt("journal without the values of events", sealed) == set()
        stored = [event async for event in world.reader.read_events((*DOMAINS, LIFECYCLE))]
        assert len(stored) > 300
        assert len(await place.quarantined()) > 10
        assert persons.hunt("events", b"".join(event.value for event in stored)), "it finds what is known to be there"
        addressed = repr([(event.topic, event.key, event.headers) for event in stored])
        for key in {*(event.key for event in stored), *(await world.reader.links())}:
            assert key.encode() in sealed, "what was hunted through is what is there"
        print(f"seed {SEED}: {len(stored)} events, {len(traces.exceptions)} exceptions, {len(persons)} needles")
    said = without_times(traces.log.getvalue())
    assert said.count("read_failed") > 10
    for quarry in (secrets, persons):
        assert quarry.hunt("keys and headers", addressed) == set()
        assert quarry.hunt("log", said) == set()
        assert quarry.hunt("library log", traces.library.getvalue()) == set()
        for text in traces.exceptions:
            assert quarry.hunt("exception", text) == set()
    for path in files(home):
        assert secrets.hunt(path.name, path.read_bytes()) == set()


@pytest.mark.anyio
async def test_a_leak_on_purpose_is_found(tmp_path: Path, place: Backend, traces: Traces, otps: list[str]) -> None:
    """The hunt's own proof: each leak, in whatever form, and nothing before it."""
    async with planted(tmp_path, place) as world:
        await world.link("adult")
        secrets, persons = await secrets_of(world, otps), persons_of(world)
        [token, *_] = world.bank.desk._by_access
        [account_id] = world.msisdn_of
        holder = world.holder("adult")
        assert secrets.hunt("log", traces.log.getvalue()) | persons.hunt("log", traces.log.getvalue()) == set()
        assert "reason" in FIELDS
        leaks = {
            "access token": [token, token.encode().hex(), base64.b64encode(f"x{token}".encode()).decode()],
            "one-time password": [otps[-1], base64.b64encode(f"ab{otps[-1]}".encode()).decode()],
            "PIN": [f"pin={PINS['adult']}!"],
            "voucher code": [f"code={min(voucher_codes(world))}"],
        }
        for what, forms in leaks.items():
            for form in forms:
                traces.log.truncate(0)
                logger("test").info("leak", reason=form)
                assert what in {find.what for find in secrets.hunt("log", traces.log.getvalue())}, (what, form)
        digits = holder["msisdn"].removeprefix("+92")
        for leak in (
            f"0{digits}",
            holder["msisdn"].replace("+", "%2B"),
            holder["cnic"].replace("-", ""),
            holder["name"].upper(),
        ):
            traces.log.truncate(0)
            logger("test").info("leak", reason=leak)
            assert persons.hunt("log", traces.log.getvalue()), "a form of personal data went by unseen"
        # A journal in which something is not sealed, or a header says too much.
        assert persons.hunt("journal", await place.remains(tmp_path / "before", event_values=False)) == set()
        leaky = Commit(
            0,
            1,
            events=(EventRecord("loyalty", account_id, b"", (("ce_subject", holder["msisdn"].encode()),)),),
            state=(StateRecord(f"{account_id}/loyalty", holder["name"].encode()),),
            quarantine=(QuarantineRecord(account_id, holder["cnic"].encode()),),
        )
        await (await world.journal.acquire(0)).commit(leaky)
        found = persons.hunt("journal", await place.remains(tmp_path / "after", event_values=False))
        assert {find.what for find in found} >= {"mobile number", "name", "CNIC"}
        # A session that is not sealed.
        leaking = tmp_path / "leak.db"
        leaking.write_bytes(b"\0\1" + holder["name"].encode("utf-16-le") + b"\0" + token.encode())
        assert {find.what for find in persons.hunt("file", leaking.read_bytes())} >= {"name"}
        assert {find.what for find in secrets.hunt("file", leaking.read_bytes())} >= {"access token"}
        assert account_id.startswith("acc_")
