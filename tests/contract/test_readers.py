"""Readers that share no code with the connector, given only `schemas/`, read everything that it writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connector.avro import decode_event, encode_event, schema_directory
from connector.avro.releases import check
from tests.golden.samples import EVENTS
from tests.support.schema_changes import edit, field_of, schemas_copy

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
GOLDEN = Path(__file__).parent.parent / "golden"
SAMPLE = [(domain, encode_event(domain, event)) for domain, events in EVENTS.items() for event in events.values()]
LINES = "".join(f"{domain}\t{value.hex()}\n" for domain, value in SAMPLE)


def comparable(value: Any) -> Any:
    """What we decode, with amounts and instants spelled so that two ways of writing them compare equal."""
    if isinstance(value, dict):
        return {name: comparable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal | date) else value


def respelled(value: Any) -> Any:
    """What a reader printed, its instants spelled as `comparable` does."""
    if isinstance(value, dict):
        return {name: instant(item) if is_instant(name) else respelled(item) for name, item in value.items()}
    return [respelled(item) for item in value] if isinstance(value, list) else value


def is_instant(name: str) -> bool:
    """By the names that the schemas' own rules give to fields."""
    return name.endswith(("_at", "_until")) or name in {"at", "as_of", "act_by", "valid_from"}


def instant(text: str | None) -> str | None:
    return None if text is None else datetime.fromisoformat(text).isoformat()


EXPECTED = [{"topic": domain, **comparable(decode_event(value))} for domain, value in SAMPLE]


def read(command: list[str], lines: str = LINES) -> list[Any]:
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        command,
        input=lines,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environment,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return [respelled(json.loads(line)) for line in done.stdout.splitlines()]


def test_plain_fastavro_reads_every_event() -> None:
    script = EXAMPLES / "read_events.py"
    assert "connector" not in script.read_text(encoding="utf-8")
    assert len(script.read_text(encoding="utf-8").splitlines()) < 40
    assert read([sys.executable, str(script), str(schema_directory())]) == EXPECTED


def test_java_reads_every_event(avro_jars: Path) -> None:
    program = str(EXAMPLES / "ReadEvents.java")
    assert read(["java", "-cp", f"{avro_jars}/*", program, str(schema_directory())]) == EXPECTED


# ── A later version of the schemas ──────────────────────────────────────────────────────────────────────────────────

OLD = [(name, json.loads((GOLDEN / f"{name}.v1.json").read_text(encoding="utf-8"))) for name in EVENTS]
OLD_LINES = "".join(f"{name}\t{kept['value']}\n" for name, samples in OLD for kept in samples.values())
PURPOSE = {"name": "purpose", "type": ["null", "string"], "default": None, "doc": "What for; null when not stated."}


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """The schemas once loans have a purpose."""
    directory = schemas_copy(tmp_path / "avro")
    edit(
        directory / "lending.avsc",
        lambda schema: field_of(schema, "before.loan", of_record=True)["fields"].append(PURPOSE),
    )
    return directory


def of_version_1_with_a_purpose() -> list[Any]:
    events = [{"topic": name, **respelled(kept["event"])} for name, samples in OLD for kept in samples.values()]
    for event in events:
        loan = (event["after"] or {}).get("loan")
        if loan is not None:
            loan["purpose"] = None
    return events


def test_plain_fastavro_reads_version_1_as_the_later_one(later: Path) -> None:
    read_as = read([sys.executable, str(EXAMPLES / "read_events.py"), str(later)], OLD_LINES)
    assert read_as == of_version_1_with_a_purpose()


def test_java_reads_version_1_as_the_later_one(later: Path, avro_jars: Path) -> None:
    """Apache Avro resolves what `zindigi schemas check` allowed."""
    assert check(later) == ()
    command = ["java", "-cp", f"{avro_jars}/*", str(EXAMPLES / "ReadEvents.java"), str(later)]
    assert read(command, OLD_LINES) == of_version_1_with_a_purpose()
