"""Consent: the record that the holder agreed to, and the gate asked before every read and every commit.

Pure: the moment is an argument. The gate fails closed: no record, no reading.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from connector.errors import ConsentError

ConsentStatus = Literal["AUTH", "EXPD", "CANC"]
"""OBIE consent codes: authorised, expired, cancelled (revoked)."""


@dataclass(frozen=True, slots=True)
class Consent:
    """What the holder agreed to.

    `domains` are names of registered domains; `valid_from` ≤ t < `valid_until` (UTC) is when it holds;
    `text_sha256` is the hex digest of the exact text that was shown, `language` its BCP 47 tag.
    """

    consent_id: str
    domains: frozenset[str]
    valid_from: datetime
    valid_until: datetime
    text_sha256: str
    language: str
    status: ConsentStatus = "AUTH"


def require_consent(consent: Consent | None, domain: str, at: datetime, *, latest: datetime | None = None) -> Consent:
    """The consent that lets `domain` be read, or committed, at the instant `at`.

    `latest` is an instant that is known to have come, though the clock may have been set back since: what had ended by
    then stays ended.

    Raises:
        ConsentError: there is none, it was withdrawn, `at` is outside it, or it does not name the domain.
    """
    if consent is None:
        raise ConsentError("no consent is on record for this account")
    if consent.status != "AUTH":
        raise ConsentError(f"consent {consent.consent_id} is {consent.status}, not AUTH")
    if at < consent.valid_from:
        raise ConsentError(f"consent {consent.consent_id} begins only at {consent.valid_from.isoformat()}")
    if max(at, latest or at) >= consent.valid_until:
        raise ConsentError(f"consent {consent.consent_id} ended at {consent.valid_until.isoformat()}")
    if domain not in consent.domains:
        raise ConsentError(f"consent {consent.consent_id} does not cover {domain}")
    return consent
