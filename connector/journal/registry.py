"""A schema registry, by Confluent's REST API: what is registered, under which ids, and registering.

Every trouble comes out as the error taxonomy, with what to do about it. The registry's own words are passed on, cut
short: they may speak of schemas, which are public. Neither user nor password is ever in a text or a log.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import anyio
import httpx

from connector import __version__
from connector.errors import ConfigurationError, ConnectorError, RateLimitedError, UnavailableError
from connector.journal.registry_options import RegistryOptions

FULL_TRANSITIVE: Final = "FULL_TRANSITIVE"

_MEDIA_TYPE: Final = "application/vnd.schemaregistry.v1+json"
_OK: Final = 200
_NOT_FOUND: Final = 404
_TOO_MANY: Final = 429
_SERVER_ERRORS: Final = 500
_REFUSALS: Final = {
    401: (
        "does not know us (401): registry.username and registry.password ($ZINDIGI_REGISTRY__PASSWORD) must be those "
        "of a user of it"
    ),
    403: (
        "forbids this{about} (403): the user of registry.username needs the right to it. Reading is enough to run; "
        "`zindigi schemas register` needs writing"
    ),
    409: (
        "refuses the schema{about}: it is not compatible with the versions that are registered (409). {words}. "
        "Consumers of those could not read what it writes, or the other way round: begin new topics under another "
        "kafka.prefix, or go back to the release before"
    ),
    422: "cannot use what it was sent{about} (422): {words}",
}
_ABSENT: Final = frozenset({40401, 40402, 40403, 40408})
"""Subject, version, schema, or a subject's own level of compatibility: a registry that knows none of it."""
_WORDS_LIMIT: Final = 400

# Both write whole addresses at INFO or DEBUG.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Registration:
    """A schema as it is registered: under which id in the registry, and as which version of its subject."""

    schema_id: int
    version: int


class SchemaRegistry:
    """A client. `transport` replaces the network in tests. To be used as a context, or closed.

    Every call raises:
        ConfigurationError: the registry refuses us or what we send, or is none at all.
        RetryableError: it is away, in trouble, or asks us to slow down.
    """

    def __init__(self, options: RegistryOptions, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.url = options.url.rstrip("/")
        self._timeout_seconds = options.timeout_seconds
        self._client = httpx.AsyncClient(
            auth=httpx.BasicAuth(options.username or "", options.password or "") if options.username else None,
            headers={"Accept": f"{_MEDIA_TYPE}, application/json", "User-Agent": f"zindigi-connector/{__version__}"},
            timeout=options.timeout_seconds,
            transport=transport or httpx.AsyncHTTPTransport(verify=options.tls()),
            trust_env=False,  # no password from a .netrc, no proxy that nobody set here
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Release connections."""
        await self._client.aclose()

    async def find(self, subject: str, schema: str) -> Registration | None:
        """What this schema is registered as under a subject; None where it is not."""
        answer = await self._ask("POST", f"/subjects/{quote(subject, safe='')}", {"schema": schema}, subject)
        return None if answer is None else Registration(self._whole(answer, "id"), self._whole(answer, "version"))

    async def register(self, subject: str, schema: str) -> int:
        """Register a schema under a subject; its id. One that is there already keeps the id that it has."""
        answer = await self._ask("POST", f"/subjects/{quote(subject, safe='')}/versions", {"schema": schema}, subject)
        return self._whole(answer or {}, "id")

    async def schema(self, schema_id: int) -> str | None:
        """The text of the schema with an id; None where there is none."""
        answer = await self._ask("GET", f"/schemas/ids/{schema_id}")
        if answer is None:
            return None
        text = answer.get("schema")
        if not isinstance(text, str) or answer.get("schemaType", "AVRO") != "AVRO":
            raise ConfigurationError(f"schema {schema_id} of the registry {self.url} is not an Avro schema")
        return text

    async def compatibility(self, subject: str) -> str | None:
        """The level of compatibility that is set for a subject; None where only the registry's own one counts."""
        answer = await self._ask("GET", f"/config/{quote(subject, safe='')}", None, subject)
        return None if answer is None else str(answer.get("compatibilityLevel"))

    async def set_compatibility(self, subject: str, level: str) -> None:
        """Set a subject's level of compatibility; the subject need not exist yet."""
        await self._ask("PUT", f"/config/{quote(subject, safe='')}", {"compatibility": level}, subject)

    async def incompatibility(self, subject: str, schema: str) -> str | None:
        """Why a schema would be refused under a subject, by the level that is set for it; None where it would not."""
        path = f"/compatibility/subjects/{quote(subject, safe='')}/versions?verbose=true"
        answer = await self._ask("POST", path, {"schema": schema}, subject)
        if answer is None or answer.get("is_compatible") is True:
            return None
        reasons = answer.get("messages") or [answer.get("reason") or "the registry gives no reason"]
        return _cut(" ".join(map(str, reasons)))

    async def _ask(
        self, method: str, path: str, payload: dict[str, str] | None = None, subject: str | None = None
    ) -> dict[str, Any] | None:
        """The answer's object; None where the registry says that it does not know the thing."""
        headers = {"Content-Type": _MEDIA_TYPE} if payload is not None else {}
        try:
            with anyio.fail_after(self._timeout_seconds):
                response = await self._client.request(method, self.url + path, json=payload, headers=headers)
        except (TimeoutError, httpx.TimeoutException):
            raise UnavailableError(
                f"the schema registry {self.url} did not answer within {self._timeout_seconds:g} s "
                "(registry.timeout_seconds)"
            ) from None
        except httpx.HTTPError as error:
            raise UnavailableError(
                f"the schema registry {self.url} cannot be reached ({type(error).__name__}): "
                "is it up, and registry.url its address?"
            ) from None
        told = _object(response)
        if response.status_code == _NOT_FOUND and told is not None and told.get("error_code") in _ABSENT:
            return None
        if response.status_code != _OK:
            raise self._refusal(response, told, subject)
        if told is None:
            raise self._no_registry(f"answers {method} with something else than a JSON object")
        return told

    def _refusal(self, response: httpx.Response, told: dict[str, Any] | None, subject: str | None) -> ConnectorError:
        status = response.status_code
        words = _cut(str((told or {}).get("message") or "it gives no reason"))
        about = f" for {subject}" if subject else ""
        if status in _REFUSALS:
            text = _REFUSALS[status].format(about=about, words=words)
            return ConfigurationError(f"the schema registry {self.url} {text}")
        if status == _TOO_MANY:
            wish = response.headers.get("Retry-After", "")
            seconds = float(wish) if wish.isdigit() else None
            return RateLimitedError(f"the schema registry {self.url} asks to slow down", retry_after_seconds=seconds)
        if status >= _SERVER_ERRORS:
            return UnavailableError(f"the schema registry {self.url} is in trouble ({status}): {words}")
        return self._no_registry(f"answers {status}")

    def _no_registry(self, what: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self.url} {what}, as no schema registry does: registry.url must be the root of its Confluent API "
            "(Confluent's own: http://HOST:8081; Apicurio: http://HOST:8080/apis/ccompat/v7)"
        )

    def _whole(self, answer: dict[str, Any], name: str) -> int:
        number = answer.get(name)
        if not isinstance(number, int):
            raise self._no_registry(f"tells no {name}")
        return number


def _object(response: httpx.Response) -> dict[str, Any] | None:
    try:
        told = response.json()
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def _cut(words: str) -> str:
    plain = " ".join(words.split())
    return plain if len(plain) <= _WORDS_LIMIT else f"{plain[:_WORDS_LIMIT]}…"
