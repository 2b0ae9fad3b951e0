from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from shutil import which

import anyio
import pytest

from connector.avro import encode_event
from connector.cadence import DailySnapshot, PeriodicSnapshot
from connector.cli import exits
from connector.cli.consent_form import WIDTH, write_consent_form
from connector.cli.exits import exit_code
from connector.clock import SystemClock
from connector.consent import Consent
from connector.domains.lifecycle import LinkStatus
from connector.domains.loyalty import PointsEntry
from connector.domains.model import KARACHI
from connector.domains.registry import DOMAINS
from connector.errors import (
    ActionRequiredError,
    ConfigurationError,
    ConnectorError,
    ConsentError,
    DataError,
    FencedError,
    RateLimitedError,
)
from connector.events import Event, Provenance
from connector.journal.partition import shard_of
from connector.journal.sqlite import SqliteJournal, SqliteReader
from connector.links import Command, Link, apply_command
from connector.ports import Commit, EventRecord
from connector.settings import KEYS, Settings

Zindigi = Callable[..., tuple[int, str, str]]
NOW = datetime.now(UTC)  # noqa: TID251  # consents are compared to the real clock of the command line
ACCOUNT = "acc_abcdefgh123"
OTHER = "acc_zyxwvuts987"
PATH = Path("data/journal.db")


def a_link(account_id: str, label: str = "mine", *, ended: bool = False) -> Link:
    until = NOW + timedelta(days=-1 if ended else 30)
    consent = Consent("con_1", frozenset({"loyalty"}), NOW - timedelta(days=60), until, "00" * 32, "en")
    return Link(account_id, 1, "app-session", label, frozenset({"loyalty"}), consent)


def an_event(account_id: str, sequence: int, record: PointsEntry | LinkStatus, topic: str) -> EventRecord:
    source = Provenance("app-session", "z-miles", "v2", "1", "live")
    name = "PointsEarned" if topic == "loyalty" else "LinkActivated"
    event = Event(
        f"{sequence:032x}", name, "c", account_id, record.entity_id, 1, sequence, topic,
        None, None, NOW, "con_1", source, after=record,
    )  # fmt: skip
    return EventRecord(topic, account_id, encode_event(topic, event), (("ce_id", b"x"),))


def points(entry_id: int, amount: int) -> PointsEntry:
    return PointsEntry(entry_id, "EARNED", "EARN", amount, NOW, "now", "PLANTED-DESCRIPTION", None, None)


def journal_with(*commits: Commit) -> None:
    async def fill() -> None:
        journal = await SqliteJournal.open(PATH, shard_count=1)
        shard = await journal.acquire(0)
        for commit in commits:
            await shard.commit(commit)
        await journal.close()

    anyio.run(fill)


def pending() -> list[Command]:
    async def look() -> list[Command]:
        reader = await SqliteReader.open(PATH, clock=SystemClock())
        try:
            return list(await reader.pending_commands())
        finally:
            await reader.close()

    return anyio.run(look)


def append(command: Command) -> None:
    async def put() -> None:
        reader = await SqliteReader.open(PATH, clock=SystemClock())
        try:
            await reader.append_command(command)
        finally:
            await reader.close()

    anyio.run(put)


def linked() -> None:
    journal_with(
        Commit(
            0,
            1,
            (
                an_event(ACCOUNT, 1, points(1, 120), "loyalty"),
                an_event(OTHER, 1, points(7, -5), "loyalty"),
                an_event(
                    OTHER, 1, LinkStatus("ACTION_REQUIRED", "otp", "app-session", ("loyalty",), 1, None), "lifecycle"
                ),
            ),
            (),
            links=(a_link(ACCOUNT), a_link(OTHER, "other")),
        )
    )


