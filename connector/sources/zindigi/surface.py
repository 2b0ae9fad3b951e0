"""A surface of the app session: how one kind of resource is called, and what understands the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from connector.ports import Page, PageRequest, Resource
from connector.sources.zindigi.exact_json import require_json
from connector.sources.zindigi.options import ZindigiOptions


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `path` follows the API's base path; `payload` goes as JSON."""

    method: str
    path: str = field(repr=False)
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)
    payload: Mapping[str, object] | None = field(default=None, repr=False)
    etag: str | None = field(default=None, repr=False)


def examine_json(body: bytes) -> None:
    """Pass whole JSON.

    Raises:
        UnavailableError: it is not JSON, or broke off.
    """
    require_json(body, "the bank's answer")


@dataclass(frozen=True, slots=True)
class Surface:
    """How one kind of resource is read: the call, what makes an answer believable, what it means.

    `call` must be a call that reads. `examine` raises the taxonomy for an answer that is a failure
    in disguise; `read` is pure and raises DataError where a page as a whole cannot be understood.
    """

    call: Callable[[ZindigiOptions, Resource, PageRequest], Call]
    read: Callable[[Resource, bytes], Page]
    examine: Callable[[bytes], None] = examine_json


def part_of(resource: Resource) -> str:
    """The bank account, card or fund that a resource is of.

    Raises:
        ValueError: it is of none; a defect of the caller.
    """
    if resource.part is None:
        raise ValueError(f"{resource.kind.name} is read for one part of the login at a time")
    return resource.part
