"""Links and commands as JSON rows: strict, versioned, the same in every journal.

A durable format. A row of a newer version, with a field too many, too few or of another type is refused, never guessed
at: it decides whose bank is read. Rows are read one by one, so that a bad one costs nobody but its account. Rows of
version 1, which knew no cadence, are read for ever; version 2 is written.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from connector.cadence import parse_mode
from connector.consent import Consent, ConsentStatus
from connector.errors import DataError, JournalError
from connector.links import Command, CommandKind, Link
from connector.ports import Damaged


@lru_cache(maxsize=1024)
def _shared(names: tuple[str, ...]) -> frozenset[str]:
    """Many thousand links ask for the same few sets of domains: they share them."""
    return frozenset(names)


A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C", Link, Command)


def _utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("the instant lies beyond the years that there are") from None


Utc = Annotated[AwareDatetime, AfterValidator(_utc)]
Names = Annotated[list[str], Field(max_length=64)]
_WHOLE = {"union_tag_invalid": "version", "union_tag_not_found": "version"}
"""What is wrong with a row as a whole, where that has a name."""
_ModeText = Annotated[str, AfterValidator(lambda text: str(parse_mode(text)))]


class _Row(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _ConsentRow(_Row):
    consent_id: str
    domains: Names
    valid_from: Utc
    valid_until: Utc
    text_sha256: str
    language: str
    status: ConsentStatus


class _LinkBody(_Row):
    account_id: str = Field(min_length=1)
    generation: int = Field(ge=0)
    route: str
    label: str
    domains: Names
    consent: _ConsentRow | None
    paused: bool
    removed: bool


class _LinkBody2(_LinkBody):
    cadence: dict[str, _ModeText] = Field(max_length=64)


class _LinkRow1(_LinkBody):
    version: Literal[1]


class _LinkRow2(_LinkBody2):
    version: Literal[2]


class _CommandRow1(_Row):
    version: Literal[1]
    command_id: str = Field(min_length=1)
    kind: Literal["connect", "pause", "resume", "remove"]
    account_id: str = Field(min_length=1)
    issued_at: Utc
    link: _LinkBody | None
    domain: str | None


class _CommandRow2(_Row):
    version: Literal[2]
    command_id: str = Field(min_length=1)
    kind: CommandKind
    account_id: str = Field(min_length=1)
    issued_at: Utc
    link: _LinkBody2 | None
    domain: str | None
    resource: str | None = None
    cadence: dict[str, _ModeText | None] = Field(max_length=64)


_LinkRow: TypeAdapter[_LinkRow1 | _LinkRow2] = TypeAdapter(
    Annotated[_LinkRow1 | _LinkRow2, Field(discriminator="version")]
)
_CommandRow: TypeAdapter[_CommandRow1 | _CommandRow2] = TypeAdapter(
    Annotated[_CommandRow1 | _CommandRow2, Field(discriminator="version")]
)


def encode_link(link: Link) -> str:
    """One link as one line of JSON.

    Raises:
        DataError: it cannot be written so that it reads back the same.
    """
    try:
        return _LinkRow2.model_validate({"version": 2, **_link_fields(link)}).model_dump_json()
    except ValueError as error:  # pydantic's two errors are ValueErrors
        raise DataError(f"the link cannot be written: {_reasons(error)}") from None


def decode_link(text: str | bytes) -> Link:
    """The link of one row.

    Raises:
        DataError: the row is not exactly what this version or one before it writes.
    """
    try:
        return _link(_LinkRow.validate_json(text))
    except ValueError as error:
        raise DataError(f"the link cannot be read: {_reasons(error)}") from None


def encode_command(command: Command) -> str:
    """One command as one line of JSON.

    Raises:
        DataError: it cannot be written so that it reads back the same.
    """
    try:
        return _CommandRow2(
            version=2,
            command_id=command.command_id,
            kind=command.kind,
            account_id=command.account_id,
            issued_at=command.issued_at,
            link=_LinkBody2.model_validate(_link_fields(command.link)) if command.link else None,
            domain=command.domain,
            resource=command.resource,
            cadence={name: None if mode is None else str(mode) for name, mode in command.cadence},
        ).model_dump_json()
    except ValueError as error:
        raise DataError(f"the command cannot be written: {_reasons(error)}") from None


def decode_command(text: str | bytes) -> Command:
    """The command of one row.

    Raises:
        DataError: the row is not exactly what this version or one before it writes.
    """
    try:
        row = _CommandRow.validate_json(text)
    except ValueError as error:
        raise DataError(f"the command cannot be read: {_reasons(error)}") from None
    return Command(
        command_id=row.command_id,
        kind=row.kind,
        account_id=row.account_id,
        issued_at=row.issued_at,
        link=_link(row.link) if row.link else None,
        domain=row.domain,
        resource=row.resource if isinstance(row, _CommandRow2) else None,
        cadence=tuple((name, parse_mode(text) if text else None) for name, text in sorted(row.cadence.items()))
        if isinstance(row, _CommandRow2)
        else (),
    )


def readable(
    kind: Literal["link", "command"], key: str, account_id: str, decode: Callable[[str | bytes], C], value: object
) -> C | Damaged:
    """One row by itself: its link or command, else what is wrong with it. Never raises.

    `key` and `account_id` are those under which the row lies: a row that speaks of another account is damaged.
    """
    try:
        # Whatever else a column may hold is as unreadable as an empty row.
        decoded = decode(value if isinstance(value, str | bytes) else b"")
    except DataError as error:
        return Damaged(kind, key, account_id, str(error))
    except Exception as error:  # noqa: BLE001  # whatever one row does to us, the other rows are read
        return Damaged(kind, key, account_id, f"the {kind} cannot be read: {type(error).__name__}")
    if decoded.account_id != account_id:
        return Damaged(kind, key, account_id, f"the {kind} lies under the key of another account")
    return decoded


def sorted_out(rows: Iterable[C | Damaged]) -> tuple[list[C], tuple[Damaged, ...]]:
    """The good ones, and the others, each in their order."""
    good: list[C] = []
    damaged: list[Damaged] = []
    for row in rows:
        if isinstance(row, Damaged):
            damaged.append(row)
        else:
            good.append(row)
    return good, tuple(damaged)


def coded(codec: Callable[[A], B], value: A) -> B:
    """A link or command through its codec.

    Raises:
        JournalError: it cannot be written so that it reads back the same.
    """
    try:
        return codec(value)
    except DataError as error:
        raise JournalError(str(error)) from error


def _link_fields(link: Link) -> dict[str, object]:
    consent = link.consent
    return {
        "account_id": link.account_id,
        "generation": link.generation,
        "route": link.route,
        "label": link.label,
        "domains": sorted(link.domains),
        "consent": _ConsentRow(
            consent_id=consent.consent_id,
            domains=sorted(consent.domains),
            valid_from=consent.valid_from,
            valid_until=consent.valid_until,
            text_sha256=consent.text_sha256,
            language=consent.language,
            status=consent.status,
        )
        if consent
        else None,
        "paused": link.paused,
        "removed": link.removed,
        "cadence": {name: str(mode) for name, mode in link.cadence},
    }


def _link(row: _LinkBody) -> Link:
    consent = row.consent
    return Link(
        account_id=row.account_id,
        generation=row.generation,
        route=row.route,
        label=row.label,
        domains=_shared(tuple(row.domains)),
        consent=Consent(
            consent_id=consent.consent_id,
            domains=_shared(tuple(consent.domains)),
            valid_from=consent.valid_from,
            valid_until=consent.valid_until,
            text_sha256=sys.intern(consent.text_sha256),
            language=sys.intern(consent.language),
            status=consent.status,
        )
        if consent
        else None,
        paused=row.paused,
        removed=row.removed,
        cadence=tuple((name, parse_mode(text)) for name, text in sorted(row.cadence.items()))
        if isinstance(row, _LinkBody2)
        else (),
    )


def _reasons(error: ValueError) -> str:
    """Field and fault, never the value: a label is the operator's, but a row may hold anything."""
    if isinstance(error, ValidationError):
        return "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or _WHOLE.get(item['type'], 'row')}: {item['type']}"
            for item in error.errors(include_url=False, include_input=False, include_context=False)
        )
    return type(error).__name__
