"""`make demo`: the main job in a minute. A living bank, five links, a SIGKILL, and the table of proof.

Everything is real but the bank: processes, prompts, tokens, Avro, SQLite files or a Kafka broker. Ends with 0 only when
nothing is off.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random

import anyio
from rich.console import Console
from rich.table import Table
from rich.text import Text

from connector.avro import decode_event
from connector.cli.event_line import as_line
from connector.cli.events import TOPICS
from connector.clock import SystemClock
from connector.domains.registry import DOMAINS
from connector.errors import ConnectorError
from connector.journal.choice import open_reader
from connector.ports import StoredEvent
from connector.proving.broker import Broker, running_broker
from connector.proving.proof import prove, wait_settled
from connector.proving.rig import Rig, patience
from connector.sandbox.oracle import Verdict
from connector.settings import Settings

LIVE_SECONDS = 20.0
FIRST_SYNC_SECONDS = 300.0
SETTLE_SECONDS = 300.0
LOOK_SECONDS = 0.1
SHOWN_A_SECOND = 6
"""Events shown a second at the most: a person is watching."""
CONSENT_LINES = 14
HEADINGS = (
    "domain",
    "changes\nat bank",
    "observ-\nable",
    "coal-\nesced",
    "un-\nclear",
    "events in\njournal",
    "miss-\ning",
    "dupli-\ncated",
    "out of\norder",
    "fold =\nbank",
)


class Demo:
    """The demo's steps, in order."""

    def __init__(
        self, screen: Console, seed: int, *, live_seconds: float, entry: str, broker: Broker | None = None
    ) -> None:
        self._screen = screen
        self._seed = seed
        self._live_seconds = live_seconds
        self._entry = entry
        self._broker = broker
        self._clock = SystemClock()
        self._events: list[StoredEvent] = []
        self._shown = 0

    async def run(self, directory: Path) -> bool:
        """Run it all; True when the proof holds."""
        self._say(f"Zindigi connector demo, seed {self._seed}. Files: {directory}", "bold")
        if self._broker is not None:
            self._say(
                f"Journal: topics of a Kafka broker on {self._broker.bootstrap_servers}, started for this.", "dim"
            )
        kafka = self._broker.bootstrap_servers if self._broker is not None else None
        async with Rig.open(directory, "demo", seed=self._seed, entry=self._entry, kafka=kafka) as rig:
            self._step(1, "A bank of invented people", f"{rig.base_url}, half a day a second")
            await self._link(rig)
            reader_tasks = anyio.create_task_group()
            await rig.start_connector()
            async with reader_tasks as tasks:
                tasks.start_soon(self._gather, rig.settings())
                await self._first_sync(rig)
                await self._live(rig)
                exit_code = await self._settle(rig)
                verdict = await prove(rig)
                tasks.cancel_scope.cancel()
            return self._show_proof(verdict, rig, exit_code)

    async def _link(self, rig: Rig) -> None:
        self._step(2, "Five holders link their accounts", "consent text, PIN, one-time password")
        for number, holder in enumerate(await rig.holders()):
            account_id = await rig.link(holder)
            if number == 0:
                self._show_consent(rig.transcript)
            kind = "under 18" if holder["minor"] else holder["tier"]
            self._say(f"   {holder['label']:<11} {kind:<9} {account_id}")

    def _show_consent(self, transcript: str) -> None:
        lines = [line for line in transcript.splitlines() if line.strip()]
        for line in lines[:CONSENT_LINES]:
            self._say(f"   | {line}", "dim")
        if len(lines) > CONSENT_LINES:
            self._say("   | … (`zindigi link connect` shows all of it)", "dim")

    async def _first_sync(self, rig: Rig) -> None:
        self._step(3, "The connector runs its first sync", "SIGKILL-proof from the first page on")
        streams = await self._streams(rig)
        told, complete = -1, 0
        with patience(FIRST_SYNC_SECONDS, lambda: f"{complete} of {streams} streams are complete", rig.log_path):
            while complete < streams:
                self._require_running(rig)
                events = tuple(self._events)
                names = Counter(decode_event(event.value)["event_type"] for event in events)
                complete = names["BackfillCompleted"]
                if len(events) != told:
                    told = len(events)
                    bar = "█" * complete + "░" * (streams - complete)
                    self._say(f"   {bar} {complete:>2} of {streams} streams complete, {told:>5} events")
                await self._clock.sleep(LOOK_SECONDS * 3)
        self._shown = len(self._events)

    async def _streams(self, rig: Rig) -> int:
        """How many streams the five tiers may have: one a domain that the bank shows them."""
        return sum(len(holder["domains"]) for holder in await rig.holders())

    async def _live(self, rig: Rig) -> None:
        self._step(4, f"{self._live_seconds:.0f} seconds of life, event by event", "with a SIGKILL in the middle")
        random = Random(self._seed)  # noqa: S311  # chooses a moment, guards nothing
        kill_at = self._clock.monotonic() + self._live_seconds / 2 + random.uniform(-1.0, 1.0)
        end = self._clock.monotonic() + self._live_seconds
        killed = False
        while (now := self._clock.monotonic()) < end:
            self._require_running(rig)
            if not killed and now >= kill_at:
                killed = True
                await rig.kill_connector()
                self._say("   ✗ SIGKILL. The bank lives on; the connector does not.", "bold red")
                await self._clock.sleep(1.0)
                await rig.start_connector()
                self._say("   ✓ started again, from nothing but its journal and vault", "bold green")
            self._show_some()
            await self._clock.sleep(1.0)

    def _show_some(self) -> None:
        fresh = self._events[self._shown :]
        for event in fresh[:SHOWN_A_SECOND]:
            line = Text("   ")
            line.append_text(as_line(event, decode_event(event.value), width=self._screen.width - 3))
            line.truncate(self._screen.width, overflow="ellipsis")
            self._screen.print(line, soft_wrap=True)
        if len(fresh) > SHOWN_A_SECOND:
            self._say(f"   … and {len(fresh) - SHOWN_A_SECOND} more in this second", "dim")
        self._shown = len(self._events)

    async def _settle(self, rig: Rig) -> int | None:
        self._step(5, "The bank stands still", "the connector reads everything again; then SIGTERM")
        await rig.ask_bank("freeze", {})
        await wait_settled(rig, within_seconds=SETTLE_SECONDS)
        return await rig.stop_connector()

    async def _gather(self, settings: Settings) -> None:
        reader = await open_reader(settings, self._clock)
        try:
            async for event in reader.read_events(TOPICS, follow=True):
                self._events.append(event)
        finally:
            with anyio.CancelScope(shield=True):
                await reader.close()

    def _require_running(self, rig: Rig) -> None:
        if rig.connector is not None and rig.connector.returncode is not None:
            raise ConnectorError(f"the connector ended with {rig.connector.returncode}; see {rig.log_path}")

    def _show_proof(self, verdict: Verdict, rig: Rig, exit_code: int | None) -> bool:
        self._step(6, "The proof", "the bank's own books against the journal")
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
        for heading in HEADINGS:
            table.add_column(heading, justify="left" if heading == "domain" else "right", no_wrap=True)
        for name in DOMAINS:
            row = verdict.row(name)
            counts = (row.changes, row.observable, row.coalesced, row.unclear, row.events)
            faults = (row.missing, row.duplicated, row.out_of_order + row.illegal)
            fold = Text("yes", "green") if not row.fold_differs else Text(f"{row.fold_differs} off", "bold red")
            table.add_row(name, *map(str, counts), *(Text(str(n), "bold red" if n else "") for n in faults), fold)
        self._screen.print(table)
        for finding in verdict.findings[:10]:
            self._screen.print(Text(f"   {finding}", "red"))
        sound = verdict.sound and exit_code == 0
        self._say(
            "   The first four are the bank's own count, of what it served: coalesced came\n"
            "   and went between two reads, unclear was shown just before a kill, say.",
            "dim",
        )
        clean = f"{rig.kills} SIGKILL, exit code {exit_code} after SIGTERM"
        self._say(f"{'PROVEN' if sound else 'NOT PROVEN'}: {clean}.", "bold green" if sound else "bold red")
        self._say("\nThree things to try next:", "bold")
        if self._broker is not None:
            again = f"--directory {self._broker.directory} --port {self._broker.port}"
            self._say(f"  .venv/bin/python -m connector.proving.broker {again} &")
        self._say(f"  export ZINDIGI_CONFIG={rig.config_path}")
        self._say("  .venv/bin/zindigi events --domain lending --json   # what was written")
        self._say("  .venv/bin/zindigi config show                      # how it was set")
        self._say("  .venv/bin/zindigi --help                           # do it all by hand")
        return sound

    def _step(self, number: int, title: str, aside: str) -> None:
        self._screen.print()
        line = Text(f"{number}. {title}", "bold cyan")
        line.append(f"  {aside}", "dim")
        self._screen.print(line, soft_wrap=False)

    def _say(self, text: str, style: str = "") -> None:
        self._screen.print(Text(text, style), soft_wrap=True)


