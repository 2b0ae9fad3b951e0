"""`python -m tests.bench`: every benchmark in one run, on every journal that can be had."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from textwrap import fill
from typing import Any

from connector.proving.broker import jars, running_broker
from connector.proving.maven import ToolError
from tests.bench import commit_latency, first_sync, hour, hour_figures, idle, per_change, resident, restoring
from tests.bench.rig import FULL, QUICK, Rig
from tests.bench.table import WIDTH, Table


def _one(table: Callable[[list[Any]], Table]) -> Callable[[list[Any]], tuple[Table, ...]]:
    return lambda figures: (table(figures),)


SUBJECTS: dict[str, tuple[Callable[[Rig], list[Any]], Callable[[list[Any]], tuple[Table, ...]]]] = {
    "first-sync": (first_sync.measure, _one(first_sync.table)),
    "idle": (idle.measure, _one(idle.table)),
    "commit": (commit_latency.measure, _one(commit_latency.table)),
    "resident": (resident.measure, _one(resident.table)),
    "restore": (restoring.measure, _one(restoring.table)),
    "change": (per_change.measure, _one(per_change.table)),
    "hour": (hour.measure, hour_figures.tables),
}
LIBRARIES = ("aiohttp", "aiokafka", "fastavro", "httpx", "httpx-aiohttp", "orjson", "pydantic", "zstandard")
BEGINNING, END = "<!-- figures: made by `make bench` -->", "<!-- end of figures -->"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small and once: for a look, the figures are rough")
    parser.add_argument("--only", type=_names, default=list(SUBJECTS), help=f"some of {','.join(SUBJECTS)}")
    parser.add_argument("--seed", type=int, default=1, help="of the invented histories")
    parser.add_argument("--sqlite-only", action="store_true", help="no broker, though there may be one")
    parser.add_argument("--json", action="store_true", help="every sample as JSON instead of tables")
    parser.add_argument("--markdown", type=Path, help="also put the tables into this file, between its two marks")
    return parser.parse_args(arguments)


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in SUBJECTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no {unknown[0]}: choose from {', '.join(SUBJECTS)}")
    return names


def machine(seed: int, journals: Mapping[str, str | None], *, quick: bool) -> list[str]:
    """What was measured with, in lines of text."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    kafka = ""
    if "kafka" in journals:
        jar = next(jars().glob("kafka_2.13-*.jar"))
        kafka = f", Kafka {jar.stem.rpartition('-')[2]} (one broker, same machine)"
    return [
        f"{os.cpu_count()} cores ({platform.machine()}, {platform.system()}), load {load} at the start",
        f"Python {platform.python_version()}{kafka}",
        libraries,
        f"seed {seed}{', quick: rough figures' if quick else ''}",
    ]


@contextmanager
def journals_at_hand(directory: Path, *, sqlite_only: bool) -> Iterator[tuple[dict[str, str | None], Path | None]]:
    """The journals by kind with their brokers, and the broker's data; it says why one is missing."""
    if sqlite_only:
        yield {"sqlite": None}, None
        return
    broker_directory = directory / "broker"
    try:
        jars()
    except ToolError as error:
        sys.stderr.write(f"Kafka is left out: {error}\n")
        yield {"sqlite": None}, None
        return
    with running_broker(broker_directory) as broker:
        yield {"sqlite": None, "kafka": broker.bootstrap_servers}, broker_directory / "data"


def put_into(document: str, text: str) -> str:
    """`document` with `text` between its two marks.

    Raises:
        ValueError: it has no marks.
    """
    before, beginning, rest = document.partition(BEGINNING)
    _, end, after = rest.partition(END)
    if not beginning or not end:
        raise ValueError(f"the document has no marks {BEGINNING} and {END}")
    return f"{before}{BEGINNING}\n\n{text}\n\n{END}{after}"


def main() -> int:
    """Measure and print."""
    chosen = parse()
    begun = time.monotonic()
    if chosen.markdown is not None:
        # What cannot be written to is said before minutes are spent.
        put_into(chosen.markdown.read_text(encoding="utf-8"), "")
    with (
        tempfile.TemporaryDirectory(prefix="zindigi-bench-") as name,
        journals_at_hand(Path(name), sqlite_only=chosen.sqlite_only) as (journals, broker_data),
    ):
        about = machine(chosen.seed, journals, quick=chosen.quick)
        rig = Rig(Path(name), journals, QUICK if chosen.quick else FULL, chosen.seed, broker_data)
        found = {}
        for subject in chosen.only:
            found[subject] = SUBJECTS[subject][0](rig)
    tables = [table for subject, figures in found.items() for table in SUBJECTS[subject][1](figures)]
    if chosen.json:
        told = {subject: [asdict(figure) for figure in figures] for subject, figures in found.items()}
        print(json.dumps({"about": about, **told}, indent=1))
    else:
        lines = [fill(line, WIDTH) for line in about]
        print("\n\n".join(["\n".join(lines), *(table.text() for table in tables)]))
    if chosen.markdown is not None:
        listed = "\n".join(f"- {line}" for line in about)
        text = "\n\n".join([listed, *(table.markdown() for table in tables)])
        document = chosen.markdown.read_text(encoding="utf-8")
        chosen.markdown.write_text(put_into(document, text), encoding="utf-8")
    rig.say(f"{time.monotonic() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
