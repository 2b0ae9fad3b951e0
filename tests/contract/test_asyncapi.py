"""`schemas/asyncapi.yaml` in the hands of AsyncAPI's own parser, in JavaScript; it reads and checks the Avro, too."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from connector.documents.catalogue import topics

ROOT = Path(__file__).parents[2]
PARSER = Path(__file__).parent / "asyncapi"
INSTALL = "install Node.js 18 or later and npm (Debian, Ubuntu: apt install nodejs npm)"
Parse = Callable[[Path], dict[str, Any]]


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """A directory with the parser, as its lock file has it; fetched by npm once, and kept in the user's cache.

    Where Node or npm is missing, or npm reaches nobody, tests are skipped, but never where CI says so.
    """
    missing = [tool for tool in ("node", "npm") if shutil.which(tool) is None]
    if missing:
        _unavailable(f"{' and '.join(missing)} missing: {INSTALL}")
    lock = (PARSER / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zindigi-asyncapi"
    wanted = cache / hashlib.sha256(lock).hexdigest()[:16]
    if wanted.is_dir():
        return wanted
    cache.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".installing-", dir=cache))
    try:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(PARSER / name, draft)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit-lockfile-registry-resolved"]
        done = subprocess.run(command, cwd=draft, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode != 0:
            _unavailable(f"npm could not fetch it: {done.stderr.strip().splitlines()[:1]}")
        with suppress(OSError):  # another process was quicker: its modules are the same
            draft.rename(wanted)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return wanted


def _unavailable(why: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"AsyncAPI's parser is required: {why}")
    pytest.skip(f"AsyncAPI's parser is needed: {why}")


@pytest.fixture
def parse(node_modules: Path) -> Parse:
    """What the parser says of a document."""

    def parsed(document: Path) -> dict[str, Any]:
        shutil.copy(PARSER / "parse.mjs", node_modules)
        done = subprocess.run(
            ["node", "parse.mjs", str(document)],
            cwd=node_modules, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    return parsed


def faults(told: dict[str, Any]) -> list[dict[str, str]]:
    """Errors and warnings; what the parser merely recommends is left out."""
    return [one for one in told["diagnostics"] if one["severity"] in {"error", "warning"}]


def test_it_is_valid_and_says_all_there_is_to_say(parse: Parse) -> None:
    told = parse(ROOT / "schemas" / "asyncapi.yaml")
    assert faults(told) == []
    read = {channel["address"]: channel for channel in told["channels"]}
    assert list(read) == [f"{{prefix}}.{topic.name}" for topic in topics()]
    for topic in topics():
        channel = read[f"{{prefix}}.{topic.name}"]
        assert channel["operations"] == ["send"]
        assert [message["name"] for message in channel["messages"]] == list(topic.all_events)
        for message in channel["messages"]:
            assert (message["contentType"], message["key"]) == ("application/avro", "string")
            cloud_event, own = message["headers"]["allOf"]
            assert "ce_id" in cloud_event["properties"]
            assert own["properties"]["ce_type"]["const"] == f"pk.zindigi.{topic.name}.{message['name']}.v1"
            # The parser has read the Avro file and turned it into JSON Schema.
            assert {"event_id", "before", "after"} <= set(message["payload"]["schema"]["properties"])


@pytest.mark.parametrize("planted", ["avro", "reference", "action"])
def test_the_parser_finds_what_is_planted(parse: Parse, tmp_path: Path, planted: str) -> None:
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    path = tmp_path / "schemas" / "asyncapi.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    if planted == "avro":
        broken = tmp_path / "schemas" / "avro" / "lending.avsc"
        broken.write_text(broken.read_text(encoding="utf-8").replace('"array"', '"list"'), encoding="utf-8")
    elif planted == "reference":
        document["components"]["messages"]["lending.LoanRepaid"]["payload"]["schema"]["$ref"] = "avro/nowhere.avsc"
    else:
        document["operations"]["sendLending"]["action"] = "shout"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    assert faults(parse(path)) != []