class TestTheFrame:
    def test_help_fits_a_terminal_and_has_examples(self, zindigi: Zindigi) -> None:
        code, out, _ = zindigi("--help")
        assert code == exits.OK
        assert "Examples:" in out
        for command in ("run", "sandbox", "link", "events", "config", "vault"):
            assert f"\n  {command}: " in out
        assert max(map(len, out.splitlines())) <= 80
        assert len(out.splitlines()) <= 40
        assert "\x1b" not in out

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_completion_is_a_script_of_the_shell(self, zindigi: Zindigi, shell: str) -> None:
        code, out, _ = zindigi("completion", shell)
        assert code == exits.OK
        assert "follow" in out
        if which(shell):
            subprocess.run([shell, "-n"], input=out, text=True, check=True)

    def test_settings_are_written_once_as_they_are_shipped(self, zindigi: Zindigi) -> None:
        shipped = Path(__file__).parents[3] / "config" / "connector.toml"
        elsewhere = Path("somewhere") / "new.toml"
        code, out, err = zindigi("config", "init", str(elsewhere))
        assert (code, out.strip()) == (exits.OK, str(elsewhere))
        assert "zindigi vault init" in err
        assert elsewhere.read_text(encoding="utf-8") == shipped.read_text(encoding="utf-8")
        elsewhere.write_text("# mine\n", encoding="utf-8")
        code, _, err = zindigi("config", "init", str(elsewhere))
        assert (code, elsewhere.read_text(encoding="utf-8")) == (exits.USAGE, "# mine\n")
        assert "is there already: nothing was written" in err
        code, _, err = zindigi("config", "init", "/proc/zindigi.toml")
        assert code == exits.CONFIGURATION
        assert "cannot be written" in err

    def test_every_setting_that_is_written_is_one(self, zindigi: Zindigi) -> None:
        assert zindigi("config", "init")[0] == exits.OK
        code, out, _ = zindigi("config", "show")
        assert code == exits.OK
        assert "config/connector.toml, line" in out

    @pytest.mark.parametrize(
        "arguments",
        [("link", "--help"), ("link", "connect", "--help"), ("events", "--help"), ("run", "--help"), ("sandbox", "-h")],
    )
    def test_every_command_explains_itself(self, zindigi: Zindigi, arguments: tuple[str, ...]) -> None:
        code, out, _ = zindigi(*arguments)
        assert code == exits.OK
        assert "Usage: zindigi" in out
        assert max(map(len, out.splitlines())) <= 80

    def test_the_version(self, zindigi: Zindigi) -> None:
        assert zindigi("--version")[:2] == (0, "zindigi 0.1.0\n")

    @pytest.mark.parametrize(
        "arguments", [("lnik",), ("link", "list", "--jsno"), ("events", "--account"), ("link", "pause")]
    )
    def test_wrong_usage(self, zindigi: Zindigi, arguments: tuple[str, ...]) -> None:
        code, out, err = zindigi(*arguments)
        assert (code, out) == (exits.USAGE, "")
        assert err

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (ConfigurationError(""), 78),
            (ActionRequiredError("pin", ""), 77),
            (ConsentError(""), 77),
            (RateLimitedError(""), 75),
            (FencedError(""), 76),
            (DataError(""), 1),
            (exits.UsageError(""), 2),
            (exits.DeclinedError(""), 1),
        ],
    )
    def test_exit_codes(self, error: ConnectorError, code: int) -> None:
        assert exit_code(error) == code

    def test_a_wrong_setting_ends_in_78_and_one_readable_line(
        self, zindigi: Zindigi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ZINDIGI_POLLING__PAGE_LIMIT", "many")
        code, _, err = zindigi("config", "show")
        assert code == 78
        assert "polling.page_limit = 'many' ($ZINDIGI_POLLING__PAGE_LIMIT)" in err
        assert "Traceback" not in err

    def test_run_without_a_key_says_where_it_looked(self, zindigi: Zindigi) -> None:
        code, _, err = zindigi("run")
        assert code == 78
        assert "zindigi vault init" in err

    def test_errors_of_several_tasks_are_each_said_once(
        self, zindigi: Zindigi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def run_connector(_settings: Settings, _master_key: bytes, **_reload: object) -> None:
            held = ConfigurationError("the journal is held by pid 7")
            raise ExceptionGroup("shards", [ExceptionGroup("inner", [held, held])])

        zindigi("vault", "init")
        monkeypatch.setattr("connector.runtime.connector.run_connector", run_connector)
        code, _, err = zindigi("run")
        assert (code, err) == (exits.CONFIGURATION, "zindigi: the journal is held by pid 7\n")


class TestConfigAndVault:
    def test_config_show(self, zindigi: Zindigi, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ZINDIGI_VAULT__MASTER_KEY", "UExBTlRFRC1TRUNSRVQ=")
        code, out, _ = zindigi("config", "show", "--set", "log.level=debug")
        assert code == 0
        lines = out.splitlines()
        assert "log.level=debug  # --set" in lines
        assert "vault.master_key=********  # $ZINDIGI_VAULT__MASTER_KEY" in lines
        assert "shutdown_seconds=10.0  # default" in lines
        assert [line.partition("=")[0] for line in lines] == list(KEYS)
        assert "UExBTlRF" not in out

    def test_config_show_json(self, zindigi: Zindigi) -> None:
        shown = json.loads(zindigi("config", "show", "--json")[1])
        assert shown["bank.app_version"] == {"value": "4.2.0", "source": "default"}

    def test_set_needs_key_and_value(self, zindigi: Zindigi) -> None:
        assert zindigi("config", "show", "--set", "log.level")[0] == exits.USAGE

    def test_vault_init_once(self, zindigi: Zindigi) -> None:
        code, out, _ = zindigi("vault", "init")
        assert (code, out) == (0, "data/master.key\n")
        assert Path("data/master.key").stat().st_mode & 0o777 == 0o600
        code, _, err = zindigi("vault", "init")
        assert code == 78
        assert "never overwritten" in err


class TestLinks:
    def test_none_yet(self, zindigi: Zindigi) -> None:
        code, _, err = zindigi("link", "list")
        assert code == 78
        assert "there is no journal" in err
        journal_with()
        code, out, err = zindigi("link", "list")
        assert (code, out) == (0, "")
        assert "no link yet" in err

    def test_list(self, zindigi: Zindigi) -> None:
        linked()
        code, out, _ = zindigi("link", "list")
        heading, mine, other = out.splitlines()
        assert code == 0
        assert heading.split()[:3] == ["ACCOUNT", "LABEL", "STATE"]
        assert mine.split()[:4] == [ACCOUNT, "mine", "active", "loyalty"]
        assert "action_required (otp)" in other

    def test_without_the_vault_s_key_the_list_says_that_it_does_not_know_what_is_held(self, zindigi: Zindigi) -> None:
        linked()
        code, out, err = zindigi("link", "list")
        assert code == 0
        assert out.splitlines()[1].split()[-2:] == ["?", "-"]
        assert "What is held is not shown: no master key" in err
        assert [json.loads(line)["held"] for line in zindigi("link", "list", "--json")[1].splitlines()] == [None, None]

    def test_list_json(self, zindigi: Zindigi) -> None:
        journal_with(Commit(0, 1, (), (), links=(a_link(ACCOUNT, ended=True),)))
        [line] = zindigi("link", "list", "--json")[1].splitlines()
        assert json.loads(line)["state"] == "consent ended"

    @pytest.mark.parametrize("account", [ACCOUNT, "mine", "acc_abc"])
    def test_a_change_is_recorded_as_a_command(self, zindigi: Zindigi, account: str) -> None:
        linked()
        for name in ("pause", "resume"):
            code, _, err = zindigi("link", name, account, "--wait-seconds", "0")
            assert code == 0
            assert "applied as soon as the connector runs" in err
        assert [(command.kind, command.account_id) for command in pending()] == [
            ("pause", ACCOUNT),
            ("resume", ACCOUNT),
        ]

    def test_remove_asks(self, zindigi: Zindigi) -> None:
        linked()
        assert zindigi("link", "remove", "mine", stdin="n\n")[0] == exits.FAILURE
        assert zindigi("link", "remove", "mine")[0] == exits.FAILURE
        assert pending() == []
        assert zindigi("link", "remove", "mine", "--wait-seconds", "0", stdin="y\n")[0] == exits.OK
        assert zindigi("link", "remove", "other", "--yes", "--wait-seconds", "0")[0] == exits.OK
        assert [command.account_id for command in pending()] == [ACCOUNT, OTHER]

    def test_a_cadence_is_shown_changed_and_shown_before_it_is_applied(
        self, zindigi: Zindigi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        linked()
        code, out, _ = zindigi("link", "cadence", "mine")
        assert code == exits.OK
        assert out.splitlines()[1].split() == ["loyalty", "live", "default"]
        code, _, err = zindigi("link", "cadence", "mine", "loyalty=snapshot@06:00,18:00", "--wait-seconds", "0")
        assert code == exits.OK
        assert "applied as soon as the connector runs" in err
        assert [(command.kind, command.cadence) for command in pending()] == [
            ("cadence", (("loyalty", DailySnapshot((time(6), time(18)))),))
        ]
        out = zindigi("link", "cadence", "mine")[1]
        assert out.splitlines()[1].split() == ["loyalty", "snapshot@06:00,18:00", "link", "not", "applied", "yet"]
        assert zindigi("link", "cadence", "mine", "all=default", "--wait-seconds", "0")[0] == exits.OK
        monkeypatch.setenv("ZINDIGI_CADENCE__LOYALTY", "snapshot/6h")
        [line] = zindigi("link", "cadence", "mine", "--json")[1].splitlines()
        assert json.loads(line) == {
            "domain": "loyalty",
            "cadence": "snapshot/6h",
            "from": "$ZINDIGI_CADENCE__LOYALTY",
            "applied": True,
        }

    def test_the_list_shows_a_link_s_own_cadence(self, zindigi: Zindigi) -> None:
        slow = replace(a_link(ACCOUNT), cadence=(("loyalty", PeriodicSnapshot(21_600)),))
        journal_with(Commit(0, 1, (), (), links=(slow, a_link(OTHER, "other"))))
        _, mine, other = zindigi("link", "list")[1].splitlines()
        assert mine.split()[-1] == "loyalty=snapshot/6h"
        assert other.split()[-1] == "-"
        assert json.loads(zindigi("link", "list", "--json")[1].splitlines()[0])["cadence"] == {"loyalty": "snapshot/6h"}

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ("loyalty", "it must be DOMAIN=MODE"),
            ("loyalti=off", "did you mean loyalty?"),
            ("loyalty=hourly", "there are live, live:30s/30m, snapshot@06:00,18:00"),
            ("loyalty=snapshot@6", "'6' is no time of day"),
            ("lending=off", "does not ask for lending"),
        ],
    )
    def test_a_cadence_that_cannot_be_is_told_what_can(self, zindigi: Zindigi, change: str, said: str) -> None:
        linked()
        code, _, err = zindigi("link", "cadence", "mine", change)
        assert code == exits.USAGE
        assert said in err
        assert pending() == []

    @pytest.mark.parametrize("command", [("pause", "mine"), ("resume", "mine"), ("remove", "mine", "--yes")])
    def test_a_removed_link_changes_no_more(self, zindigi: Zindigi, command: tuple[str, ...]) -> None:
        journal_with(Commit(0, 1, (), (), links=(replace(a_link(ACCOUNT), removed=True),)))
        code, _, err = zindigi("link", *command)
        assert code == exits.USAGE
        assert "the link mine is removed" in err
        assert pending() == []

    def test_a_removed_link_that_is_being_connected_again_counts_as_what_it_will_be(self, zindigi: Zindigi) -> None:
        journal_with(Commit(0, 1, (), (), links=(replace(a_link(ACCOUNT), removed=True),)))
        append(Command("cmd_1", "connect", ACCOUNT, NOW, link=a_link(ACCOUNT)))
        assert zindigi("link", "pause", "mine", "--wait-seconds", "0")[0] == exits.OK
        assert [command.kind for command in pending()] == ["connect", "pause"]

    @pytest.mark.parametrize(("account", "said"), [("mien", "did you mean mine?"), ("acc_", "names 2 links")])
    def test_a_link_that_cannot_be_told(self, zindigi: Zindigi, account: str, said: str) -> None:
        linked()
        code, _, err = zindigi("link", "pause", account)
        assert code == exits.USAGE
        assert said in err

    def test_a_running_connector_is_waited_for(self, zindigi: Zindigi, monkeypatch: pytest.MonkeyPatch) -> None:
        linked()

        async def sleep(_clock: SystemClock, _seconds: float) -> None:
            journal = await SqliteJournal.open(PATH, shard_count=1)
            shard = await journal.acquire(0)
            [command] = await shard.pending_commands()
            link = apply_command(a_link(ACCOUNT), command)
            assert link is not None
            await shard.commit(Commit(0, 2, (), (), links=(link,), commands_applied=(command.command_id,)))
            await journal.close()

        monkeypatch.setattr(SystemClock, "sleep", sleep)
        code, _, err = zindigi("link", "pause", "mine")
        assert code == 0
        assert "the connector has applied it" in err
        assert shard_of(ACCOUNT, 1) == 0
        assert "paused" in zindigi("link", "list")[1]


class TestConnectBeforeTheBankIsAsked:
    def test_consent_that_is_not_given_stores_nothing(self, zindigi: Zindigi) -> None:
        zindigi("vault", "init")
        for answer in ("n\n", "", "\n", "yeah\n"):
            code, out, err = zindigi("link", "connect", stdin=answer)
            assert (code, out) == (exits.FAILURE, "")
            assert "CONSENT TO READ" in err
        assert not PATH.exists()

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--days", "0"),
            ("--days", "366"),
            ("--label", "Capital"),
            ("--label", "call-03001234567"),
            ("--domains", "no-such-domain"),
            ("--yes", "--msisdn", "12345"),
            ("--pin", "1234"),
        ],
    )
    def test_wrong_usage(self, zindigi: Zindigi, arguments: tuple[str, ...]) -> None:
        """Said before the holder is asked for anything."""
        zindigi("vault", "init")
        code, _, err = zindigi("link", "connect", *arguments)
        assert code == exits.USAGE
        assert "CONSENT TO READ" not in err
        assert not PATH.exists()

    def test_the_form_says_what_is_hashed(self) -> None:
        form = write_consent_form(frozenset({"loyalty", "lending"}), 30, NOW)
        whole = write_consent_form(frozenset(DOMAINS), 30, NOW)
        assert "- lending: Advance Cash" in form.text
        assert "transactions" not in form.text
        assert "30 days" in form.text
        assert "$" not in form.text
        assert max(map(len, whole.text.splitlines())) <= WIDTH
        consent = form.accepted()
        assert consent.valid_until - consent.valid_from == timedelta(days=30)
        assert consent.domains == {"loyalty", "lending"}
        assert consent.text_sha256 != write_consent_form(frozenset({"loyalty"}), 30, NOW).accepted().text_sha256


