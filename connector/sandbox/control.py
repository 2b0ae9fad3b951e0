"""The control surface under `/sandbox`: loopback only, no part of the bank."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, TypeAlias, get_args

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response
from starlette.routing import Route

from connector.sandbox import report
from connector.sandbox.core import ControlError
from connector.sandbox.faults import FaultSpec
from connector.sandbox.ledger import DOMAINS, Domain
from connector.sandbox.mutations import Mutation, MutationError
from connector.sandbox.wire import Json, dumps, utc_instant

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from connector.sandbox.core import Bank

_Act: TypeAlias = "Callable[[Bank, Request], Awaitable[Json]]"


class _Steps(BaseModel):
    model_config = ConfigDict(extra="forbid")

    n: int = Field(default=1, ge=1, le=10_000)


async def _health(bank: Bank, _: Request) -> Json:
    return {
        "status": "ok",
        "title": bank.scenario.title,
        "mode": bank.scenario.mode,
        "seed": bank.seed,
        "frozen": bank.frozen,
        "ledger_now": utc_instant(bank.ledger_now()),
        "holders": len(bank.lives),
    }


async def _holders(bank: Bank, _: Request) -> Json:
    return report.holders(bank)


async def _otp(bank: Bank, request: Request) -> Json:
    return report.inbox(bank, request.query_params.get("msisdn", ""))


async def _truth(bank: Bank, request: Request) -> Json:
    return report.truth(bank, holder=request.query_params.get("holder"), domains=_domains(request))


async def _reads(bank: Bank, _: Request) -> Json:
    return report.reads(bank)


async def _settled(bank: Bank, request: Request) -> Json:
    wanted = request.query_params.get("k", "3")
    if not wanted.isdecimal():
        raise ControlError("k must be a whole number")
    holder = request.query_params.get("holder")
    return report.settled(bank, complete_reads=int(wanted), domains=_domains(request), holder=holder)


async def _calls(bank: Bank, _: Request) -> Json:
    return report.calls(bank)


async def _step(bank: Bank, request: Request) -> Json:
    changes = bank.step(_Steps.model_validate(await _body(request)).n)
    return {"ledger_now": utc_instant(bank.ledger_now()), "changes": [report.change_body(change) for change in changes]}


async def _freeze(bank: Bank, _: Request) -> Json:
    bank.freeze()
    return {"frozen": True, "ledger_now": utc_instant(bank.ledger_now())}


async def _thaw(bank: Bank, _: Request) -> Json:
    bank.thaw()
    return {"frozen": bank.frozen, "ledger_now": utc_instant(bank.ledger_now())}


async def _mutate(bank: Bank, request: Request) -> Json:
    changes = bank.mutate(Mutation.model_validate(await _body(request)))
    return {"changes": [report.change_body(change) for change in changes]}


async def _client_lost(bank: Bank, _: Request) -> Json:
    bank.client_lost()
    return {"lost": True}


async def _list_faults(bank: Bank, _: Request) -> Json:
    return report.faults(bank)


async def _add_fault(bank: Bank, request: Request) -> Json:
    spec = FaultSpec.model_validate(await _body(request))
    if spec.holder is not None:
        bank.life(spec.holder)
    return {"id": bank.faults.add(spec).id}


async def _clear_faults(bank: Bank, request: Request) -> Json:
    wanted = request.query_params.get("id")
    if wanted is not None and not wanted.isdecimal():
        raise ControlError("id must be a whole number")
    return {"cleared": bank.faults.clear(None if wanted is None else int(wanted))}


async def _body(request: Request) -> Json:
    raw = await request.body()
    parsed: Json = orjson.loads(raw) if raw else {}
    return parsed


def _domains(request: Request) -> tuple[Domain, ...]:
    asked = request.query_params.get("domains")
    if asked is None:
        return DOMAINS
    names = asked.split(",")
    unknown = set(names) - set(get_args(Domain))
    if unknown:
        raise ControlError(f"there is no domain {min(unknown)!r}; there are {', '.join(DOMAINS)}")
    return tuple(domain for domain in DOMAINS if domain in names)


_ROUTES: tuple[tuple[str, str, _Act], ...] = (
    ("GET", "/health", _health),
    ("GET", "/holders", _holders),
    ("GET", "/otp", _otp),
    ("GET", "/truth", _truth),
    ("GET", "/reads", _reads),
    ("GET", "/settled", _settled),
    ("GET", "/calls", _calls),
    ("POST", "/step", _step),
    ("POST", "/freeze", _freeze),
    ("POST", "/thaw", _thaw),
    ("POST", "/mutate", _mutate),
    ("POST", "/client-lost", _client_lost),
    ("GET", "/faults", _list_faults),
    ("POST", "/faults", _add_fault),
    ("DELETE", "/faults", _clear_faults),
)


def control_routes(bank: Bank) -> list[Route]:
    """The routes of the control surface."""
    return [Route(f"/sandbox{path}", _serve(bank, act), methods=[method]) for method, path, act in _ROUTES]


def _serve(bank: Bank, act: _Act) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        if not _is_loopback(request):
            return _json(403, {"code": "LOOPBACK_ONLY", "message": "The control surface answers this machine only."})
        try:
            return _json(200, await act(bank, request))
        except (ControlError, MutationError) as error:
            return _json(409, {"code": "REFUSED", "message": str(error)})
        except (ValidationError, orjson.JSONDecodeError) as error:
            return _json(400, {"code": "BAD_REQUEST", "message": str(error)})

    return endpoint


def _is_loopback(request: Request) -> bool:
    return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback


def _json(status: int, body: Json) -> Response:
    return Response(dumps(body), status, media_type="application/json")
