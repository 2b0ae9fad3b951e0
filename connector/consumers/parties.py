"""Parties across records: a fold of what each record says by itself, which any record can be left out of again.

Pure, in memory, standard library only; no state of it lives in the connector. It works on the tokens of the `party`
field, so that who folds need not be allowed to see identifiers. Tokens are of one `account_id` each: the same person
has different tokens in the streams of different holders.

Laws, each a property test: the order of records does not matter; leaving out what was taken leaves what was before;
a record told again changes nothing. There is no transitive step: a person is one CNIC, an account one IBAN, and what
was seen together is listed, never merged. So two people cannot become one by an account, a mobile or a name they share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

Kind = Literal["account", "person", "alias"]


class RecordId(NamedTuple):
    """Names a record in all streams."""

    account_id: str
    resource: str
    entity_id: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one version of one transaction says. Everything but `record`, `version` and `at` is a token, or None.

    `feed` is the holder's own account whose line it is; the rest are the fields of `party`.
    """

    record: RecordId
    version: int
    at: datetime
    feed: str | None = None
    account: str | None = None
    person: str | None = None
    alias: str | None = None
    wallet_mobile: str | None = None
    own_transfer: bool = False

    @property
    def names(self) -> tuple[tuple[Kind, str], ...]:
        """The identifiers, by kind."""
        stated: tuple[tuple[Kind, str | None], ...] = (
            ("account", self.account),
            ("person", self.person),
            ("alias", self.alias),
        )
        return tuple((kind, token) for kind, token in stated if token is not None)


class Pointing(NamedTuple):
    """An alias was seen pointing at `account`, with no other account in between, from `first` to `last`.

    Two sightings do not tell what the alias did between them.
    """

    account: str
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Account:
    """One account, by its IBAN. `persons` were named with it: several for a joint account. `own`: the holder's, too."""

    token: str
    own: bool
    persons: frozenset[str]
    aliases: frozenset[str]
    wallet_mobile: str | None
    records: frozenset[RecordId]


@dataclass(frozen=True, slots=True)
class Person:
    """One person, by the CNIC, and what was stated together with it. Holding an account may be shared, so may a phone.

    `records` are those that name the CNIC. A record that names no more than one of the accounts is not among them.
    """

    token: str
    accounts: frozenset[str]
    aliases: frozenset[str]
    records: frozenset[RecordId]


@dataclass(frozen=True, slots=True)
class Alias:
    """One mobile number as a Raast alias: where it was seen pointing, oldest first, and who was named with it."""

    token: str
    pointings: tuple[Pointing, ...]
    persons: frozenset[str]
    records: frozenset[RecordId]


def evidence_of(event: Mapping[str, Any]) -> Evidence | None:
    """What a decoded event says of a party; None when its `after` is no transaction."""
    transaction = (event["after"] or {}).get("transaction")
    if transaction is None:
        return None
    party = transaction.get("party") or {}
    return Evidence(
        record=_record_id(event),
        version=event["entity_version"],
        at=transaction["initiated_at"],
        feed=event["resource"].partition(":")[2] or None,
        account=party.get("account"),
        person=party.get("person"),
        alias=party.get("alias"),
        wallet_mobile=party.get("wallet_mobile"),
        own_transfer=party.get("own_transfer", False),
    )


def _record_id(event: Mapping[str, Any]) -> RecordId:
    return RecordId(event["account_id"], event["resource"], event["entity_id"])


class PartyBook:
    """The fold: takes records, lets go of them, and says what they tell together."""

    def __init__(self, evidence: Iterable[Evidence] = ()) -> None:
        self._held: dict[RecordId, Evidence] = {}
        self._naming: dict[tuple[Kind, str], set[RecordId]] = {}
        self._feeds: dict[str, set[RecordId]] = {}
        for one in evidence:
            self.take(one)

    def apply(self, event: Mapping[str, Any]) -> None:
        """Fold one decoded event of the transactions topic; others pass by. Events of one account come in order."""
        if event["op"] == "d":
            self.leave_out(_record_id(event))
            return
        evidence = evidence_of(event)
        if evidence is not None:
            self.take(evidence)

    def take(self, evidence: Evidence) -> None:
        """Fold one record; in place of its earlier version, never of a later one. O(1)."""
        held = self._held.get(evidence.record)
        if held is not None:
            if held.version > evidence.version:
                return
            self.leave_out(evidence.record)
        self._held[evidence.record] = evidence
        for name in evidence.names:
            self._naming.setdefault(name, set()).add(evidence.record)
        if evidence.feed is not None:
            self._feeds.setdefault(evidence.feed, set()).add(evidence.record)

    def leave_out(self, record: RecordId) -> None:
        """Undo whatever a record led to; nothing happens when it is not held. O(1)."""
        evidence = self._held.pop(record, None)
        if evidence is None:
            return
        for name in evidence.names:
            _discard(self._naming, name, record)
        if evidence.feed is not None:
            _discard(self._feeds, evidence.feed, record)

    def account(self, token: str) -> Account:
        """An account, as of the records held.

        Raises:
            KeyError: no record names it.
        """
        seen = self._seen("account", token)
        return Account(
            token=token,
            own=token in self._feeds or any(one.own_transfer for one in seen),
            persons=_tokens(one.person for one in seen),
            aliases=_tokens(one.alias for one in seen),
            wallet_mobile=next((one.wallet_mobile for one in seen if one.wallet_mobile is not None), None),
            records=frozenset(one.record for one in seen),
        )

    def person(self, token: str) -> Person:
        """A person, as of the records held.

        Raises:
            KeyError: no record names them.
        """
        seen = self._seen("person", token)
        return Person(
            token=token,
            accounts=_tokens(one.account for one in seen),
            aliases=_tokens(one.alias for one in seen),
            records=frozenset(one.record for one in seen),
        )

    def alias(self, token: str) -> Alias:
        """An alias, as of the records held.

        Raises:
            KeyError: no record names it.
        """
        seen = self._seen("alias", token)
        return Alias(
            token=token,
            pointings=_pointings(seen),
            persons=_tokens(one.person for one in seen),
            records=frozenset(one.record for one in seen),
        )

    def tokens(self, kind: Kind) -> frozenset[str]:
        """Every token of a kind that a record names."""
        return frozenset(token for named, token in self._naming if named == kind)

    def own_transfers(self) -> frozenset[RecordId]:
        """Records between the holder's own accounts, those included whose other account came to be known later."""
        return frozenset(
            one.record for one in self._held.values() if one.own_transfer or (one.account or "") in self._feeds
        )

    def __eq__(self, other: object) -> bool:
        return self._held == other._held if isinstance(other, PartyBook) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it changes

    def _seen(self, kind: Kind, token: str) -> list[Evidence]:
        """The evidence that names it, oldest first."""
        naming = [self._held[record] for record in self._naming[kind, token]]
        return sorted(naming, key=lambda one: (one.at, one.record))


def _tokens(tokens: Iterable[str | None]) -> frozenset[str]:
    return frozenset(token for token in tokens if token is not None)


def _pointings(seen: Iterable[Evidence]) -> tuple[Pointing, ...]:
    pointings: list[Pointing] = []
    for one in seen:
        if one.account is None:
            continue
        if pointings and pointings[-1].account == one.account:
            pointings[-1] = pointings[-1]._replace(last=one.at)
        else:
            pointings.append(Pointing(one.account, one.at, one.at))
    return tuple(pointings)


def _discard(index: dict[Any, set[RecordId]], name: object, record: RecordId) -> None:
    records = index[name]
    records.discard(record)
    if not records:
        del index[name]
