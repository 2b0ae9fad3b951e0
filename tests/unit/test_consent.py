"""The gate: what opens it, and everything that shuts it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connector.consent import Consent, require_consent
from connector.errors import ConsentError

FROM, UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
CONSENT = Consent("c-1", frozenset({"lending", "loyalty"}), FROM, UNTIL, "00" * 32, "ur-PK")
INSTANT = timedelta(microseconds=1)


@pytest.mark.parametrize("at", [FROM, FROM + INSTANT, UNTIL - INSTANT])
def test_it_opens_within_the_consent(at: datetime) -> None:
    assert require_consent(CONSENT, "lending", at) is CONSENT


@pytest.mark.parametrize(
    ("consent", "domain", "at", "why"),
    [
        (None, "lending", FROM, "no consent is on record"),
        (CONSENT, "transactions", FROM, "does not cover transactions"),
        (CONSENT, "", FROM, "does not cover"),
        (CONSENT, "lending", FROM - INSTANT, "begins only at"),
        (CONSENT, "lending", UNTIL, "ended at"),
        (CONSENT, "lending", UNTIL + timedelta(days=400), "ended at"),
        (replace(CONSENT, status="CANC"), "lending", FROM, "is CANC"),
        (replace(CONSENT, status="EXPD"), "lending", FROM, "is EXPD"),
        (replace(CONSENT, domains=frozenset()), "lending", FROM, "does not cover"),
        (replace(CONSENT, valid_until=FROM), "lending", FROM, "ended at"),
    ],
)
def test_it_is_shut_otherwise(consent: Any, domain: str, at: datetime, why: str) -> None:
    with pytest.raises(ConsentError, match=why):
        require_consent(consent, domain, at)


def test_a_status_that_nobody_knows_shuts_it() -> None:
    with pytest.raises(ConsentError):
        require_consent(replace(CONSENT, status="AWAU"), "lending", FROM)  # type: ignore[arg-type]


def test_a_moment_without_a_zone_opens_nothing() -> None:
    with pytest.raises(TypeError):
        require_consent(CONSENT, "lending", datetime(2026, 6, 1))  # noqa: DTZ001  # the point of the test
