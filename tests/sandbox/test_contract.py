"""The sandbox against its own contract: the document is valid, and generated calls are answered as it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, seed, settings
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate
from schemathesis.config import SchemathesisConfig

from connector.sandbox.app import app_of
from connector.sandbox.clock import ManualClock
from connector.sandbox.core import Bank
from connector.sandbox.replies import Refusal
from connector.sandbox.scenario import load_scenario
from connector.sandbox.sessions import LoginRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENT: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[2] / "schemas" / "openapi" / "zindigi.yaml").read_text(encoding="utf-8")
)
DEVICE = "device-1"


BANK = Bank(load_scenario("lockstep"), 11, ManualClock())
LIFE = BANK.life("borrower")
FEEDS = ("/accounts/{iban}/transactions", "/bills", "/bookings")


def fresh_token() -> str:
    """An access token, fetched at the desk; the first one binds the device."""
    asked = LoginRequest(LIFE.spec.msisdn, DEVICE, LIFE.spec.pin)
    try:
        tokens = BANK.desk.login(asked)
    except Refusal as refusal:
        challenge = str(refusal.extras["challenge_id"])
        tokens = BANK.desk.login(replace(asked, otp=BANK.desk.messages[-1].otp, challenge_id=challenge))
    assert isinstance(tokens, dict)
    return str(tokens["access_token"])


SCHEMA = schemathesis.openapi.from_dict(
    DOCUMENT,
    config=SchemathesisConfig.from_dict(
        {
            "headers": {"X-Device-Id": DEVICE, "X-App-Version": "4.2.0"},
            "parameters": {"path.iban": LIFE.ibans[0]},
            "operations": [
                {
                    "include-path": feed,
                    # A cursor is opaque: the schema cannot say which texts the bank once gave out.
                    "checks": {"positive_data_acceptance": {"expected-statuses": ["200", "304", "400", "401"]}},
                }
                for feed in FEEDS
            ],
        }
    ),
)
SCHEMA.app = app_of(BANK)


@SCHEMA.parametrize()
@seed(20260301)
@settings(
    max_examples=25,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_generated_calls_with_a_session(case: schemathesis.Case[Any]) -> None:
    response = case.call_and_validate(headers={"Authorization": f"Bearer {fresh_token()}"})
    if response.status_code == 400 and case.meta is not None and case.meta.generation.mode.is_positive:
        assert response.json()["code"] == "CURSOR_INVALID"


@SCHEMA.parametrize()
@seed(20260302)
@settings(
    max_examples=15,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_generated_calls_without_a_session(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate()


def _examples() -> Iterator[tuple[str, Any, Any]]:
    """Name, schema and value of every example of a body."""
    named = [(f"response {name}", response) for name, response in DOCUMENT["components"]["responses"].items()]
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            if method == "parameters":
                continue
            answers = operation["responses"].items()
            named += [(f"{method} {path} {status}", answer) for status, answer in answers if "content" in answer]
            if "requestBody" in operation:
                named.append((f"{method} {path} request", operation["requestBody"]))
    for name, holder in named:
        for media in holder.get("content", {}).values():
            values = [example["value"] for example in media.get("examples", {}).values()]
            values += [media["example"]] if "example" in media else []
            yield from ((name, media["schema"], value) for value in values or [None])


@pytest.mark.parametrize(("name", "schema", "value"), list(_examples()))
def test_every_body_has_an_example_that_fits(name: str, schema: dict[str, Any], value: Any) -> None:
    assert value is not None, name
    OAS31Validator({**schema, "components": DOCUMENT["components"]}).validate(value)


def test_responses_may_gain_fields_and_requests_may_not() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    closed = {name for name, schema in schemas.items() if schema.get("additionalProperties") is False}
    assert closed == {"SessionRequest", "ResendRequest", "RefreshRequest", "InquiryRequest"}


def test_the_document_is_valid() -> None:
    validate(DOCUMENT)
