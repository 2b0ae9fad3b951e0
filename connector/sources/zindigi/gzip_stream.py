"""A gzip body as it comes, unpacked within a bound: any number of members (RFC 1952, 2.2), whole to the last byte."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable, AsyncIterator
from typing import Final

from connector.errors import UnavailableError

_GZIP_WINDOW: Final = zlib.MAX_WBITS | 16
_STEP_BYTES: Final = 256 * 1024


async def unpacked(parts: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The content of `parts`, never more than a step of it at a time: who counts it can stop a bomb in its course.

    Zeros between and after members are padding.

    Raises:
        UnavailableError: it is not gzip, or broke off.
    """
    member = zlib.decompressobj(_GZIP_WINDOW)
    begun = False
    async for part in parts:
        rest, more = part, False
        while rest or more:
            if not begun:
                rest = rest.lstrip(b"\0")
                begun = bool(rest)
                continue
            try:
                step = member.decompress(rest, _STEP_BYTES)
            except zlib.error:
                raise UnavailableError("the bank's answer is not gzip, or was damaged on its way") from None
            if step:
                yield step
            # A full step may have left some behind although all input is taken.
            rest, more = member.unconsumed_tail, len(step) == _STEP_BYTES
            if member.eof:
                rest, more = member.unused_data, False
                member, begun = zlib.decompressobj(_GZIP_WINDOW), False
    if begun:
        raise UnavailableError("the bank's answer broke off")
