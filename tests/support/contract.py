"""Holds every answer that the client is given against `schemas/openapi/zindigi.yaml`.

An answer that a fault spoiled on purpose is let through: what becomes of it is what the test is about.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import jsonschema_rs
import yaml

from connector.sandbox.faults import Kind
from connector.sandbox.gateway import BASE_PATH
from tests.support.activity import Activity

DOCUMENT: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[2] / "schemas" / "openapi" / "zindigi.yaml").read_text(encoding="utf-8")
)
SPOILING: tuple[Kind, ...] = (
    "cut_body", "truncated_json", "non_json", "field_renamed", "field_retyped", "field_missing",
)  # fmt: skip
_URI = "urn:contract"


class ContractError(AssertionError):
    """The bank answered otherwise than its contract says."""


class Contract:
    """The OpenAPI document as a check of answers. What passed once is known by its digest."""

    def __init__(self, document: dict[str, Any] = DOCUMENT) -> None:
        self._document = document
        self._registry = jsonschema_rs.Registry([(_URI, document)])
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}
        self._paths = [
            (re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))), path) for path in document["paths"]
        ]
        self._passed: set[bytes] = set()
        self.checked = 0

    def check(self, method: str, path: str, status: int, headers: httpx.Headers, body: bytes) -> None:
        """Raises ContractError, naming operation, place and rule, never a value."""
        self.checked += 1
        template = next((path_ for pattern, path_ in self._paths if pattern.fullmatch(path)), None)
        operation = self._document["paths"].get(template, {}).get(method.lower())
        where = f"{method} {template or 'unknown path'} {status}"
        if operation is None or str(status) not in operation["responses"]:
            raise ContractError(f"{where}: the contract knows no such answer")
        pointer, response = self._follow(f"/paths/{_escaped(str(template))}/{method.lower()}/responses/{status}")
        self._check_headers(where, response, headers)
        content = response.get("content")
        if content is None:
            if body:
                raise ContractError(f"{where}: has a body")
            return
        digest = hashlib.blake2b(where.encode() + b"\0" + body).digest()
        if digest not in self._passed:
            self._check_body(where, f"{pointer}/content/application~1json/schema", headers, body)
            self._passed.add(digest)

    def faults(self, method: str, path: str, status: int, body: bytes) -> list[tuple[tuple[str, ...], str]]:
        """Where a body breaks the contract: the path of the field, the missing one included, and the rule it breaks."""
        pattern = next(template for form, template in self._paths if form.fullmatch(path))
        pointer, _ = self._follow(f"/paths/{_escaped(pattern)}/{method.lower()}/responses/{status}")
        errors = self._validator(f"{pointer}/content/application~1json/schema").iter_errors(json.loads(body))
        return [fault for error in errors for fault in _innermost(error)]

    def _check_headers(self, where: str, response: dict[str, Any], headers: httpx.Headers) -> None:
        for name, header in response.get("headers", {}).items():
            _, resolved = self._resolved(header)
            if resolved.get("required") and name not in headers:
                raise ContractError(f"{where}: header {name} is missing")

    def _check_body(self, where: str, pointer: str, headers: httpx.Headers, body: bytes) -> None:
        if headers.get("content-type") != "application/json":
            raise ContractError(f"{where}: is not said to be JSON")
        for error in self._validator(pointer).iter_errors(json.loads(body)):
            raise ContractError(f"{where}: {error.instance_path} breaks {error.schema_path}") from None

    def _validator(self, pointer: str) -> jsonschema_rs.Draft202012Validator:
        if pointer not in self._validators:
            schema = {"$ref": f"{_URI}#{quote(pointer, safe='/~')}"}
            self._validators[pointer] = jsonschema_rs.Draft202012Validator(schema, registry=self._registry)
        return self._validators[pointer]

    def _follow(self, pointer: str) -> tuple[str, dict[str, Any]]:
        found: Any = self._document
        for part in pointer.split("/")[1:]:
            found = found[part.replace("~1", "/").replace("~0", "~")]
        inner, resolved = self._resolved(found)
        return inner or pointer, resolved

    def _resolved(self, value: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
        if "$ref" not in value:
            return None, value
        pointer = value["$ref"].removeprefix("#")
        return self._follow(pointer)


def _escaped(path: str) -> str:
    return path.replace("~", "~0").replace("/", "~1")


def _innermost(error: jsonschema_rs.ValidationError) -> list[tuple[tuple[str, ...], str]]:
    """The faults behind an error. Of alternatives, those of the one that the body came nearest to."""
    path = tuple(str(part) for part in error.instance_path)
    kind = error.kind
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.OneOfNotValid):
        alternatives = [[fault for inner in branch for fault in _innermost(inner)] for branch in kind.context]
        return min(alternatives, key=lambda faults: (any(at == ("code",) for at, _ in faults), len(faults)))
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.Required):
        path = (*path, str(kind.property))
    return [(path, f"breaks {kind.name}")]


def spoiled(bank: Any) -> int:
    """How many answers of the sandbox's `Bank` were spoiled so far, by faults that still stand."""
    return sum(fault.fired for fault in bank.faults.standing() if fault.spec.kind in SPOILING)


class CheckedTransport(httpx.AsyncBaseTransport):
    """Passes calls on to the sandbox, and its answers through the contract. `bank` is the sandbox's `Bank`."""

    def __init__(self, inner: httpx.AsyncBaseTransport, bank: Any, activity: Activity, contract: Contract) -> None:
        self._inner = inner
        self._bank = bank
        self._activity = activity
        self._contract = contract
        self.calls: list[tuple[str, str, int]] = []
        self.failure: ContractError | None = None
        self.before_call: Callable[[httpx.Request], None] = lambda _: None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.before_call(request)
        spoiled_before = spoiled(self._bank)
        with self._activity.busy():
            response = await self._inner.handle_async_request(request)
            body = await response.aread()
        path = request.url.path.removeprefix(BASE_PATH)
        self.calls.append((request.method, path, response.status_code))
        if spoiled(self._bank) == spoiled_before:
            try:
                self._contract.check(request.method, path, response.status_code, response.headers, body)
            except ContractError as error:
                # The client would take it for trouble of its own: kept for the end of the test, too.
                self.failure = error
                raise
        return httpx.Response(response.status_code, headers=response.headers, content=body)

    async def aclose(self) -> None:
        await self._inner.aclose()
