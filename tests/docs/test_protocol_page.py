"""`docs/protocol.md` names every code that the contract has and the client knows, and no other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from connector.sources.zindigi import lending, refusals
from connector.sources.zindigi.options import ZindigiOptions

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
CONTRACT = yaml.safe_load((ROOT / "schemas" / "openapi" / "zindigi.yaml").read_text(encoding="utf-8"))
CODE_FIELDS = {"code", "errorCode"}
HTTP = re.compile(r"^(get|post|delete|put|patch)$")


def codes_of(node: Any) -> Iterator[str]:
    """Every value that the contract allows for a field that carries an error code."""
    if isinstance(node, dict):
        for name, inner in node.items():
            if name in CODE_FIELDS and isinstance(inner, dict):
                yield from [inner["const"]] if "const" in inner else inner.get("enum", [])
            yield from codes_of(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from codes_of(inner)


def named() -> set[str]:
    return set(re.findall(r"`((?:[A-Z]{2,}[A-Z_]*|BRK-\d{3}))`", PAGE))


def test_every_code_of_the_contract_is_on_the_page() -> None:
    codes = set(codes_of(CONTRACT["components"]))
    assert len(codes) > 10
    assert codes - named() == set()


def test_every_code_that_makes_a_link_wait_is_on_the_page() -> None:
    assert {code for places in refusals._NEEDS_HOLDER.values() for _, code in places} <= named()


def test_every_code_of_the_lending_core_is_on_the_page() -> None:
    known = {lending.NO_FACILITY, lending._NOT_ELIGIBLE, lending._SESSION_NOT_VALID, *lending._RETRYABLE}
    assert known <= set(re.findall(r"`(\d\d)`", PAGE))


def test_every_call_that_is_no_get_is_named_as_one_that_changes_nothing() -> None:
    changing = {
        (method.upper(), path)
        for path, operations in CONTRACT["paths"].items()
        for method in operations
        if HTTP.match(method) and method != "get"
    }
    assert changing == {
        ("POST", "/auth/session"),
        ("DELETE", "/auth/session"),
        ("POST", "/auth/otp/resend"),
        ("POST", "/auth/refresh"),
        ("POST", "/advance-cash/inquiry"),
    }
    for method, path in changing - {("POST", "/advance-cash/inquiry")}:
        assert f"{method} {path}" in PAGE


def test_the_limits_that_it_states_are_those_that_hold() -> None:
    assert ZindigiOptions(base_url="https://bank.example.invalid").maximum_body_bytes == 8 * 1024 * 1024
    examples = json.dumps(CONTRACT)
    assert '"expires_in": 600' in examples
