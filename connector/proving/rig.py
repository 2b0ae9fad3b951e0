"""A rig of real processes: the sandbox bank, holders at their prompts, and a connector that can be killed.

Everything is started here, on loopback, and ended here by its pid. The connector is driven through its command line, as
a person would.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import ByteReceiveStream, Process

from connector.clock import SystemClock
from connector.domains.registry import DOMAINS
from connector.errors import ConnectorError
from connector.settings import Settings, load_settings

STARTING_SECONDS = 120.0
LOGIN_SECONDS = 240.0
ENDING_SECONDS = 120.0
ANSWER_SECONDS = 120.0
CLIENT_LOST_CALLS = 3
LOOK_SECONDS = 0.05
KAFKA_SHARDS = 2
FAST_CADENCE = {"head_interval_seconds": 0.4, "reconcile_interval_seconds": 1.2}


class RigError(ConnectorError):
    """A process of the rig did not do what it should."""


class PatienceError(RigError, TimeoutError):
    """What was waited for did not come in time. Says what, for how long, and where the log is."""


@contextmanager
def patience(seconds: float, wanted: Callable[[], str], log_path: Path) -> Iterator[None]:
    """Give what is done within `seconds`.

    Raises:
        PatienceError: it took longer; `wanted` says what is still missing.
    """
    with anyio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise PatienceError(f"{wanted()}; waited {seconds:.0f} s for it. The connector's log: {log_path}")


@dataclass(slots=True)
class Rig:
    """Where everything is, and what runs.

    `msisdn_of` maps the account ids of linked holders to the bank's. `entry` is the module that stands for the
    connector's command line; crash tests name one that is broken on purpose.
    """

    directory: Path
    bank: Process
    base_url: str
    entry: str = "connector.cli"
    connector: Process | None = None
    kills: int = 0
    msisdn_of: dict[str, str] = field(default_factory=dict)
    restored: int = 0
    """How often the log said that a shard was restored, when last looked."""
    transcript: str = ""
    """What the last holder was shown at the prompts: the consent text, and what was asked."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        directory: Path,
        scenario: str,
        *,
        seed: int,
        entry: str = "connector.cli",
        lockstep: bool = False,
        kafka: str | None = None,
        bank_entry: str = "connector.proving.bank",
    ) -> AsyncIterator[Rig]:
        """A bank that serves `scenario`, a fresh vault key and a configuration with a quick cadence.

        `kafka` names bootstrap servers: then the journal is on topics made there, under a prefix of their own.
        `bank_entry` is the module that runs the bank.
        """
        port_file = directory / "bank.port"
        command = [sys.executable, "-m", bank_entry, scenario, str(seed), str(port_file)]
        bank = await anyio.open_process(command, stdin=subprocess.DEVNULL, stdout=None, stderr=None)
        try:
            port = await _wait_for_port(bank, port_file)
            rig = cls(directory, bank, f"http://127.0.0.1:{port}", entry)
            journal = _embedded(directory) if kafka is None else _on_kafka(kafka)
            text = _config(directory, rig.base_url, journal, lockstep=lockstep)
            rig.config_path.write_text(text, encoding="utf-8")
            await rig.run_command("vault", "init")
            if kafka is not None:
                await rig.run_command("topics", "apply")
            try:
                yield rig
            finally:
                with anyio.CancelScope(shield=True):
                    await rig.stop_connector()
        finally:
            with anyio.CancelScope(shield=True):
                await _end(bank)

    @property
    def config_path(self) -> Path:
        """The connector's configuration."""
        return self.directory / "connector.toml"

    def settings(self) -> Settings:
        """What the configuration says."""
        return load_settings(self.config_path).settings

    @property
    def log_path(self) -> Path:
        """What the connector logged, over all its lives."""
        return self.directory / "connector.log"

    async def ask_bank(self, path: str, body: Mapping[str, Any] | None = None, *, method: str | None = None) -> Any:  # noqa: ANN401  # JSON
        """One call of the bank's control surface; numbers come back as `Decimal`."""
        url = f"{self.base_url}/sandbox/{path}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, method=method or ("POST" if data is not None else "GET"))  # noqa: S310  # loopback http

        def call() -> bytes:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310  # loopback http
                content: bytes = answer.read()
                return content

        return json.loads(await anyio.to_thread.run_sync(call), parse_float=Decimal)

    async def holders(self) -> list[dict[str, Any]]:
        """Everybody who banks at the sandbox."""
        found: list[dict[str, Any]] = await self.ask_bank("holders")
        return found

    async def link(self, holder: Mapping[str, Any]) -> str:
        """Go through consent text, PIN and one-time password at the command line's prompts; the account id."""
        before = await self._last_otp(holder)
        process = await self._start("link", "connect", "--label", holder["label"], "--wait-seconds", "0")
        with patience(LOGIN_SECONDS, lambda: f"{holder['label']} is not logged in yet", self.log_path):
            if process.stdin is None or process.stdout is None:
                raise RigError("the command line has no pipes")
            await process.stdin.send(f"y\n{holder['msisdn']}\n{holder['pin']}\n".encode())
            while (otp := await self._last_otp(holder)) == before and process.returncode is None:
                await SystemClock().sleep(LOOK_SECONDS)
            if process.returncode is None:
                # A device that the bank knows may be let in without one.
                await process.stdin.send(f"{otp}\n".encode())
            await process.stdin.aclose()
            printed = (await _read_all(process.stdout)).decode()
            if process.stderr is not None:
                self.transcript = (await _read_all(process.stderr)).decode()
            if await process.wait() != 0:
                raise RigError(f"linking {holder['label']} ended with exit code {process.returncode}")
        account_id = printed.strip().splitlines()[-1]
        self.msisdn_of[account_id] = holder["msisdn"]
        return account_id

    async def _last_otp(self, holder: Mapping[str, Any]) -> str | None:
        inbox = await self.ask_bank(f"otp?msisdn={urllib.parse.quote(holder['msisdn'])}")
        otp: str | None = inbox["otp"]
        return otp

    async def start_connector(self) -> None:
        """Start `zindigi run` in a process of its own."""
        with self.log_path.open("ab") as log:
            self.connector = await anyio.open_process(
                self.command_line("run"), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment()
            )

    async def kill_connector(self) -> None:
        """SIGKILL: no chance to finish anything. The bank is told, so that it knows what was in flight."""
        process = self._running()
        process.send_signal(signal.SIGKILL)
        await process.wait()
        self.connector = None
        self.kills += 1
        # What the dead one had sent may still lie in the bank's sockets: said again until that was surely read.
        for _ in range(CLIENT_LOST_CALLS):
            await self.ask_bank("client-lost", {})

    async def wait_running(self) -> None:
        """Until the connector has restored its shards: from here on it answers signals."""
        process, told = self._running(), b'"shard_restored"'
        before = self.restored
        count = before
        with patience(STARTING_SECONDS, lambda: "the connector has restored no shard yet", self.log_path):
            while (count := self.log_path.read_bytes().count(told)) <= before:  # a small local file
                if process.returncode is not None:
                    raise RigError(f"the connector ended at once, exit code {process.returncode}")
                await SystemClock().sleep(LOOK_SECONDS)
        self.restored = count

    async def stop_connector(self) -> int | None:
        """SIGTERM, and the exit code; None when it does not run."""
        if self.connector is None:
            return None
        process, self.connector = self.connector, None
        return await _end(process)

    async def run_command(self, *arguments: str) -> str:
        """A command line to its end; what it printed. Raises RigError when it fails."""
        done = await anyio.run_process(self.command_line(*arguments), env=self.environment(), check=False)
        if done.returncode != 0:
            raise RigError(f"zindigi {' '.join(arguments[:2])} ended with {done.returncode}: {done.stderr.decode()}")
        return done.stdout.decode()

    def command_line(self, *arguments: str) -> list[str]:
        """A command, as this rig runs it."""
        return [sys.executable, "-m", self.entry, *arguments, "--config", str(self.config_path)]

    def environment(self) -> dict[str, str]:
        """What the processes see: nothing of the caller's own settings."""
        return {name: value for name, value in os.environ.items() if not name.startswith("ZINDIGI_")}

    async def _start(self, *arguments: str) -> Process:
        return await anyio.open_process(self.command_line(*arguments), env=self.environment())

    def _running(self) -> Process:
        if self.connector is None:
            raise RigError("the connector does not run")
        return self.connector


