"""Errors of the client, by what they mean for a shard; and calls that must end whatever the client does."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced

from connector.errors import FencedError, JournalError

CLIENT_ERRORS = (KafkaError, OSError, TimeoutError, AssertionError)
"""What aiokafka raises when something is wrong outside: OS errors, time-outs, and assertions about itself, too."""


@contextmanager
def failing(what: str) -> Iterator[None]:
    """Whatever the client raises inside is trouble with the journal.

    Raises:
        FencedError: another owner took over.
        JournalError: anything else.
    """
    try:
        yield
    except CLIENT_ERRORS as error:
        if is_fence(error):
            raise FencedError(f"{what}: another connector took over") from error
        raise JournalError(f"{what}: {said(error)}") from error


def said(error: BaseException) -> str:
    """What a client's error says, in one line, beginning with its type."""
    name, text = type(error).__name__, str(error)
    if not text or text.startswith(name):
        return text or name
    return f"{name}: {text}"


def is_fence(error: BaseException | None) -> bool:
    """Is this, or what it came from, the broker saying that a newer owner exists?"""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, ProducerFenced | InvalidProducerEpoch):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


async def finish(work: Coroutine[Any, Any, object], seconds: float) -> bool:
    """Run `work` in a task of its own, for at most `seconds`; True when it ended. Never raises, also when cancelled.

    Closing a client may raise CancelledError as if the caller had been cancelled, or never return.
    """
    task = asyncio.ensure_future(work)
    with anyio.CancelScope(shield=True):
        await asyncio.wait({task}, timeout=seconds)
    if not task.done():
        return False
    if not task.cancelled():
        task.exception()
    return True


async def end_task(task: asyncio.Task[Any] | None, *, attempts: int = 3, seconds: float = 1.0) -> bool:
    """Cancel a task until it is over; True when it is. Once is not always enough: some wait for others first."""
    for _ in range(attempts):
        if task is None or task.done():
            return True
        task.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait({task}, timeout=seconds)
    return task is None or task.done()
