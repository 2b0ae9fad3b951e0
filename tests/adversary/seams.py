"""Seams of the core at which a test breaks one rule on purpose. `broken` is called with what it stands for first."""

from __future__ import annotations

from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any

import pytest

Plant = Callable[[pytest.MonkeyPatch], None]


def instead(target: str, broken: Callable[..., Any]) -> Plant:
    """A function, or method, named as `package.module:Class.method`."""
    owner, name = _place(target)

    def plant(patch: pytest.MonkeyPatch) -> None:
        original = getattr(owner, name)
        patch.setattr(owner, name, lambda *given, **named: broken(original, *given, **named))

    return plant


def always(target: str, answer: Any) -> Plant:
    """A function that answers the same, whatever it is asked."""
    return instead(target, lambda *_given, **_named: answer)


def constant(target: str, value: Any) -> Plant:
    """A constant of a module."""
    owner, name = _place(target)
    return lambda patch: patch.setattr(owner, name, value)


def derived(target: str, broken: Callable[[Any], Any]) -> Plant:
    """A property."""
    owner, name = _place(target)
    return lambda patch: patch.setattr(owner, name, property(broken))


def together(*plants: Plant) -> Plant:
    """Several at once, where a rule stands in two places."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        for one in plants:
            one(patch)

    return plant


def _place(target: str) -> tuple[Any, str]:
    head, _, name = target.replace(":", ".", 1).rpartition(".")
    module, _, path = target.partition(":")
    owner = resolve_name(f"{module}:{path.rpartition('.')[0]}") if "." in path else resolve_name(module)
    return owner, name if head else path
