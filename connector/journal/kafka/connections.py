"""Connections that a client makes while it is being closed.

aiokafka closes those that it has at that moment. One that a task of its own was just making is put among them later,
and stays open until the garbage collector finds it.
"""

from __future__ import annotations

from typing import Any


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
