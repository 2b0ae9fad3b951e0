"""The sandbox as a process: one event loop, one port, loopback unless told otherwise."""

from __future__ import annotations

import asyncio
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from connector.errors import ConfigurationError
from connector.sandbox.app import create_app
from connector.sandbox.scenario import Scenario, load_scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from starlette.applications import Starlette
    from starlette.types import ASGIApp

_BACKLOG = 256


class _AnnouncingServer(uvicorn.Server):
    """A server that says when it can be talked to."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's own, but the signal is not raised again: to stop is what was asked for."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()


async def serve(
    scenario: Scenario | str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    seed: int = 1,
    ready: Callable[[int], None],
    around: Callable[[Starlette], ASGIApp] = lambda app: app,
) -> None:
    """Serve until SIGTERM or SIGINT, or until cancelled. `ready` is told the port once connections are accepted.

    `around` may put something between the bank and the network.

    Raises:
        ConfigurationError: The scenario cannot be read, or the address cannot be bound.
    """
    loaded = scenario if isinstance(scenario, Scenario) else load_scenario(scenario)
    listener = _listen(host, port)
    bound = int(listener.getsockname()[1])
    config = uvicorn.Config(
        around(create_app(loaded, seed)),
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=2,
        timeout_keep_alive=75,
    )
    server = _AnnouncingServer(config, lambda: ready(bound))
    try:
        await server.serve(sockets=[listener])
    finally:
        listener.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=_BACKLOG)
    except OSError as error:
        # The standard library adds the address, which is said already.
        problem = (error.strerror or type(error).__name__).partition(" (while attempting")[0]
        raise ConfigurationError(f"the sandbox cannot listen on {host}, port {port}: {problem}") from None


def run(
    scenario: Scenario | str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    seed: int = 1,
    ready: Callable[[int], None],
    around: Callable[[Starlette], ASGIApp] = lambda app: app,
) -> None:
    """`serve` in an event loop of its own, for a command line."""
    asyncio.run(serve(scenario, host=host, port=port, seed=seed, ready=ready, around=around))
