"""Parties: every spelling of an IBAN, CNIC or mobile number, and whom a record's own evidence names.

Pure. What can be read gets one canonical form; what cannot stays as it came, in its own field, and is flagged: nothing
is guessed and nothing dropped. Identifiers leave this module only as tokens under the data subject's own key.

What evidence is worth: the same valid IBAN is the same *account*, the same full CNIC the same *person*. A mobile number
(a Raast alias) points at an account for a time and is shared in families: alone it names neither. A name never does.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType, ValidationResult
from stdnum import iban as stdnum_iban
from stdnum.exceptions import ValidationError
from stdnum.pk import cnic as stdnum_cnic

IBAN_INVALID: Final = "IBAN_INVALID"
"""Not of an IBAN's form, or its check digits do not fit: it names no account."""
WALLET_IBAN: Final = "WALLET_IBAN"
"""JSBL, 99999 and a mobile number: by its form the wallet of that number. A heuristic; no bank states it."""
CNIC_INVALID: Final = "CNIC_INVALID"
"""Not 13 digits, or no number that is given out (masked, say, or a filler): it names no person."""
CNIC_UNLIKELY: Final = "CNIC_UNLIKELY"
"""A full CNIC whose first digit is of no region that is known here. It names a person all the same."""
ALIAS_INVALID: Final = "ALIAS_INVALID"
"""Not a telephone number."""
ALIAS_UNLIKELY: Final = "ALIAS_UNLIKELY"
"""A telephone number of a possible length, in no range that is given out as far as is known here."""
ALIAS_NOT_MOBILE: Final = "ALIAS_NOT_MOBILE"
"""A telephone number, but no mobile's."""
OWN_MOBILE: Final = "OWN_MOBILE"
"""The alias, or the mobile of the wallet, is the holder's own number. Alone that proves no own transfer."""

ACCOUNT: Final = "ACCOUNT"
PERSON: Final = "PERSON"
ALIAS: Final = "ALIAS"

Keying = Callable[[str], str]
"""Text → an opaque token, the same one every time for one data subject, telling nothing to who has not the key."""

_REGION: Final = "PK"
_METADATA: Final = phonenumbers.PhoneMetadata.metadata_for_region(_REGION)
if _METADATA is None or _METADATA.mobile is None:
    raise ImportError("phonenumbers knows nothing of Pakistan")
_LOCAL_MOBILE: Final = re.compile(rf"(?:(?:\+|00)?92|0)?({_METADATA.mobile.national_number_pattern})")
_NUMBER: Final = re.compile(r"\+?[0-9]{3,20}")
_MOBILE_TYPES: Final = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})

_IBAN: Final = re.compile(r"[A-Z]{2}(?!00|01|99)[0-9]{2}[A-Z0-9]{11,30}")
_LOCAL_IBAN: Final = re.compile(r"PK(?!00|01|99)[0-9]{2}[A-Z]{4}[A-Z0-9]{16}")
_WALLET_IBAN: Final = re.compile(r"PK[0-9]{2}JSBL999990(3[0-9]{9})")
_LETTER_VALUES: Final = str.maketrans({chr(ord("A") + place): str(place + 10) for place in range(26)})
_CHECK_MODULUS: Final = 97

_CNIC: Final = re.compile(r"(?!([0-9])\1{12})[1-9][0-9]{11}[1-9]")
"""13 digits, not all the same. The last one tells male or female: 0 tells neither."""

