"""The state topic is lost, and made anew from the event topics; what is not whole is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from connector.clock import SystemClock
from connector.errors import ConfigurationError, JournalError
from connector.events import Event
from connector.fold import StreamFold
from connector.journal.kafka.rewriting import StateRewriting
from connector.journal.kafka.topics import STATE, apply_topics
from connector.journal.registry_options import RegistryOptions
from connector.proving.broker import Broker
from connector.proving.registry import Registry
from connector.runtime import rebuilding
from connector.runtime.branch import MarkKeeper
from connector.runtime.new_branch import begin_epoch, rebuild_state
from connector.runtime.shard_worker import ShardWorker
from connector.runtime.verify import verify
from connector.sandbox.faults import Kind
from connector.sandbox.oracle import judge
from connector.settings import JournalSettings, KafkaSettings, RegistrySettings, Settings, VaultSettings
from connector.state import ResourceMeta
from tests.conftest import QUICK
from tests.contract.journal.backends import KafkaBackend, fresh_kafka
from tests.faults.test_branch import folded
from tests.integration.test_backfill import live_until_page
from tests.kafka.test_going_back import put, state_of
from tests.support.activity import Counted
from tests.support.world import MASTER_KEY, World, people

pytestmark = pytest.mark.anyio

HOLDER = "borrower"
OTHER = {"of": "another type"}
MEANWHILE = {"BalanceChanged", "TransactionPosted", "TransactionRemoved", "PointsRedeemed", "VoucherIssued"}
QUICKLY = pytest.param(3, 1)
AT_LENGTH = pytest.param(70, 6, marks=pytest.mark.proof)
"""So long that much has left the window."""


def settings_of(place: KafkaBackend, directory: Path) -> Settings:
    options = place.options
    by_ids = options.registry is not None
    return Settings(
        journal=JournalSettings(
            kind="kafka", shard_count=options.shard_count, framing="confluent" if by_ids else "single-object"
        ),
        registry=RegistrySettings(url=options.registry.url) if options.registry is not None else RegistrySettings(),
        kafka=KafkaSettings(bootstrap_servers=options.bootstrap_servers, prefix=options.prefix, replication_factor=1),
        vault=VaultSettings(path=directory / "vault.db", master_key_file=directory / "master.key"),
    )


@asynccontextmanager
async def at(directory: Path, broker: Broker, *, history_days: int = 3) -> AsyncIterator[World]:
    """One holder, linked, over topics of their own."""
    place = await fresh_kafka(broker.bootstrap_servers, shard_count=1, tuning=QUICK)
    async with World.open(directory, people(HOLDER, history_days=history_days), place=place) as world:
        await world.link(HOLDER)
        try:
            yield world
        finally:
            await world.journal.close()


async def lived(world: World, *, rounds: int = 1) -> str:
    """Some of everything: steps of the bank, and what they seldom bring; an entry that is pending still."""
    async with world.working() as worker:
        keeper = MarkKeeper(0, worker.commits.branch, world.vault, world.clock)
        await worker.sweep()
        pending = []
        for _ in range(3):
            world.mutate(holder=HOLDER, domain="transactions", op="add", pending=True)
            pending.append(newest(world))
        await settled(worker)
        world.mutate(holder=HOLDER, domain="transactions", op="post", way="replaces", entity=pending[0])
        world.mutate(holder=HOLDER, domain="transactions", op="post", way="same_id", entity=pending[1])
        world.mutate(holder=HOLDER, domain="transactions", op="amend", age_days=2)
        world.mutate(holder=HOLDER, domain="transactions", op="remove", entity=pending[2])
        await settled(worker)
        for _ in range(rounds):
            world.bank.step()
            await settled(worker)
        world.mutate(holder=HOLDER, domain="transactions", op="add", pending=True)
        pending.append(newest(world))
        await settled(worker)
        await worker.checkpoint()
        await keeper.note()
    return pending[-1]


async def settled(worker: ShardWorker) -> None:
    """One read shows what is gone, the second one proves it."""
    await worker.sweep()
    await worker.sweep()


def newest(world: World) -> str:
    return str(world.bank.life(HOLDER).ledgers["transactions"].changes[-1].entity)


async def quarantined(world: World, pending: str) -> None:
    """An entry that is known (not the one that is `pending`), and one that never was, in a form that nobody reads."""
    present = world.bank.life(HOLDER).ledgers["transactions"].present
    known = next(entity for entity in reversed(present) if entity != pending)
    world.mutate(holder=HOLDER, domain="transactions", op="add")
    kinds: tuple[tuple[Kind, str], ...] = (("field_retyped", known), ("field_renamed", newest(world)))
    for kind, entity in kinds:
        broken = {"field": "status", "value": OTHER, "entity": entity}
        world.strike(kind, path="/accounts/*/transactions", count=None, params=broken)
    async with world.working() as worker:
        await settled(worker)
    assert len(await world.quarantine()) == 2


async def reopen(world: World) -> None:
    """As after a restart of the process."""
    await world.source.close()
    await world.journal.close()
    world.journal = Counted(await world.place.open_journal(), world.activity)  # type: ignore[assignment]
    world.new_source()


async def lose_state(world: World) -> None:
    """The topic is deleted, and made again as an operator would."""
    options = place_of(world).options
    admin = AIOKafkaAdminClient(**options.client_arguments())
    await admin.start()
    try:
        await admin.delete_topics([options.topic(STATE)])
    finally:
        await admin.close()
    await apply_topics(options, SystemClock())


async def expire(world: World, topic: str, before: int) -> None:
    """The oldest records of a topic are gone, as after its retention."""
    options = place_of(world).options
    admin = AIOKafkaAdminClient(**options.client_arguments())
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(options.topic(topic), 0): RecordsToDelete(before_offset=before)})
    finally:
        await admin.close()


def place_of(world: World) -> KafkaBackend:
    assert isinstance(world.place, KafkaBackend)
    return world.place


async def findings(world: World, notes: list[str] | None = None) -> list[str]:
    settings = settings_of(place_of(world), world.directory)
    said = [] if notes is None else notes
    return [str(one) for one in await verify(settings, MASTER_KEY, world.clock, said.append)]


async def rebuilt(world: World) -> str:
    made = await rebuild_state(settings_of(place_of(world), world.directory), MASTER_KEY, world.clock)
    await reopen(world)
    return made.epoch


async def refused(world: World) -> str:
    """What a start says that must not be."""
    with pytest.raises(ConfigurationError) as caught:
        async with world.working():
            pass
    return str(caught.value)


@pytest.mark.parametrize(("history_days", "rounds"), [QUICKLY, AT_LENGTH])
async def test_a_lost_state_is_made_anew_and_nothing_is_told_twice(
    tmp_path: Path, broker: Broker, history_days: int, rounds: int
) -> None:
    async with at(tmp_path, broker, history_days=history_days) as world:
        pending = await lived(world, rounds=rounds)
        await quarantined(world, pending)
        assert await findings(world) == []
        before = await world.events()
        parent = world.journal.epoch
        await lose_state(world)
        await reopen(world)
        # The vault knows better before anything is fenced.
        assert "newest records are lost" in await refused(world)
        assert ["rebuild" in one for one in await findings(world)] == [True]
        # The bank goes on meanwhile.
        world.mutate(holder=HOLDER, domain="transactions", op="add")
        world.mutate(holder=HOLDER, domain="loyalty", op="redeem")
        world.mutate(holder=HOLDER, domain="transactions", op="remove", entity=pending)
        epoch = await rebuilt(world)
        assert epoch == world.journal.epoch != parent
        assert await findings(world) == []
        async with world.working() as worker:
            began = (await world.events())[len(before) :]
            assert {event["event_type"] for _, event in began} == {"EpochBegan"}
            assert {(event["epoch"], event["reason"]) for _, event in began} == {(epoch, parent)}
            # Every resource is read completely before anything is claimed.
            metas = [
                one.meta
                for account in worker.accounts.values()
                for stream in account.streams.values()
                for one in stream.resources.values()
            ]
            assert all(meta.swept_at is None and meta.joined_to is None for meta in metas)
            # A long feed is told in chunks first, and swept then.
            await worker.sweep()
            await settled(worker)
            told = [event for _, event in (await world.events())[len(before) + len(began) :]]
            assert {event["event_type"] for event in told} == MEANWHILE
            assert len({event["entity_id"] for event in told}) == len(told)
            world.bank.faults.clear()
            await settled(worker)
            await worker.checkpoint()
        await world.assert_sound()
        assert await findings(world) == []
        over = [event["event_type"] for _, event in await world.events() if "Entry" in event["event_type"]]
        assert Counter(over) == {"EntryQuarantined": 2, "EntryReadable": 2}


@pytest.mark.proof
async def test_where_events_expired_it_is_refused_and_a_new_epoch_tells_the_rest_anew(
    tmp_path: Path, broker: Broker
) -> None:
    async with at(tmp_path, broker) as world:
        await lived(world)
        await expire(world, "lending", 5)
        notes: list[str] = []
        assert await findings(world, notes) == []
        assert any("lending: its oldest events have expired" in note for note in notes)
        assert any("lending: of 1 streams the oldest events are gone" in note for note in notes)
        await lose_state(world)
        settings = settings_of(place_of(world), tmp_path)
        ends = await world.place.ends()
        with pytest.raises(
            ConfigurationError, match=r"lending: the oldest events of partition 0 have expired.*new-epo"
        ):
            await rebuild_state(settings, MASTER_KEY, world.clock)
        assert await world.place.ends() == ends
        parent, epoch = world.journal.epoch, await begin_epoch(settings, MASTER_KEY, world.clock)
        await reopen(world)
        async with world.working() as worker:
            await settled(worker)
            await worker.checkpoint()
        told = await world.events()
        went_on = {topic for topic, event in told if event["event_type"] == "EpochBegan" and event["epoch"] == epoch}
        assert {"transactions", "loyalty", "account", "lifecycle"} <= went_on
        assert "lending" not in went_on
        [shard] = [
            event for _, event in told if event["event_type"] == "EpochBegan" and event["account_id"][:5] == "shard"
        ]
        assert shard["reason"] == parent
        anew = [event for topic, event in told if topic == "lending" and event["epoch"] == epoch]
        assert [event["sequence"] for event in anew] == list(range(1, len(anew) + 1))
        # What holds by the words of EpochBegan, the old stream being void from its beginning, is the bank's.
        holds = [(topic, event) for topic, event in told if topic != "lending" or event["epoch"] == epoch]
        verdict = judge(world.truth(), holds, world.msisdn_of)
        assert [row for row in verdict.rows.values() if row.fold_differs or row.illegal or row.out_of_order] == []
        assert folded(told) == folded(holds)
        assert await findings(world) == []


@pytest.mark.proof
@pytest.mark.parametrize(("pages", "broken"), [(7, False), (18, False), (18, True)])
async def test_a_first_sync_that_had_not_come_to_its_end_does_so(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch, pages: int, broken: bool
) -> None:
    """The second time much of it has left the window already, and is shown again. Broken on purpose: without bound."""
    place = await fresh_kafka(broker.bootstrap_servers, shard_count=1, tuning=QUICK)
    scenario = people("account-1", scenario="peers", history_days=80)
    async with World.open(tmp_path, scenario, seed=5, place=place, page_limit=10) as world:
        [account_id] = await world.link("account-1")
        await live_until_page(world, pages)
        known = {event["entity_id"] for event in await world.told("transactions")}
        if broken:
            monkeypatch.setattr(rebuilding, "meta_of", lambda _fold, _resource: ResourceMeta())
        assert await world.streams_told("transactions", account_id) == ["StreamOpened"]
        await lose_state(world)
        await rebuilt(world)
        assert await findings(world) == []
        try:
            async with world.working() as worker:
                for _ in range(3):
                    await worker.sweep()
            told = await world.streams_told("transactions", account_id)
            assert [name.split()[0] for name in told] == ["StreamOpened", "EpochBegan", "BackfillCompleted"]
            created = Counter(event["entity_id"] for event in await world.told("transactions") if event["op"] == "c")
            if broken:
                assert max(created.values()) > 1
                assert not (await world.verdict()).sound
                assert any("is version 1 of its entity, after 1" in one for one in await findings(world))
                return
            assert set(created.values()) == {1}
            assert known < created.keys()
            await world.assert_sound()
            assert await findings(world) == []
        finally:
            await world.journal.close()


@pytest.mark.proof
async def test_every_shard_is_made_anew_from_events_that_are_framed_by_ids(
    tmp_path: Path, broker: Broker, registry: Registry
) -> None:
    tuning = {**QUICK, "registry": RegistryOptions(registry.url, auto_register=True)}
    place = await fresh_kafka(broker.bootstrap_servers, tuning=tuning)
    async with World.open(tmp_path, people(HOLDER, "teen", "adult", history_days=2), place=place) as world:
        await world.link()
        await every_shard(world)
        assert await findings(world) == []
        before = await world.events()
        await lose_state(world)
        await rebuilt(world)
        try:
            assert await findings(world) == []
            await every_shard(world)
            told = (await world.events())[len(before) :]
            assert {event["event_type"] for _, event in told} == {"EpochBegan", "Checkpoint"}
            assert await findings(world) == []
            await world.assert_sound()
        finally:
            await world.journal.close()


async def every_shard(world: World) -> None:
    for number in range(place_of(world).shard_count):
        worker = ShardWorker(
            number,
            journal=world.journal,
            vault=world.vault,
            source=world.source,
            clock=world.clock,
            options=world.options,
            random=Random(1),
        )
        async with worker.opened():
            await worker.apply_commands()
            await settled(worker)
            await worker.checkpoint()


@pytest.mark.proof
async def test_what_a_later_branch_made_void_is_not_folded(tmp_path: Path, broker: Broker) -> None:
    async with at(tmp_path, broker) as world:
        pending = await lived(world)
        place, settings = place_of(world), settings_of(place_of(world), tmp_path)
        older = await state_of(place)
        world.mutate(holder=HOLDER, domain="transactions", op="add")
        world.mutate(holder=HOLDER, domain="transactions", op="post", way="replaces", entity=pending)
        async with world.working() as worker:
            await settled(worker)
            await worker.checkpoint()
        gone = dict.fromkeys((await state_of(place)).keys() - older.keys())
        await put(place, STATE, 0, [*older.items(), *gone.items()])
        await begin_epoch(settings, MASTER_KEY, world.clock)
        await reopen(world)
        world.mutate(holder=HOLDER, domain="transactions", op="amend")
        async with world.working() as worker:
            await settled(worker)
            await worker.checkpoint()
        assert await findings(world) == []
        before = await world.events()
        assert len({event["epoch"] for _, event in before}) == 2
        # Damaged this time: a row that does not open, and one that nobody wrote.
        row = next(key for key in await state_of(place) if key.count(b"/") == 3)
        await put(place, STATE, 0, [(row, b"junk"), (b"acc_x/lending/loan/00", b"junk")])
        assert any("cannot be opened" in one for one in await findings(world))
        await rebuilt(world)
        assert b"acc_x/lending/loan/00" not in {key for key, value in (await state_of(place)).items() if value}
        assert await findings(world) == []
        async with world.working() as worker:
            await settled(worker)
        told = (await world.events())[len(before) :]
        assert {event["event_type"] for _, event in told} == {"EpochBegan"}
        assert folded([*before, *told]) == folded(before)


@pytest.mark.proof
@pytest.mark.parametrize("broken", ["removals", "versions"])
async def test_a_rebuild_that_is_broken_on_purpose_is_noticed(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    whole = StreamFold._take_change

    def take_change(self: StreamFold, event: Event) -> None:
        if broken == "removals" and event.op == "d":
            return
        whole(self, event)
        if broken == "versions":
            self.entities[event.resource, event.entity_id].version = 1

    async with at(tmp_path, broker) as world:
        await lived(world)
        await lose_state(world)
        monkeypatch.setattr(StreamFold, "_take_change", take_change)
        if broken == "versions":
            with pytest.raises(ConfigurationError, match="is version 3 of its entity, after 1"):
                await rebuilt(world)
            return
        await rebuilt(world)
        monkeypatch.undo()
        assert any("gone by" in one or "there by" in one or "is version" in one for one in await findings(world))
        async with world.working() as worker:
            await settled(worker)
        assert not (await world.verdict()).sound


@pytest.mark.proof
async def test_a_rebuild_that_ends_half_done_is_refused_and_may_be_run_again(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise JournalError("the brokers are away")

    async with at(tmp_path, broker) as world:
        await lived(world)
        with monkeypatch.context() as broken:
            broken.setattr(StateRewriting, "write", away)
            with pytest.raises(JournalError, match="are away"):
                await rebuilt(world)
        await reopen(world)
        assert "it is another branch" in await refused(world)
        assert any("there are events, and no state" in one for one in await findings(world))
        await rebuilt(world)
        assert await findings(world) == []
        async with world.working() as worker:
            await settled(worker)
        await world.assert_sound()
