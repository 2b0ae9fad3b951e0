"""The sandbox as an ASGI application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from connector.sandbox import auth
from connector.sandbox.control import control_routes
from connector.sandbox.core import Bank
from connector.sandbox.departments import DEPARTMENTS
from connector.sandbox.gateway import BASE_PATH, Endpoint, handle
from connector.sandbox.wire import dumps

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from connector.sandbox.clock import Clock
    from connector.sandbox.gateway import Delivery
    from connector.sandbox.scenario import Scenario

_CODES = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}


def create_app(scenario: Scenario, seed: int, clock: Clock | None = None) -> Starlette:
    """A bank with its control surface; the `Bank` itself is `app.state.bank`."""
    return app_of(Bank(scenario, seed, clock))


def app_of(house: Bank) -> Starlette:
    """The application that serves an existing bank."""
    app = Starlette(
        routes=[*_routes(house), *control_routes(house)],
        exception_handlers={HTTPException: _refuse},
    )
    app.state.bank = house
    return app


def _routes(house: Bank) -> list[Route]:
    """One route a path: a path with several methods answers 405 to the others, and names its own.

    HEAD is not among them: the bank has none, and an answer without its body would count as served.
    """
    by_path: dict[str, dict[str, Endpoint]] = {}
    endpoints = [endpoint for department in DEPARTMENTS.values() for endpoint in department.endpoints]
    for endpoint in (*auth.ENDPOINTS, *endpoints):
        by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    routes = []
    for path, methods in by_path.items():
        route = Route(BASE_PATH + path, _serve(house, methods), methods=list(methods))
        route.methods = set(methods)
        routes.append(route)
    return routes


def _serve(house: Bank, methods: dict[str, Endpoint]) -> Callable[[Request], Awaitable[Delivery]]:
    async def endpoint(request: Request) -> Delivery:
        return await handle(house, methods[request.method], request)

    return endpoint


async def _refuse(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = error.headers if isinstance(error, HTTPException) else None
    code = _CODES.get(status, "INTERNAL")
    body = dumps({"code": code, "message": code.replace("_", " ").capitalize() + "."})
    return Response(body, status, dict(headers or {}), media_type="application/json")