_SEPARATORS: Final = dict.fromkeys(map(ord, " \t\n\r\v\f-.()"))
_DROPPED_CATEGORIES: Final = frozenset({"Cf", "Pd", "Zs", "Zl", "Zp"})
"""Format characters (direction marks, joiners, soft hyphens), dashes and spaces."""
_INVISIBLE: Final = frozenset(
    "\N{COMBINING GRAPHEME JOINER}\N{HANGUL FILLER}\N{HANGUL CHOSEONG FILLER}\N{HANGUL JUNGSEONG FILLER}"
    "\N{HALFWIDTH HANGUL FILLER}\N{BRAILLE PATTERN BLANK}\N{MINUS SIGN}"
    + "".join(map(chr, (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)
"""What else shows nothing (fillers, variation selectors), and the dash that is no dash by its category."""


class Spelled(NamedTuple):
    """What a spelling is read as: its canonical form, None where it cannot be read, and what is odd about it."""

    canonical: str | None
    flags: tuple[str, ...] = ()


class Stated(NamedTuple):
    """Identifiers as they were stated, in whatever spelling; each may be missing."""

    iban: str | None = None
    cnic: str | None = None
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Own:
    """The holder's own identifiers, as tokens."""

    accounts: frozenset[str] = frozenset()
    persons: frozenset[str] = frozenset()
    mobiles: frozenset[str] = frozenset()


NOBODY: Final = Own()
"""No identifier of the holder's is known."""


@dataclass(frozen=True, slots=True)
class Party:
    """Whom one record's own evidence names. Every identifier is a token under the data subject's key.

    `party_id` is the token of the strongest evidence and `party_kind` says what it names: an ACCOUNT (by its IBAN), a
    PERSON (by the CNIC), or no more than an ALIAS, which different people may use; both are None where there is none.
    `account` is the token that also names the feed of an own account. `wallet_mobile` is the number within a wallet's
    IBAN. `own_transfer`: the account is the holder's, or the person is the holder.
    """

    party_id: str | None
    party_kind: str | None
    account: str | None
    person: str | None
    alias: str | None
    wallet_mobile: str | None
    own_transfer: bool
    flags: tuple[str, ...]


# ── Spellings ───────────────────────────────────────────────────────────────────────────────────────────────────────


def read_mobile(text: str) -> Spelled:
    """A telephone number in E.164 form (`+923001234567`); one without a country code is of Pakistan."""
    plain = _plain(text)
    local = _LOCAL_MOBILE.fullmatch(plain)
    if local:
        # The same as below, at a twentieth of the cost: nearly every number is of Pakistan.
        return Spelled(f"+92{local[1]}")
    # The parser would read letters as digits, and extensions.
    if not _NUMBER.fullmatch(plain):
        return Spelled(None, (ALIAS_INVALID,))
    try:
        number = phonenumbers.parse(plain, _REGION)
    except NumberParseException:
        return Spelled(None, (ALIAS_INVALID,))
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        return Spelled(None, (ALIAS_INVALID,))
    canonical = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    # A number is valid for the library exactly when it has a type there.
    kind = phonenumbers.number_type(number)
    if kind == PhoneNumberType.UNKNOWN:
        return Spelled(canonical, (ALIAS_UNLIKELY,))
    return Spelled(canonical) if kind in _MOBILE_TYPES else Spelled(canonical, (ALIAS_NOT_MOBILE,))


def read_iban(text: str) -> Spelled:
    """An IBAN of any country without separators, in capitals; its structure and check digits fit."""
    plain = text if _LOCAL_IBAN.fullmatch(text) else _plain(text).upper()
    if _LOCAL_IBAN.fullmatch(plain):
        # The same as below, at a tenth of the cost: nearly every IBAN is of Pakistan.
        fits = int((plain[4:] + plain[:4]).translate(_LETTER_VALUES)) % _CHECK_MODULUS == 1
        flags = (WALLET_IBAN,) if _WALLET_IBAN.fullmatch(plain) else ()
        return Spelled(plain, flags) if fits else Spelled(None, (IBAN_INVALID,))
    if not _IBAN.fullmatch(plain):
        return Spelled(None, (IBAN_INVALID,))
    try:
        return Spelled(stdnum_iban.validate(plain, check_country=False))
    except ValidationError:
        return Spelled(None, (IBAN_INVALID,))


def read_cnic(text: str) -> Spelled:
    """A CNIC as its 13 digits."""
    plain = _plain(text)
    if not _CNIC.fullmatch(plain):
        return Spelled(None, (CNIC_INVALID,))
    # The library knows the regions 1 to 7; Azad Kashmir's numbers begin with 8.
    return Spelled(plain) if plain[0] in stdnum_cnic.PROVINCES else Spelled(plain, (CNIC_UNLIKELY,))


def wallet_mobile(iban: str) -> str | None:
    """The mobile number (E.164) whose wallet a canonical IBAN is, by its form; None where it has not that form."""
    form = _WALLET_IBAN.fullmatch(iban)
    return f"+92{form[1]}" if form else None


def _plain(text: str) -> str:
    """`text` without what separates, marks or shows nothing, every decimal digit in its ASCII form."""
    plain = text.translate(_SEPARATORS)
    return plain if plain.isascii() else "".join(map(_plain_character, plain))


def _plain_character(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    return "" if category in _DROPPED_CATEGORIES or character in _INVISIBLE else character


# ── Evidence ────────────────────────────────────────────────────────────────────────────────────────────────────────


def own_identifiers(*, ibans: Iterable[str], cnic: str | None, mobile: str | None, key: Keying) -> Own:
    """The identifiers by which own transfers are known; what cannot be read marks none."""
    person, number = _read(read_cnic, cnic).canonical, _read(read_mobile, mobile).canonical
    return Own(
        accounts=frozenset(_account_token(iban, key) for text in ibans if (iban := read_iban(text).canonical)),
        persons=frozenset({_person_token(person, key)} if person else ()),
        mobiles=frozenset({_mobile_token(number, key)} if number else ()),
    )


def name_party(stated: Stated, own: Own, key: Keying) -> Party:
    """Whom the identifiers of one record name, by themselves: nothing is taken from any other record."""
    iban, cnic, mobile = _read(read_iban, stated.iban), _read(read_cnic, stated.cnic), _read(read_mobile, stated.alias)
    wallet = wallet_mobile(iban.canonical) if iban.canonical else None
    account = _account_token(iban.canonical, key) if iban.canonical else None
    person = _person_token(cnic.canonical, key) if cnic.canonical else None
    alias = _mobile_token(mobile.canonical, key) if mobile.canonical else None
    wallet_token = None
    if wallet is not None:
        wallet_token = alias if wallet == mobile.canonical else _mobile_token(wallet, key)
    party_id, party_kind = strongest(account, person, alias)
    flags = iban.flags + cnic.flags + mobile.flags
    return Party(
        party_id=party_id,
        party_kind=party_kind,
        account=account,
        person=person,
        alias=alias,
        wallet_mobile=wallet_token,
        own_transfer=account in own.accounts or person in own.persons,
        flags=(*flags, OWN_MOBILE) if alias in own.mobiles or wallet_token in own.mobiles else flags,
    )


class PartyNaming:
    """`name_party` for one holder. Remembers for as long as it lives: the same few people come up again and again."""

    __slots__ = ("_key", "_named", "_own")

    def __init__(self, own: Own, key: Keying) -> None:
        self._own = own
        self._key = key
        self._named: dict[Stated, Party] = {}

    def of(self, stated: Stated) -> Party | None:
        """Whom the identifiers name; None where there are none."""
        party = self._named.get(stated)
        if party is None and any(stated):
            party = self._named[stated] = name_party(stated, self._own, self._key)
        return party


def strongest(account: str | None, person: str | None, alias: str | None) -> tuple[str | None, str | None]:
    """The strongest evidence with what it names: IBAN over CNIC over alias."""
    if account is not None:
        return account, ACCOUNT
    if person is not None:
        return person, PERSON
    return alias, None if alias is None else ALIAS


_ABSENT: Final = Spelled(None)


def _read(reader: Callable[[str], Spelled], text: str | None) -> Spelled:
    return reader(text) if text else _ABSENT


def _account_token(iban: str, key: Keying) -> str:
    # No prefix: the same token names the feed of an own account.
    return key(iban)


def _person_token(cnic: str, key: Keying) -> str:
    return key(f"cnic/{cnic}")


def _mobile_token(mobile: str, key: Keying) -> str:
    return key(f"mobile/{mobile}")
