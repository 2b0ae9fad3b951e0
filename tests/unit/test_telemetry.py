from __future__ import annotations

import ast
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from connector.errors import UnavailableError
from connector.settings import LogSettings
from connector.telemetry import FIELDS, RepeatedFailures, configure_logging, dropped_fields, logger

SECRET = "JS123PLANTED"
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging(LogSettings(format="json", level="debug"), stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    dropped_fields.clear()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object(said: io.StringIO) -> None:
    logger("connector.x").info("commit done", shard=1, events_count=3)
    [line] = lines(said)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"module": "connector.x", "shard": 1, "events_count": 3, "event": "commit done", "level": "info"}


def test_a_field_that_is_not_listed_is_dropped_and_counted(said: io.StringIO) -> None:
    logger("x").info("page read", iban=SECRET, shard=1)
    assert SECRET not in said.getvalue()
    assert lines(said)[0]["dropped_fields"] == 1
    assert dropped_fields["iban"] == 1


def test_of_our_own_errors_the_text_is_said_and_of_others_only_the_type(said: io.StringIO) -> None:
    for error in (UnavailableError("the bank is away"), ValueError(SECRET)):
        try:
            raise error
        except (UnavailableError, ValueError):
            logger("x").warning("poll failed", exc_info=True)
    ours, other = lines(said)
    assert (ours["error"], ours["problem"]) == ("UnavailableError", "the bank is away")
    assert (other["error"], "problem" in other) == ("ValueError", False)
    assert ours["where"].startswith("test_telemetry.py:")
    assert SECRET not in said.getvalue()


def test_libraries_are_held_to_their_templates_and_to_warnings(said: io.StringIO) -> None:
    library = logging.getLogger("some.library")
    library.info("GET %s", SECRET)
    library.warning("GET %s failed with %d", SECRET, 5)
    library.warning(f"GET {SECRET} failed")
    try:
        int(SECRET)
    except ValueError:
        library.exception("trouble with %s", SECRET)
    assert SECRET not in said.getvalue()
    first, second, third = lines(said)
    assert (first["event"], first["module"], first["level"]) == ("GET … failed with …", "some.library", "warning")
    assert second["event"] == "a library reports trouble"
    assert (third["event"], third["error"]) == ("trouble with …", "ValueError")


def test_the_level_is_kept_and_the_console_is_plain_without_colours() -> None:
    stream = io.StringIO()
    try:
        configure_logging(LogSettings(level="warning"), stream)
        logger("x").info("not said")
        logger("x").warning("said", shard=2)
    finally:
        structlog.reset_defaults()
        logging.getLogger().handlers.clear()
    assert "\x1b" not in stream.getvalue()
    assert "not said" not in stream.getvalue()
    assert "said" in stream.getvalue()
    assert "shard=2" in stream.getvalue()


def test_a_repeated_failure_is_said_once_an_interval(said: io.StringIO) -> None:
    now = [0.0]
    failures = RepeatedFailures(logger("x"), lambda: now[0], interval_seconds=10)
    assert failures.warn("bank", "bank away", backend="bank")
    for moment in (1.0, 5.0, 9.9):
        now[0] = moment
        assert not failures.warn("bank", "bank away", backend="bank")
        failures.warn("z-miles", "bank away", backend="z-miles")
    now[0] = 10.0
    assert failures.warn("bank", "bank away", backend="bank")
    failures.settle("bank")
    assert failures.warn("bank", "bank away", backend="bank")
    bank = [line.get("suppressed_count") for line in lines(said) if line["backend"] == "bank"]
    assert bank == [None, 3, None]
    assert len(lines(said)) == 4


def test_every_field_that_our_code_logs_is_listed() -> None:
    unlisted = []
    for path in (Path(__file__).parents[2] / "connector").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                continue
            on = ast.unparse(call.func.value)
            if call.func.attr in LEVELS and (on.startswith("logger(") or on.rpartition(".")[2].strip("_") == "log"):
                given = {keyword.arg for keyword in call.keywords if keyword.arg not in {None, "exc_info"}}
                unlisted += [f"{path.name}:{call.lineno} {name}" for name in given - FIELDS]
    assert unlisted == []
