"""`docs/limits.md` lists the constants of `connector/limits.py` with their values, and a test for each of them."""

from __future__ import annotations

import re
from pathlib import Path

from connector import limits

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
TESTS = (ROOT / "tests" / "unit" / "sources", ROOT / "tests" / "unit" / "runtime")
ROW = re.compile(r"^\| `([A-Z_]+)` \| (\d+) \| [^|]+ \| `(\w+\.py)::(\w+)` \|$", re.MULTILINE)
CONSTANTS = {name: value for name, value in vars(limits).items() if name.isupper()}


def test_every_constant_is_on_the_page_with_its_value() -> None:
    assert {name: int(value) for name, value, _, _ in ROW.findall(PAGE)} == CONSTANTS
    assert len(ROW.findall(PAGE)) == len(CONSTANTS)


def test_every_bound_has_a_test_that_reaches_it() -> None:
    for name, _, file, test in ROW.findall(PAGE):
        text = "".join((place / file).read_text(encoding="utf-8") for place in TESTS if (place / file).is_file())
        assert re.search(rf"^(?:async )?def {test}\(", text, re.MULTILINE), (name, test)


def test_every_constant_says_its_unit_and_its_reason() -> None:
    source = (ROOT / "connector" / "limits.py").read_text(encoding="utf-8")
    for name in CONSTANTS:
        assert re.search(rf'^{name}: Final = .+\n"""\w', source, re.MULTILINE), name
