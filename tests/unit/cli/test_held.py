"""`zindigi held` on committed heads: what it says before, when it asks, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from connector.cli import exits
from connector.clock import SystemClock
from connector.consent import Consent
from connector.journal.sqlite import SqliteJournal, SqliteReader
from connector.links import Command, Link
from connector.master_key import read_master_key
from connector.ports import Commit
from connector.runtime.held_things import Thing, summary
from connector.runtime.held_words import DECIDABLE, Kind, effect, meaning, next_step
from connector.runtime.sealed_state import Subject
from connector.settings import Settings
from connector.state import Held, ResourceMeta, StreamHead
from connector.vault import SqliteVault

Zindigi = Callable[..., tuple[int, str, str]]
AT = datetime(2026, 3, 1, 4, 30, tzinfo=UTC)
JOURNAL, VAULT = Path("data/journal.db"), Path("data/vault.db")
NUMBERS = {"mine": "+923001110001", "other": "+923001110002"}
REMOVAL = ResourceMeta(backfilled=True, held=Held("mass_removal", AT, 60))
CREATION = ResourceMeta(backfilled=True, held=Held("mass_creation", AT, 44))


def a_link(account_id: str, label: str) -> Link:
    consent = Consent("con_1", frozenset({"transactions"}), AT, AT.replace(year=2066), "00" * 32, "en")
    return Link(account_id, 1, "app-session", label, frozenset({"transactions"}), consent)


@pytest.fixture
def lay(zindigi: Zindigi) -> Callable[..., dict[str, str]]:
    """Have a journal hold heads of `transactions`: by label, resources with what is remembered of them."""

    def laying(
        heads: Mapping[str, Mapping[str, ResourceMeta]], *, status: str = "live", removed: bool = False
    ) -> dict[str, str]:
        zindigi("vault", "init")

        async def fill() -> dict[str, str]:
            vault = await SqliteVault.open(VAULT, read_master_key(Settings()))
            journal = await SqliteJournal.open(JOURNAL, shard_count=1)
            shard = await journal.acquire(0)
            accounts, records = {}, []
            for label, resources in heads.items():
                account_id = accounts[label] = await vault.account_for(NUMBERS[label])
                subject = Subject(account_id, await vault.data_key(account_id))
                head = StreamHead(1, 1, 1, status, dict(resources))  # type: ignore[arg-type]
                records.append(subject.head_record("transactions", head))
            links = tuple(replace(a_link(one, label), removed=removed) for label, one in accounts.items())
            await shard.commit(Commit(0, 1, (), tuple(records), links=links))
            await journal.close()
            await vault.close()
            return accounts

        return anyio.run(fill)

    return laying


def pending() -> list[Command]:
    async def look() -> list[Command]:
        reader = await SqliteReader.open(JOURNAL, clock=SystemClock())
        try:
            return list(await reader.pending_commands())
        finally:
            await reader.close()

    return anyio.run(look)


def test_accept_says_what_it_will_do_asks_and_names_what_it_is_about(
    zindigi: Zindigi, lay: Callable[..., dict[str, str]]
) -> None:
    accounts = lay(
        {"mine": {"transactions:aa": REMOVAL, "transactions:bb": CREATION, "transactions:cc": ResourceMeta()}}
    )
    code, _, err = zindigi("held", "accept", "mine", "transactions", stdin="n\n")
    assert code == exits.FAILURE
    assert "transactions:aa: 60 removals will be believed" in err
    assert "transactions:bb: 44 creations will be believed" in err
    assert "transactions:cc" not in err
    assert zindigi("held", "accept", "mine", "transactions")[0] == exits.FAILURE
    assert pending() == []
    code, _, err = zindigi("held", "accept", "mine", "transactions", "--wait-seconds", "0", stdin="y\n")
    assert code == exits.OK
    assert "applied as soon as the connector runs" in err
    assert "Done" not in err
    assert [(one.kind, one.account_id, one.domain, one.resource) for one in pending()] == [
        ("accept", accounts["mine"], "transactions", "transactions:aa"),
        ("accept", accounts["mine"], "transactions", "transactions:bb"),
    ]
    rows = [json.loads(line) for line in zindigi("held", "list", "--json")[1].splitlines()]
    assert [row["asked"] for row in rows] == ["accept", "accept"]


def test_one_resource_is_named_by_how_it_begins(zindigi: Zindigi, lay: Callable[..., dict[str, str]]) -> None:
    lay({"mine": {"transactions:aa": REMOVAL, "transactions:ab": CREATION}})
    given = ("held", "reject", "mine", "transactions", "--yes", "--wait-seconds", "0", "--resource")
    code, _, err = zindigi(*given, "transactions:a")
    assert (code, "names 2 resources" in err) == (exits.USAGE, True)
    code, _, err = zindigi(*given, "transactions:x")
    assert (code, "nothing is held there" in err) == (exits.USAGE, True)
    assert zindigi(*given, "transactions:ab")[0] == exits.OK
    assert [(one.kind, one.resource) for one in pending()] == [("reject", "transactions:ab")]


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        (ResourceMeta(backfilled=True), "nothing is held there"),
        (replace(REMOVAL, held=Held("gone", AT, 1)), "nothing is held there"),
        (replace(REMOVAL, held=Held("emptiness", AT, 3, "accepted")), "accepted already"),
        (ResourceMeta(backfilled=True, hole_since=AT), "nothing is held there"),
    ],
)
def test_nothing_is_recorded_where_there_is_nothing_to_accept(
    zindigi: Zindigi, lay: Callable[..., dict[str, str]], meta: ResourceMeta, said: str
) -> None:
    lay({"mine": {"transactions": meta}})
    code, _, err = zindigi("held", "accept", "mine", "transactions", "--yes")
    assert (code, said in err, "Done" in err) == (exits.USAGE, True, False)
    assert pending() == []


def test_what_was_rejected_can_be_accepted_later(zindigi: Zindigi, lay: Callable[..., dict[str, str]]) -> None:
    lay({"mine": {"transactions": replace(REMOVAL, held=Held("mass_removal", AT, 60, "rejected"))}})
    assert zindigi("held", "accept", "mine", "transactions", "--yes", "--wait-seconds", "0")[0] == exits.OK
    assert [one.kind for one in pending()] == ["accept"]


def test_a_closed_stream_holds_nothing(zindigi: Zindigi, lay: Callable[..., dict[str, str]]) -> None:
    lay({"mine": {"transactions": REMOVAL}}, status="closed")
    assert zindigi("held", "list")[1:] == ("", "Nothing is held.\n")


@pytest.mark.parametrize("decision", ["accept", "reject", "retry"])
def test_a_removed_link_holds_nothing(zindigi: Zindigi, lay: Callable[..., dict[str, str]], decision: str) -> None:
    lay({"mine": {"transactions": REMOVAL}}, removed=True)
    assert zindigi("held", "list")[1:] == ("", "Nothing is held.\n")
    code, _, err = zindigi("held", decision, "mine", "transactions")
    assert (code, "is removed" in err) == (exits.USAGE, True)
    assert pending() == []


def test_a_wrong_domain_or_account_is_told_what_can_be(zindigi: Zindigi, lay: Callable[..., dict[str, str]]) -> None:
    lay({"mine": {"transactions": REMOVAL}, "other": {}})
    for words, said in (
        (("accept", "mine", "transaction"), "did you mean transactions?"),
        (("show", "mien"), "did you mean mine?"),
        (("retry", "mine", "transactions"), "waits to be tried again"),
        (("accept", "other", "transactions"), "nothing is held there"),
    ):
        code, _, err = zindigi("held", *words)
        assert (code, said in err) == (exits.USAGE, True), words
    assert pending() == []


def test_the_list_is_of_all_accounts_and_each_link_says_the_same(
    zindigi: Zindigi, lay: Callable[..., dict[str, str]]
) -> None:
    hole = ResourceMeta(backfilled=True, hole_since=AT)
    accounts = lay({"mine": {"transactions": REMOVAL}, "other": {"transactions": hole}})
    heading, *rows = zindigi("held", "list")[1].splitlines()
    assert heading.split()[:4] == ["ACCOUNT", "LABEL", "DOMAIN", "RESOURCE"]
    assert {row.split()[0] for row in rows} == set(accounts.values())
    _, *links = zindigi("link", "list")[1].splitlines()
    assert "transactions (mass removal of 60)" in links[0]
    assert "transactions (hole)" in links[1]
    [shown] = zindigi("held", "show", "other", "--json")[1].splitlines()
    assert (json.loads(shown)["kind"], json.loads(shown)["since"]) == ("hole", "2026-03-01T04:30:00+00:00")


def test_without_the_key_nothing_is_shown(zindigi: Zindigi, lay: Callable[..., dict[str, str]]) -> None:
    lay({"mine": {"transactions": REMOVAL}})
    Path("data/master.key").unlink()
    code, out, err = zindigi("held", "list")
    assert (code, out, "no master key" in err) == (exits.CONFIGURATION, "", True)


def test_without_a_vault_none_is_made(zindigi: Zindigi, lay: Callable[..., dict[str, str]]) -> None:
    lay({"mine": {"transactions": REMOVAL}})
    VAULT.unlink()
    assert zindigi("held", "list")[0] == exits.CONFIGURATION
    assert zindigi("link", "list")[0] == exits.OK
    assert not VAULT.exists()


def test_the_summary_joins_what_is_quarantined() -> None:
    things = [
        Thing("acc", "transactions", "t", "mass_removal", 60),
        Thing("acc", "bills", "b", "quarantined", 2),
        Thing("acc", "bookings", "b", "quarantined", 1),
        Thing("acc", "cards", "", "isolated"),
        Thing("acc", "", "", "set_aside"),
    ]
    assert summary(things) == "transactions (mass removal of 60), quarantined 3, cards (isolated), set aside"
    assert summary([]) == "-"


KINDS: tuple[Kind, ...] = (
    "mass_removal", "mass_creation", "emptiness", "unlisted", "hole", "quarantined", "isolated", "set_aside", "command",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_what_it_means_and_what_to_do(kind: Kind) -> None:
    assert "{" not in meaning(kind, 3)
    assert next_step(kind, "acc_1", "bills")
    if kind in DECIDABLE:
        assert "{" not in effect(kind, 3)
        assert "zindigi held accept acc_1 bills" in next_step(kind, "acc_1", "bills")
