"""`zindigi link connect` as a person uses it, against a sandbox of its own; both are processes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from connector.cli import exits
from connector.clock import SystemClock
from connector.consent import Consent
from connector.journal.sqlite import SqliteReader
from connector.links import Command, Link

ROOT = Path(__file__).parents[3]
PIN, MSISDN = "7391", "+923000000901"
URDU = "۰۱۲۳۴۵۶۷۸۹"
PATIENCE_SECONDS = 40
SCENARIO = f"""
title = "connect"
mode = "lockstep"
history_days = 0
[[holders]]
label = "one"
tier = "L1"
persona = "still"
name = "Invented Holder"
msisdn = "{MSISDN}"
cnic = "42000-0000901-2"
pin = "{PIN}"
"""


@contextmanager
def process(directory: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A `zindigi` process that never outlives its test."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "error"}
    with subprocess.Popen(
        [sys.executable, "-m", "connector.cli", *arguments],
        cwd=directory,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        alarm = threading.Timer(PATIENCE_SECONDS, running.kill)
        alarm.start()
        try:
            yield running
        finally:
            alarm.cancel()
            running.kill()


def read_until(running: subprocess.Popen[str], ending: str) -> str:
    """What the process says on standard error, up to `ending`."""
    assert running.stderr is not None
    said = ""
    while not said.endswith(ending):
        letter = running.stderr.read(1)
        assert letter, f"it ended before {ending!r}: {said}"
        said += letter
    return said


def answer(running: subprocess.Popen[str], line: str) -> None:
    assert running.stdin is not None
    running.stdin.write(f"{line}\n")
    running.stdin.flush()


@dataclass
class Sandbox:
    url: str

    def otp(self) -> str:
        with urllib.request.urlopen(f"{self.url}/sandbox/otp?msisdn=%2B{MSISDN[1:]}") as response:  # noqa: S310  loopback
            return str(json.load(response)["otp"])


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    directory = tmp_path_factory.mktemp("sandbox")
    (directory / "one.toml").write_text(SCENARIO)
    with process(directory, "sandbox", "--scenario", "one.toml", "--port", "0") as running:
        said = read_until(running, "Ctrl-C ends it.")
        found = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert found
        yield Sandbox(found.group())


def connect(sandbox: Sandbox, directory: Path, *arguments: str) -> tuple[str, ...]:
    subprocess.run(
        [sys.executable, "-m", "connector.cli", "vault", "init"],
        cwd=directory, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False, capture_output=True,
    )  # fmt: skip
    patient = ("--set", "bank.connect_timeout_seconds=60", "--set", "bank.read_timeout_seconds=60",
               "--set", "bank.request_deadline_seconds=120")  # fmt: skip
    return ("link", "connect", "--set", f"bank.base_url={sandbox.url}", *patient, "--wait-seconds", "0", *arguments)


def pending(directory: Path) -> list[Command]:
    async def look() -> list[Command]:
        reader = await SqliteReader.open(directory / "data" / "journal.db", clock=SystemClock())
        try:
            return list(await reader.pending_commands())
        finally:
            await reader.close()

    return anyio.run(look)


def test_consent_pin_and_otp_make_a_link(sandbox: Sandbox, tmp_path: Path) -> None:
    arguments = connect(sandbox, tmp_path, "--label", "mine", "--domains", "loyalty,lending", "--days", "30")
    with process(tmp_path, *arguments) as running:
        shown = read_until(running, "Do you accept? [y/N] ")
        answer(running, "y")
        read_until(running, "Mobile number: ")
        answer(running, "0300 000")
        assert "must be like +923001234567" in read_until(running, "Mobile number: ")
        answer(running, "0300 0000901")
        read_until(running, "PIN: ")
        answer(running, "739")
        # Whatever cannot be a code is asked for again, and costs no attempt at the bank.
        assert "It has 4 to 6 digits; what was typed was sent to nobody" in read_until(running, "PIN: ")
        answer(running, f"{PIN[:2]} {PIN[2:]}")
        read_until(running, "sent by SMS): ")
        otp = sandbox.otp()
        answer(running, f"x{otp}")
        assert "It has 4 to 8 digits" in read_until(running, "sent by SMS): ")
        answer(running, "-".join(URDU[int(digit)] for digit in otp))
        out, err = running.communicate()
    assert running.returncode == exits.OK, err
    account_id = out.strip()
    [command] = pending(tmp_path)
    assert (command.kind, command.account_id) == ("connect", account_id)
    link = command.link
    assert link is not None
    assert (link.label, link.route, link.domains) == ("mine", "app-session", {"loyalty", "lending"})
    assert link.consent is not None
    text = shown.removesuffix("Do you accept? [y/N] ").removesuffix("\n")
    assert link.consent.text_sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert (link.consent.valid_until - link.consent.valid_from).days == 30
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").iterdir())
    for secret in (PIN, otp, MSISDN):
        assert secret not in out + err
        # A PIN of four digits may turn up in sealed bytes by chance; what is longer may not.
        assert len(secret) < 5 or secret.encode() not in kept


def test_a_wrong_pin_ends_in_77(sandbox: Sandbox, tmp_path: Path) -> None:
    with process(tmp_path, *connect(sandbox, tmp_path, "--yes", "--msisdn", MSISDN)) as running:
        _, err = running.communicate("0000\n")
    assert running.returncode == exits.HOLDER, err
    assert "zindigi: the PIN was wrong; attempts left: " in err
    assert "Traceback" not in err
    assert pending(tmp_path) == []


def test_a_bank_that_is_away_ends_in_75(tmp_path: Path) -> None:
    away = Sandbox("http://127.0.0.1:9")
    with process(tmp_path, *connect(away, tmp_path, "--yes", "--msisdn", MSISDN)) as running:
        _, err = running.communicate("0000\n")
    assert running.returncode == exits.TEMPORARY, err
    assert "could not be reached" in err


def test_a_label_that_another_link_has_is_refused_before_there_is_a_session(tmp_path: Path) -> None:
    arguments = connect(Sandbox("http://127.0.0.1:9"), tmp_path, "--yes", "--msisdn", MSISDN, "--label", "mine")
    now = SystemClock().now()
    consent = Consent("cns_1", frozenset({"loyalty"}), now, now + timedelta(days=1), "0" * 64, "en")
    link = Link("acc_other", 0, "app-session", "mine", frozenset({"loyalty"}), consent)

    async def taken() -> None:
        (tmp_path / "data").mkdir(exist_ok=True)
        reader = await SqliteReader.open(tmp_path / "data" / "journal.db", clock=SystemClock(), shard_count=1)
        try:
            await reader.append_command(Command("cmd_1", "connect", "acc_other", now, link=link))
        finally:
            await reader.close()

    anyio.run(taken)
    # The bank is not even reached: neither PIN nor password is asked for.
    with process(tmp_path, *arguments) as running:
        _, err = running.communicate("")
    assert running.returncode == exits.USAGE, err
    assert "--label mine: another link has it" in err
    assert "PIN:" not in err
    assert len(pending(tmp_path)) == 1