async def _wait_for_port(bank: Process, port_file: Path) -> int:
    with patience(STARTING_SECONDS, lambda: "the bank listens at no port yet", port_file.parent):
        while not port_file.exists():  # noqa: ASYNC240  # a look at a local file
            if bank.returncode is not None:
                raise RigError(f"the sandbox bank ended at once, exit code {bank.returncode}")
            await SystemClock().sleep(LOOK_SECONDS)
    return int(port_file.read_text(encoding="ascii"))  # noqa: ASYNC240  # five bytes


async def _read_all(stream: ByteReceiveStream) -> bytes:
    return b"".join([chunk async for chunk in stream])


async def _end(process: Process) -> int:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        with anyio.move_on_after(ENDING_SECONDS):
            return await process.wait()
        process.kill()
    return await process.wait()


def _embedded(directory: Path) -> str:
    return f"""\
[journal]
path = "{directory}/journal.db"
"""


def _on_kafka(bootstrap_servers: str) -> str:
    return f"""\
[journal]
kind = "kafka"
shard_count = {KAFKA_SHARDS}

[kafka]
bootstrap_servers = "{bootstrap_servers}"
prefix = "rig-{secrets.token_hex(4)}"
replication_factor = 1
"""


def _config(directory: Path, base_url: str, journal: str, *, lockstep: bool) -> str:
    cadence = dict(FAST_CADENCE)
    if lockstep:
        cadence["reconcile_interval_seconds"] = cadence["head_interval_seconds"]
    kinds = "".join(
        f"\n[polling.{kind}]\n" + "".join(f"{name} = {value}\n" for name, value in cadence.items())
        for kind in (kind.name for domain in DOMAINS.values() for kind in domain.resources)
    )
    return f"""\
[bank]
base_url = "{base_url}"

[vault]
path = "{directory}/vault.db"
master_key_file = "{directory}/master.key"

{journal}
[commit]
linger_seconds = 0.05
checkpoint_seconds = 0.5

[log]
format = "json"

[polling]
profile_interval_seconds = {cadence["reconcile_interval_seconds"]}
empty_confirm_seconds = 0
{kinds}"""
