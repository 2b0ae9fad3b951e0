"""Asking a person. Prompts go to standard error, so that standard output holds results alone.

Where standard input is no terminal, each answer is one line of it. PIN and OTP are never echoed, and never anything
but locals of the caller.
"""

from __future__ import annotations

import getpass
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from connector.cli.exits import DeclinedError


def say(text: str = "") -> None:
    """One line to the person."""
    print(text, file=sys.stderr, flush=True)


def ask(question: str) -> str:
    """The answer, stripped.

    Raises:
        DeclinedError: there is none.
    """
    print(f"{question} ", end="", file=sys.stderr, flush=True)
    with _interruptible():
        line = sys.stdin.readline()
    return _answered(line, question)


def ask_secret(question: str) -> str:
    """The answer, not echoed.

    Raises:
        DeclinedError: there is none.
    """
    if not sys.stdin.isatty():
        return ask(question)
    with _interruptible():
        try:
            line = getpass.getpass(f"{question} ", stream=sys.stderr)
        except EOFError:
            line = ""
    return _answered(f"{line}\n" if line else "", question)


def agree(question: str) -> bool:
    """True only for y or yes."""
    return ask(f"{question} [y/N]").lower() in {"y", "yes"}


def _answered(line: str, question: str) -> str:
    if not line:
        say()
        raise DeclinedError(f"there was no answer to: {question}")
    if not sys.stdin.isatty():
        say()
    return line.strip()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C ends the wait at once: an event loop's own handling of it waits for the loop, which waits here."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
