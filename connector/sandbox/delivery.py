"""Responses that do not arrive as they should."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from connector.sandbox.clock import Clock
    from connector.sandbox.faults import Faults, Target

_HTML = b"<!doctype html><html><head><title>Service</title></head><body><h1>Please wait</h1></body></html>"


@dataclass(frozen=True, slots=True)
class Broken:
    """A response to spoil: sent up to `sent` bytes of what was declared, or whole but not what it should be."""

    status: int
    content: bytes
    content_type: str
    sent: int

    @property
    def cut(self) -> bool:
        """Whether the connection ends before the declared length."""
        return self.sent < len(self.content)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. A cut response is left incomplete, upon which the server closes the connection."""
        if not self.cut:
            await Response(self.content, self.status, media_type=self.content_type)(scope, receive, send)
            return
        headers = [(b"content-type", self.content_type.encode()), (b"content-length", str(len(self.content)).encode())]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.content[: self.sent], "more_body": True})


def broken_delivery(faults: Faults, target: Target, content: bytes) -> Broken | None:
    """How this answer breaks, where a fault strikes it."""
    if faults.fire("cut_body", target):
        return Broken(200, content, "application/json", max(1, len(content) // 2))
    if faults.fire("truncated_json", target):
        part = content[: max(1, len(content) * 2 // 3)]
        return Broken(200, part, "application/json", len(part))
    if params := faults.fire("non_json", target):
        return Broken(params.status or 200, _HTML, "text/html", len(_HTML))
    return None


class Trickle:
    """A response whose body comes in small pieces over `seconds`."""

    def __init__(self, response: Response, seconds: float, clock: Clock) -> None:
        self._response = response
        self._seconds = seconds
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        del scope, receive
        body = bytes(self._response.body)
        size = max(1, len(body) // 8)
        pieces = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
        headers = self._response.raw_headers
        await send({"type": "http.response.start", "status": self._response.status_code, "headers": headers})
        for number, piece in enumerate(pieces, start=1):
            await self._clock.sleep(self._seconds / len(pieces))
            await send({"type": "http.response.body", "body": piece, "more_body": number < len(pieces)})