def main(arguments: Sequence[str] | None = None, entry: str = "connector.cli") -> int:
    """Run the demo in a directory of its own, which stays for a look at the files; 0 only when the proof holds.

    `entry` is the module that stands for the connector's command line; tests name one that is broken on purpose.
    """
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED", "7")), help="which lives are lived")
    parser.add_argument("--seconds", type=float, default=LIVE_SECONDS, help="how long live events are shown")
    parser.add_argument(
        "--journal", choices=("sqlite", "kafka"), default="sqlite", help="kafka: on a real broker, started for the demo"
    )
    given = parser.parse_args(arguments)
    width = None if sys.stdout.isatty() else 80
    screen = Console(width=width, highlight=False, markup=False, emoji=False)
    directory = Path(tempfile.mkdtemp(prefix="zindigi-demo-"))
    sound = False
    try:
        with ExitStack() as stack:
            broker = None
            if given.journal == "kafka":
                screen.print(Text("Starting a Kafka broker …", "dim"))
                broker = stack.enter_context(running_broker(directory / "kafka"))
            demo = Demo(screen, given.seed, live_seconds=given.seconds, entry=entry, broker=broker)
            sound = anyio.run(demo.run, directory)
    except* (ConnectorError, OSError) as errors:
        screen.print(Text(f"The demo could not be finished: {_first_of(errors)}", "bold red"))
    except* KeyboardInterrupt:
        screen.print(Text("interrupted", "bold red"))
    return 0 if sound else 1


def _first_of(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
