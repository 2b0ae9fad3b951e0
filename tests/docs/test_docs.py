"""What the documents say is so: commands, files, fields, events."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from connector.cli.main import make_app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
CODE_BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[str]:
    lines = [line for block in CODE_BLOCK.findall(text) for line in block.splitlines()]
    return [line.split(" #")[0].strip() for line in lines]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_targets_of_make_exist(document: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    known = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    known |= {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
    for target in re.findall(r"`make ([a-z]+)", document.read_text(encoding="utf-8")):
        assert target in known, target


def test_commands_of_the_readme_are_understood() -> None:
    """Each one parses: the command exists, and so does every flag it is given."""
    found = [line for line in commands(README) if line.startswith(".venv/bin/zindigi")]
    assert found
    for line in found:
        words = shlex.split(line.split("|")[0])[1:]
        make_app().parse_args(words, exit_on_error=False, print_error=False)


def test_fields_of_the_envelope_in_the_readme_exist() -> None:
    envelope = json.loads((ROOT / "schemas" / "avro" / "lending.avsc").read_text(encoding="utf-8"))
    fields = {field["name"] for field in envelope["fields"]}
    table = README.split("| field | use it for |")[1].split("\n\n")[0]
    named = {name for row in table.splitlines()[2:] for name in re.findall(r"`([a-z_.]+)`", row.split("|")[1])}
    assert named
    assert {name.split(".")[0] for name in named} <= fields