class TestEvents:
    def test_lines(self, zindigi: Zindigi) -> None:
        linked()
        code, out, _ = zindigi("events")
        first, second, third = out.splitlines()
        assert code == 0
        day, time = f"{NOW.astimezone(KARACHI):~%Y-%m-%d %H:%M}".split()
        assert first.split() == [day, time, "mine", "PointsEarned", "PLANTED-DESCRIPTION", "+120", "points"]
        assert "-5 points" in second
        assert third.split()[-2:] == ["ACTION_REQUIRED", "otp"]

    def test_raw_shows_bytes_whatever_they_are(self, zindigi: Zindigi) -> None:
        """Also what this release cannot decode: that is when somebody wants the bytes."""
        journal_with(Commit(0, 1, (EventRecord("loyalty", ACCOUNT, b"\x00\xff", ()),), ()))
        assert zindigi("events", "--raw")[:2] == (0, "loyalty\t00ff\n")
        assert zindigi("events", "--raw", "--tail", "1")[:2] == (0, "loyalty\t00ff\n")
        assert zindigi("events")[0] != 0

    def test_filters(self, zindigi: Zindigi) -> None:
        linked()

        def sequences(*arguments: str) -> list[int]:
            code, out, err = zindigi("events", "--json", *arguments)
            assert code == 0, err
            return [json.loads(line)["sequence"] for line in out.splitlines()]

        every = sequences()
        assert sequences("--tail", "2") == every[-2:]
        assert sequences("--limit", "2") == every[:2]
        assert sequences("--limit", "0") == sequences("--tail", "0") == []
        assert sequences("--type", "PointsEarned") == every[:2]
        assert sequences("--type", "LinkActivated", "--type", "PointsEarned") == every
        assert sequences("--entity", "points/1") == every[:1]
        local = NOW.astimezone(KARACHI)
        assert sequences("--since", f"{local:%Y-%m-%d}") == sequences("--since", f"{local:%Y-%m-%dT%H:%M}") == every
        assert sequences("--until", f"{local:%Y-%m-%d}") == []
        assert sequences("--since", f"{local + timedelta(days=1):%Y-%m-%d}") == []
        for wrong, said in (
            (("--since", "yesterday"), "a date like 2026-03-01"),
            (("--type", "PointsEarnt"), "did you mean PointsEarned?"),
            (("--tail", "-1"), "it must be 0 or more"),
        ):
            code, _, err = zindigi("events", *wrong)
            assert (code, said in err) == (exits.USAGE, True)

    def test_only_of_an_account_or_a_domain(self, zindigi: Zindigi) -> None:
        linked()
        assert len(zindigi("events", "--account", "other")[1].splitlines()) == 2
        assert len(zindigi("events", "--domain", "lifecycle")[1].splitlines()) == 1
        assert len(zindigi("events", "--domain", "lifecycle", "--account", "mine")[1].splitlines()) == 0
        code, _, err = zindigi("events", "--domain", "loyality")
        assert code == exits.USAGE
        assert "did you mean loyalty?" in err

    def test_json(self, zindigi: Zindigi) -> None:
        linked()
        events = [json.loads(line) for line in zindigi("events", "--json")[1].splitlines()]
        assert [event["offset"] for event in events] == [0, 1, 0]
        assert events[0]["after"]["points_entry"]["points"] == 120
        assert events[0]["headers"] == {"ce_id": "x"}
        assert events[0]["key"] == ACCOUNT
