"""Verifying a Kafka journal: what its event topics add up to, held against its state."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from connector.avro import encode_event, read_event
from connector.errors import ConfigurationError
from connector.events import cloud_event_headers
from connector.journal.kafka.topics import STATE
from connector.proving.broker import Broker
from connector.runtime.new_branch import rebuild_state
from tests.contract.journal.backends import KafkaBackend
from tests.kafka.test_going_back import put, state_of
from tests.kafka.test_rebuild import HOLDER, at, findings, lived, lose_state, place_of, settings_of, settled
from tests.support.world import MASTER_KEY

pytestmark = pytest.mark.anyio


async def test_verify_compares_events_with_state(tmp_path: Path, broker: Broker) -> None:
    async with at(tmp_path, broker) as world:
        pending = await lived(world)
        place, options = place_of(world), place_of(world).options
        older = await state_of(place)
        # The entity that is posted now was pending by the row of before.
        world.mutate(holder=HOLDER, domain="transactions", op="post", way="same_id", entity=pending)
        async with world.working() as worker:
            await settled(worker)
        assert await findings(world) == []
        newer = await state_of(place)
        [row] = [key for key in older if key.count(b"/") == 3 and b"/transactions/" in key and older[key] != newer[key]]
        await put(place, STATE, 0, [(row, older[row])])
        said = await findings(world)
        assert any("do not add up" in one for one in said)
        assert any(
            "transactions: of" in one and "is version 1 in the state, and 2 by its events" in one for one in said
        )
        await put(place, STATE, 0, [(row, newer[row])])
        assert await findings(world) == []
        # An event that somebody else has appended: one that stood there before, and one that goes on from the last.
        last = (await place.records("lending", committed=True))[-1]
        await forge(place, "lending", last.key, last.value, last.headers)
        said = await findings(world)
        assert len([one for one in said if "lending: of" in one and "stands again" in one]) == 1, said
        event = read_event("lending", last.value)
        forged = replace(event, sequence=event.sequence + 1)
        number = int(dict(last.headers)["commit"])
        headers = cloud_event_headers(forged, "lending", number)
        await forge(place, "lending", last.key, encode_event("lending", forged), headers)
        said = await findings(world)
        assert any("lending: of" in one and "the state is behind" in one for one in said), said
        assert any("of its entity, after" in one or "should stand" in one for one in said), said
        # Neither is built upon.
        await lose_state(world)
        with pytest.raises(ConfigurationError, match=f"{options.prefix}.lending: of acc_.*stands again"):
            await rebuild_state(settings_of(place, tmp_path), MASTER_KEY, world.clock)


async def forge(
    place: KafkaBackend, topic: str, key: bytes, value: bytes, headers: Iterable[tuple[str, bytes]]
) -> None:
    """An event of somebody else's making."""
    producer = AIOKafkaProducer(**place.options.client_arguments())
    await producer.start()
    try:
        await producer.send_and_wait(place.options.topic(topic), value, key=key, partition=0, headers=list(headers))
    finally:
        await producer.stop()
