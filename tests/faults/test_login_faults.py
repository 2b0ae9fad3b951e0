"""What a login meets at the bank: wrong and expired passwords, a lock, an upgrade; and what is left behind by it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from connector.errors import ActionRequiredError
from connector.sandbox import report
from connector.sources.zindigi.login import OtpRequest
from tests.contract.journal.backends import Backend
from tests.support.virtual_clock import VirtualClock
from tests.support.world import World, people

LOGIN = "/auth/session"


class Holder:
    """A person at the prompts, who can mistype."""

    def __init__(self, world: World, label: str, *, wrong_pins: int = 0, wrong_otps: int = 0) -> None:
        self.world = world
        self.facts = world.holder(label)
        self.wrong_pins = wrong_pins
        self.wrong_otps = wrong_otps
        self.asked: list[OtpRequest] = []

    async def ask_pin(self) -> str:
        self.wrong_pins -= 1
        return "0000" if self.wrong_pins >= 0 else str(self.facts["pin"])

    async def ask_otp(self, request: OtpRequest) -> str:
        self.asked.append(request)
        self.wrong_otps -= 1
        otp: Any = report.inbox(self.world.bank, self.facts["msisdn"])["otp"]
        return str((int(otp) + 1) % 1_000_000).zfill(6) if self.wrong_otps >= 0 else str(otp)

    async def log_in(self) -> str:
        session = await self.world.source.log_in(self.facts["msisdn"], self.ask_pin, self.ask_otp)
        return session.account_id

    async def has_session(self) -> bool:
        account_id = await self.world.vault.account_for(self.facts["msisdn"])
        return await self.world.vault.load_session(account_id) is not None


@pytest.fixture
async def world(tmp_path: Path, place: Backend) -> AsyncIterator[World]:
    async with World.open(tmp_path, people("adult"), seed=8, clock=VirtualClock(), place=place) as opened:
        yield opened


@pytest.mark.anyio
async def test_a_mistyped_otp_is_asked_for_again(world: World) -> None:
    holder = Holder(world, "adult", wrong_otps=2)
    await holder.log_in()
    assert [request.attempts_left for request in holder.asked] == [None, 2, 1]
    assert await holder.has_session()


@pytest.mark.anyio
async def test_an_otp_that_is_wrong_to_the_last_attempt_leaves_nothing(world: World) -> None:
    holder = Holder(world, "adult", wrong_otps=9)
    with pytest.raises(ActionRequiredError) as caught:
        await holder.log_in()
    assert caught.value.reason == "otp"
    assert len(holder.asked) == 3
    assert not await holder.has_session()
    # The next login begins anew.
    await Holder(world, "adult").log_in()


@pytest.mark.anyio
async def test_an_otp_that_expired_is_replaced_once(world: World) -> None:
    world.strike("otp_expired")
    holder = Holder(world, "adult")
    await holder.log_in()
    assert len(holder.asked) == 2
    assert await holder.has_session()


@pytest.mark.anyio
async def test_otps_that_always_expire_end_the_login(world: World) -> None:
    world.strike("otp_expired", count=None)
    holder = Holder(world, "adult")
    with pytest.raises(ActionRequiredError) as caught:
        await holder.log_in()
    assert caught.value.reason == "otp"
    assert len(holder.asked) == 2
    assert not await holder.has_session()


@pytest.mark.anyio
async def test_a_wrong_pin_is_sent_once_a_login_and_three_lock_the_account(world: World) -> None:
    for attempt in range(1, 3):
        with pytest.raises(ActionRequiredError) as caught:
            await Holder(world, "adult", wrong_pins=9).log_in()
        assert caught.value.reason == "pin"
        assert world.calls(LOGIN) == attempt
    for _ in range(2):
        with pytest.raises(ActionRequiredError) as caught:
            await Holder(world, "adult", wrong_pins=1).log_in()
        assert caught.value.reason == "locked"
        assert "until" in str(caught.value)
    assert not await Holder(world, "adult").has_session()
    world.clock.jump(world.bank.scenario.front_door.lock_seconds)  # type: ignore[attr-defined]
    await Holder(world, "adult").log_in()


@pytest.mark.anyio
async def test_an_app_that_is_too_old_is_told_with_the_version_that_is_wanted(world: World) -> None:
    world.strike("app_upgrade", params={"minimum": "9.1.0"})
    with pytest.raises(ActionRequiredError, match=r"9\.1\.0") as caught:
        await Holder(world, "adult").log_in()
    assert caught.value.reason == "app_upgrade"
    assert world.calls(LOGIN) == 1


@pytest.mark.anyio
async def test_a_holder_who_fails_to_log_in_again_does_not_lose_the_session_that_works(world: World) -> None:
    [account_id] = await world.link("adult")
    with pytest.raises(ActionRequiredError):
        await Holder(world, "adult", wrong_pins=1).log_in()
    async with world.working() as worker:
        await worker.sweep()
        await worker.sweep()
    await world.assert_sound(lockstep=True)
    assert await world.links_told(account_id) == ["ConsentGranted", "LinkActivated"]


@pytest.mark.anyio
async def test_the_connector_itself_never_logs_in(world: World) -> None:
    await world.link("adult")
    logins = world.calls(LOGIN)
    otps = len(world.bank.desk.messages)
    world.strike("session_ended")
    async with world.working() as worker:
        for _ in range(3):
            await world.read_once(worker)
    assert world.calls(LOGIN) == logins
    assert len(world.bank.desk.messages) == otps
