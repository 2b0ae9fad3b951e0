"""What goes wrong, on command or by scenario.

A fault waits until a call matches it, fires, and is spent after `count` times (or lasts until it is cleared). This
module only decides *whether* a fault fires; the gateway and the backends say what it does.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from random import Random
from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, JsonValue

Kind: TypeAlias = Literal[
    "expire_token",
    "refresh_expired",
    "refresh_reused",
    "session_ended",
    "device_unbound",
    "pin_lock",
    "app_upgrade",
    "otp_wrong",
    "otp_expired",
    "rate_limit",
    "server_error",
    "latency",
    "cut_body",
    "truncated_json",
    "non_json",
    "trickle",
    "arrive_while_paging",
    "mutate_while_paging",
    "repeat_cursor",
    "invalid_cursor",
    "advance_cash_code",
    "field_renamed",
    "field_retyped",
    "field_missing",
    "hide_entry",
]
Backend: TypeAlias = Literal["auth", "bank", "brokerage", "advance_cash", "z_miles"]
KINDS: tuple[Kind, ...] = get_args(Kind)
FIELD_KINDS: tuple[Kind, ...] = ("field_renamed", "field_retyped", "field_missing")


class FaultParams(BaseModel):
    """What some kinds want to know; each uses the few that concern it.

    `seconds`: latency, trickle, pin_lock. `status`, `code`: server_error, non_json. `retry_after`: rate_limit and
    server_error, whole seconds. `response_code`: advance_cash_code. `minimum`: app_upgrade. `field`: a dotted path in
    an item (`counterparty.name`); `to`: its new name; `value`: its new value. `entity`: strike this entity only.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seconds: Annotated[float, Field(ge=0, le=600)] = 2.0
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    code: str | None = None
    retry_after: Annotated[int, Field(ge=0, le=3600)] | None = None
    response_code: str = "91"
    minimum: str = "9.0.0"
    field: str = "amount"
    to: str | None = None
    value: JsonValue = "not-what-it-was"
    entity: str | None = None


class FaultSpec(BaseModel):
    """A fault as it is ordered. `holder` is a msisdn or a label, `path` a pattern below the base path.

    `count` is how often it fires (for field kinds: how many items it strikes), None for as long as it stands; `rate` is
    the chance that a matching call is struck at all.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    holder: str | None = None
    backend: Backend | None = None
    path: str | None = None
    count: Annotated[int, Field(ge=1)] | None = 1
    rate: Annotated[float, Field(gt=0, le=1)] = 1.0
    params: FaultParams = FaultParams()


@dataclass(slots=True)
class Fault:
    """A standing fault and how often it fired."""

    id: int
    spec: FaultSpec
    fired: int = 0

    @property
    def spent(self) -> bool:
        """Whether it has nothing left to do."""
        return self.spec.count is not None and self.fired >= self.spec.count


@dataclass(frozen=True, slots=True)
class Target:
    """A call, as far as faults look at it; `holder` holds the msisdn and the label where the caller is known."""

    backend: Backend
    path: str
    holder: tuple[str, ...] = ()


class Faults:
    """The faults that stand. Chances are drawn from `seed`, apart from the simulation's."""

    def __init__(self, specs: tuple[FaultSpec, ...], seed: int) -> None:
        self._rng = Random(f"{seed}/faults")
        self._last_id = 0
        self._faults: list[Fault] = []
        for spec in specs:
            self.add(spec)

    def add(self, spec: FaultSpec) -> Fault:
        """Let a fault stand."""
        self._last_id += 1
        fault = Fault(self._last_id, spec)
        self._faults.append(fault)
        return fault

    def clear(self, fault_id: int | None = None) -> int:
        """Take away one fault, or all; gives how many went."""
        kept = [] if fault_id is None else [fault for fault in self._faults if fault.id != fault_id]
        gone = len(self._faults) - len(kept)
        self._faults = kept
        return gone

    def standing(self) -> tuple[Fault, ...]:
        """Every fault not cleared, spent ones too."""
        return tuple(self._faults)

    def fire(self, kind: Kind, target: Target) -> FaultParams | None:
        """What to do to this call, where a fault of the kind strikes it; counts it as fired."""
        fault = self.find(kind, target)
        if fault is None:
            return None
        fault.fired += 1
        return fault.spec.params

    def find(self, kind: Kind, target: Target) -> Fault | None:
        """The fault of the kind that strikes this call, without counting it."""
        for fault in self._faults:
            if fault.spec.kind == kind and not fault.spent and _matches(fault.spec, target):
                return fault if fault.spec.rate >= 1.0 or self._rng.random() < fault.spec.rate else None
        return None


def _matches(spec: FaultSpec, target: Target) -> bool:
    return (
        (spec.backend is None or spec.backend == target.backend)
        and (spec.path is None or fnmatch.fnmatchcase(target.path, spec.path))
        and (spec.holder is None or spec.holder in target.holder)
    )
