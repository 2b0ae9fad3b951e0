"""Faults that change what an answer says: fields that moved, entries hidden, cursors repeated, feeds that shift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connector.sandbox.faults import FIELD_KINDS, FaultParams, Kind, Target
from connector.sandbox.replies import Page, Row

if TYPE_CHECKING:
    from connector.sandbox.core import Bank
    from connector.sandbox.wire import Body, Json

_ROOT = "$."
_FIELDS_OF_ONE = {
    "SCHEDULE": ("installment/",),
    "REPAYMENTS": ("repayment/",),
    **dict.fromkeys(("balance", "available"), ("balance/",)),
    **dict.fromkeys(("title", "status", "tier"), ("bank-account/",)),
}
"""Of rows that show several entities: the fields that belong to one of them, beside a loan's own."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A page as it goes out, and the versions that it really shows."""

    body: Body
    shown: list[tuple[str, int]]
    next_token: str | None
    tampered: bool
    cursor_repeated: bool


def tamper(bank: Bank, target: Target, page: Page) -> Outcome:
    """The page with whatever faults do to it."""
    rows, hidden = _hide(bank, target, page.rows)
    repeats = _shown_again(bank, target, page)
    rows = (*repeats, *rows)
    struck = tuple(_strike_row(bank, target, row) for row in rows)
    next_token, repeated = page.next_token, False
    if page.visit.token is not None and next_token is not None and bank.faults.fire("repeat_cursor", target):
        next_token, repeated = page.visit.token, True
    body = page.envelope([row.body for row in struck], next_token)
    shaped = _strike_root(bank, target, body)
    shown = [version for row in struck for version in row.versions] if shaped is body else []
    tampered = hidden or shaped is not body or any(new is not old for new, old in zip(struck, rows, strict=True))
    return Outcome(shaped, shown, next_token, tampered, repeated)


def arrive(bank: Bank, target: Target, page: Page) -> None:
    """After a first page went out: something new at the top, where a fault wants that."""
    begun = page.visit.token is None and page.next_token is not None
    if begun and page.arrival is not None and bank.faults.fire("arrive_while_paging", target):
        bank.mutate(page.arrival)


def tamper_reply(bank: Bank, target: Target, body: Json) -> Json:
    """An answer that is no page, with a field that moved."""
    if not isinstance(body, Mapping):
        return body
    for kind in FIELD_KINDS:
        if params := bank.faults.fire(kind, target):
            body = _change_field(body, kind, params)
    return body


def _hide(bank: Bank, target: Target, rows: tuple[Row, ...]) -> tuple[tuple[Row, ...], bool]:
    fault = bank.faults.find("hide_entry", target)
    if fault is None:
        return rows, False
    wanted = fault.spec.params.entity
    # Where there is a running balance, one that it has to account for.
    posted = [row for row in rows if row.body.get("balance_after") is not None] or list(rows)
    picked = (
        posted[1:-1][:1] if wanted is None else [row for row in rows if row.versions and row.versions[0][0] == wanted]
    )
    if not picked:
        return rows, False
    fault.fired += 1
    return tuple(row for row in rows if row is not picked[0]), True


def _shown_again(bank: Bank, target: Target, page: Page) -> tuple[Row, ...]:
    """An entry of an earlier page, amended since, that turns up on this one too."""
    visit = page.visit
    if visit.token is None or page.shown_again is None or page.amendment is None:
        return ()
    fault = bank.faults.find("mutate_while_paging", target)
    if fault is None:
        return ()
    read = bank.watch.resource(visit.msisdn, visit.resource).current
    here = {version[0] for row in page.rows for version in row.versions}
    served = reversed(read.latest) if read is not None else ()
    earlier = next((entity for entity in served if entity not in here and page.shown_again(entity) is not None), None)
    if earlier is None:
        return ()
    fault.fired += 1
    bank.mutate(page.amendment.model_copy(update={"entity": earlier}))
    row = page.shown_again(earlier)
    return () if row is None else (row,)


def _strike_row(bank: Bank, target: Target, row: Row) -> Row:
    for kind in FIELD_KINDS:
        fault = bank.faults.find(kind, target)
        if fault is None or fault.spec.params.field.startswith(_ROOT):
            continue
        wanted = fault.spec.params.entity
        if wanted is not None and wanted not in {entity for entity, _ in row.versions}:
            continue
        changed = _change_field(row.body, kind, fault.spec.params)
        if changed is not row.body:
            fault.fired += 1
            return Row(changed, _unharmed(row, fault.spec.params.field))
    return row


def _unharmed(row: Row, field: str) -> tuple[tuple[str, int], ...]:
    """The versions that a row still shows when a field moved: those of several that the field is no part of."""
    name = field.split(".", maxsplit=1)[0]
    harmed = _FIELDS_OF_ONE.get(name, ("loan/",) if row.versions[0][0].startswith("loan/") else ())
    if name == "LOAN_ID" or len(row.versions) == 1 or not harmed:
        return ()
    return tuple(version for version in row.versions if not version[0].startswith(harmed))


def _strike_root(bank: Bank, target: Target, body: Body) -> Body:
    for kind in FIELD_KINDS:
        fault = bank.faults.find(kind, target)
        if fault is not None and fault.spec.params.field.startswith(_ROOT):
            fault.fired += 1
            return _change_field(body, kind, fault.spec.params)
    return body


def _change_field(body: Body, kind: Kind, params: FaultParams) -> Body:
    return _changed(body, params.field.removeprefix(_ROOT).split("."), kind, params)


def _changed(body: Body, path: list[str], kind: Kind, params: FaultParams) -> Body:
    name, *rest = path
    if name not in body:
        return body
    if rest:
        inner = body[name]
        if isinstance(inner, Mapping):
            changed = _changed(inner, rest, kind, params)
            return body if changed is inner else {**body, name: changed}
        if isinstance(inner, (list, tuple)):
            items = [_changed(item, rest, kind, params) if isinstance(item, Mapping) else item for item in inner]
            return {**body, name: items}
        return body
    if kind == "field_retyped":
        return {**body, name: params.value}
    others = {key: value for key, value in body.items() if key != name}
    return {**others, params.to or f"{name}_v2": body[name]} if kind == "field_renamed" else others
