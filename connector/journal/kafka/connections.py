"""Connections of a client: the first one, and those that it makes while it is being closed.

A cluster may name no broker for a moment: its controller has not heard of them for a while, after a pause or a
partition. aiokafka's transactional producers and admin clients stumble over that answer; consumers and idempotent
producers go on asking by themselves.

When it closes, aiokafka closes the connections that it has at that moment. One that a task of its own was just making
is put among them later, and stays open until the garbage collector finds it.
"""

from __future__ import annotations

from typing import Any, Final

import anyio

_LOOK_SECONDS: Final = 0.1


async def start_client(client: Any, inner: Any) -> None:  # noqa: ANN401  # aiokafka's client, and the one within it
    """Start a client as soon as its cluster names a broker. It is for the caller to say how long that may take."""
    bootstrap = inner.bootstrap

    async def until_a_broker_is_named() -> None:
        await bootstrap()
        while not inner.cluster.brokers():
            await anyio.sleep(_LOOK_SECONDS)
            await inner.force_metadata_update()

    inner.bootstrap = (
        until_a_broker_is_named  # the client's own start begins with it; doing it before would do it twice
    )
    await client.start()


class _Connections(dict[Any, Any]):
    """A client's connections by node; once `ended`, whatever is added is closed at once."""

    ended = False

    def __setitem__(self, node: Any, connection: Any) -> None:  # noqa: ANN401  # the client's own
        super().__setitem__(node, connection)
        if self.ended:
            connection.close()


def watch_connections(client: Any) -> None:  # noqa: ANN401  # aiokafka's inner client
    """Keep an eye on the connections of a client that has none yet."""
    client._conns = _Connections()  # there is no public way


def end_connections(client: Any) -> None:  # noqa: ANN401  # aiokafka's inner client
    """Close every connection of a watched client, and every one that it makes from now on. Never raises."""
    connections = client._conns
    connections.ended = True
    for connection in tuple(connections.values()):
        connection.close()
