"""What docs/kafka.md names is what there is, and all of it is named there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from connector.cli.main import make_app
from connector.events import cloud_event_headers
from connector.journal.kafka.framing import event_subjects
from connector.journal.kafka.options import MAXIMUM_VALUE_BYTES, KafkaOptions
from connector.journal.kafka.topics import wanted_topics
from connector.settings import KafkaSettings, RegistrySettings, Section
from tests.docs.test_docs import commands
from tests.golden.samples import EVENTS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "kafka.md").read_text(encoding="utf-8")
SOURCES = {path: path.read_text(encoding="utf-8") for path in (ROOT / "connector").rglob("*.py")}
SPECS = {spec.name.partition(".")[2]: spec for spec in wanted_topics(KafkaOptions("127.0.0.1:1", "zindigi", 2))}
PLAIN_NAME = re.compile(r"`([a-z]+(?:_[a-z]+)+)`")


def section(title: str) -> str:
    """The text under a heading, up to the next one."""
    return re.split(r"^#+ ", PAGE.split(f"# {title}\n", 1)[1], flags=re.MULTILINE)[0]


def rows(title: str) -> list[list[str]]:
    """The cells of the table in a section, without backticks."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_topics_are_those_that_are_made() -> None:
    assert [name.strip("`") for name, *_ in rows("Topics")] == list(SPECS)
    for name, _key, policy, what in rows("Topics"):
        spec = SPECS[name.strip("`")]
        assert policy == spec.config["cleanup.policy"]
        assert ("one partition" in what) == (spec.partition_count == 1)


def test_what_is_set_on_topics_is_named() -> None:
    [said] = [part for part in section("Topics").split("\n\n") if part.startswith("Compacted topics are made with")]
    named = {name for name in re.findall(r"`([a-z]+(?:\.[a-z]+)+)`", said) if not name.startswith("kafka.")}
    assert named == {key for spec in SPECS.values() for key in spec.config}


def test_the_headers_are_those_of_an_event() -> None:
    event = next(iter(EVENTS["lending"].values()))
    assert [name.strip("`") for name, _ in rows("Headers")] == [
        name for name, _ in cloud_event_headers(event, "lending", 1)
    ]


@pytest.mark.parametrize(
    ("title", "prefix", "model"),
    [("Settings", "kafka", KafkaSettings), ("Schema registry", "registry", RegistrySettings)],
)
def test_the_settings_are_those_that_there_are_with_their_defaults(
    title: str, prefix: str, model: type[Section]
) -> None:
    told = {cells[0].strip("`"): cells[1].strip("`") for cells in rows(title) if cells[0].startswith(f"`{prefix}.")}
    assert told == {
        f"{prefix}.{name}": "not set" if field.default is None else str(field.default)
        for name, field in model.model_fields.items()
    }


def test_the_subjects_are_those_that_are_registered() -> None:
    told = set(re.findall(r"`(zindigi\.[a-z]+-value)`", section("Schema registry")))
    assert told == {one.subject for one in event_subjects(KafkaOptions("127.0.0.1:1", "zindigi"))}


def test_the_properties_of_the_java_consumer_are_those_that_were_tried() -> None:
    tried = (ROOT / "tests" / "kafka" / "test_framing.py").read_text(encoding="utf-8")
    properties = re.findall(r"--formatter-property (\S+)=(\S+)", section("Schema registry"))
    assert len(properties) == 4
    for name, value in properties:
        assert f'"{name}"' in tried
        assert value.startswith("http") or value in tried


def test_log_events_and_the_limit_are_those_of_the_code() -> None:
    told = set(PLAIN_NAME.findall(section("What happens when …")))
    for name in told:
        assert any(f'"{name}"' in text for text in SOURCES.values()), name
    logged = {
        name
        for path, text in SOURCES.items()
        if "journal/kafka" in path.as_posix() or path.name == "isolation.py"
        for name in re.findall(r'\.(?:info|warning|error)\(\s*"([a-z_]+)"', text)
    }
    assert logged <= told
    assert f"above {MAXIMUM_VALUE_BYTES:,} bytes" in PAGE


@pytest.mark.parametrize("words", ["topics plan", "topics apply", "schemas register"])
def test_the_commands_are_there(words: str) -> None:
    found = [line for line in commands(PAGE) if line.startswith(".venv/bin/zindigi")]
    assert any(words in line for line in found)
    for line in found:
        make_app().parse_args(shlex.split(line)[1:], exit_on_error=False, print_error=False)


def test_quoted_words_of_the_code_are_its_words() -> None:
    for quoted in ("was taken over by another connector", "kafka-transactions.sh --bootstrap-server … abort"):
        assert quoted in PAGE
        assert any(quoted in text for text in SOURCES.values())
