"""Scenario files: who banks here, how fast their lives run, and what goes wrong.

A wrong key or value is a `ConfigurationError` that names file, key, value and, for an unknown key, the nearest valid
spelling.
"""

from __future__ import annotations

import difflib
import tomllib
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from connector.errors import ConfigurationError
from connector.sandbox.faults import FaultSpec
from connector.sandbox.mutations import Mutation
from connector.sandbox.routines import Persona
from connector.sandbox.wire import KARACHI

_OPENING_HOUR = 9
_DIRECTORIES = (
    Path(__file__).resolve().parents[2] / "config" / "scenarios",
    Path(__file__).resolve().parents[1] / "_config" / "scenarios",
)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class HolderSpec(_Section):
    """One invented person. `label` is how demos and tests name them; amounts are rupees."""

    label: str = Field(min_length=1)
    tier: Literal["L0", "L1", "ULTRA"]
    persona: Persona
    name: str = Field(min_length=1)
    msisdn: str = Field(pattern=r"^\+923\d{9}$")
    cnic: str = Field(pattern=r"^\d{5}-\d{7}-\d$")
    pin: str = Field(pattern=r"^\d{4,6}$")
    email: str | None = None
    segment: str = "standard"
    minor: bool = False
    accounts: Annotated[int, Field(ge=1, le=2)] = 1
    opening_balance_rupees: Annotated[int, Field(ge=0, le=10_000_000)] = 60_000
    loans_at_once: Annotated[int, Field(ge=0, le=10)] = 1
    entries: Annotated[int, Field(ge=0, le=100_000)] = 0
    """Plain posted entries spread evenly over the history, for the persona `still`."""


class Rates(_Section):
    """What becomes of entries: shares of all entries, except `back_date`, which is late entries a ledger day."""

    amend: Annotated[float, Field(ge=0, le=0.4)] = 0.08
    reverse: Annotated[float, Field(ge=0, le=0.2)] = 0.03
    remove: Annotated[float, Field(ge=0, le=0.2)] = 0.03
    lapse: Annotated[float, Field(ge=0, le=0.2)] = 0.04
    back_date: Annotated[float, Field(ge=0, le=5)] = 0.25


class FrontDoor(_Section):
    """Rules of access; every duration is real seconds."""

    token_seconds: Annotated[float, Field(gt=0)] = 600.0
    refresh_seconds: Annotated[float, Field(gt=0)] = 2_592_000.0
    otp_seconds: Annotated[float, Field(gt=0)] = 300.0
    otp_attempts: Annotated[int, Field(ge=1)] = 3
    otp_resend_seconds: Annotated[float, Field(ge=0)] = 30.0
    pin_attempts: Annotated[int, Field(ge=1)] = 3
    lock_seconds: Annotated[float, Field(gt=0)] = 900.0
    minimum_app: str = Field(default="4.0.0", pattern=r"^\d+\.\d+\.\d+$")
    retention_days: Annotated[int, Field(ge=1)] = 400


class Scenario(_Section):
    """A whole scenario.

    `pace` is ledger seconds a real second, for `free`; `step_seconds` is ledger time, for `lockstep`. The commands of
    `story` are carried out first, in lockstep, one a step; then lives go on by themselves.
    """

    title: str = Field(min_length=1)
    mode: Literal["free", "lockstep"]
    opens_on: date = date(2026, 3, 1)
    history_days: Annotated[int, Field(ge=0, le=800)] = 60
    pace: Annotated[float, Field(ge=0, le=1_000_000)] = 3600.0
    step_seconds: Annotated[float, Field(gt=0)] = 43_200.0
    rates: Rates = Rates()
    front_door: FrontDoor = FrontDoor()
    holders: tuple[HolderSpec, ...] = Field(min_length=1)
    faults: tuple[FaultSpec, ...] = ()
    story: tuple[Mutation, ...] = ()

    @property
    def opens_at(self) -> datetime:
        """The ledger instant at which clients may look: nine in the morning in Karachi."""
        return datetime(self.opens_on.year, self.opens_on.month, self.opens_on.day, _OPENING_HOUR, tzinfo=KARACHI)

    @property
    def step(self) -> timedelta:
        """Ledger time that one step covers."""
        return timedelta(seconds=self.step_seconds)

    @model_validator(mode="after")
    def _distinct_people(self) -> Scenario:
        for what in ("label", "msisdn", "cnic"):
            values = [getattr(holder, what) for holder in self.holders]
            twice = {value for value in values if values.count(value) > 1}
            if twice:
                raise ValueError(f"two holders share the {what} {min(twice)}")
        return self

    @model_validator(mode="after")
    def _told_in_steps(self) -> Scenario:
        if self.story and self.mode != "lockstep":
            raise ValueError("a story is told in steps: mode must be lockstep")
        return self


def load_scenario(source: str | Path) -> Scenario:
    """Read a scenario by path, or by name from `config/scenarios/`.

    Raises:
        ConfigurationError: The file is not there, is no TOML, or says something the sandbox does not understand.
    """
    path = _find(source)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
    try:
        return Scenario.model_validate(_tuples(raw))
    except ValidationError as error:
        raise ConfigurationError("\n".join(_explain(path, error))) from error


def _find(source: str | Path) -> Path:
    path = Path(source)
    if path.suffix == ".toml":
        return path
    for directory in _DIRECTORIES:
        if (directory / f"{source}.toml").is_file():
            return directory / f"{source}.toml"
    known = sorted({found.stem for directory in _DIRECTORIES for found in directory.glob("*.toml")})
    raise ConfigurationError(
        f"no scenario {str(source)!r}; there are {', '.join(known) or 'none'}{_near(str(source), known)}"
    )


def _tuples(value: object) -> object:
    """TOML arrays as tuples, which strict validation wants."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _explain(path: Path, error: ValidationError) -> list[str]:
    lines = []
    for problem in error.errors(include_url=False):
        location = problem["loc"]
        key = ".".join(str(part) for part in location) or "(file)"
        if problem["type"] == "extra_forbidden":
            lines.append(f"{path}: unknown key {key}{_near(str(location[-1]), _valid_keys(location[:-1]))}")
        else:
            value = "" if problem["type"] == "missing" or not location else f" (given: {problem['input']!r})"
            lines.append(f"{path}: {key}: {problem['msg']}{value}")
    return lines


def _valid_keys(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Scenario
    for part in location:
        if isinstance(part, str) and part in model.model_fields:
            annotation = model.model_fields[part].annotation
            inner = [item for item in (annotation, *get_args(annotation)) if isinstance(item, type)]
            model = next((item for item in inner if issubclass(item, BaseModel)), model)
    return list(model.model_fields)


def _near(word: str, known: list[str]) -> str:
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {found[0]}?" if found else ""
