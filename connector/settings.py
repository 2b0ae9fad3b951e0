"""Settings: defaults, under `config/connector.toml`, under `ZINDIGI_…` environment variables, under flags.

Every effective value knows its source. Whatever is not understood refuses to start, with key, value, place and the
nearest valid spelling. Knows nothing of what the settings are for; `config/connector.toml` explains each to operators.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from connector.cadence import LIVE, Mode, parse_mode
from connector.domains.model import ResourceKind
from connector.domains.registry import DOMAINS
from connector.errors import ConfigurationError

ENV_PREFIX: Final = "ZINDIGI_"
ENV_NESTING: Final = "__"
CONFIG_VARIABLE: Final = "ZINDIGI_CONFIG"
DEFAULT_CONFIG_PATH: Final = Path("config/connector.toml")
_SERVICE_NAME: Final = re.compile(
    r"ZINDIGI(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR))"
)
_SERVICE_ADDRESS: Final = re.compile(r"ZINDIGI(_[A-Z0-9_]+)?_PORT(_\d+_(TCP|UDP|SCTP))?")
"""Of these the value is an address, such as tcp://10.0.0.1:80."""
MASK: Final = "********"

Framing = Literal["single-object", "confluent"]
"""How the value of an event names its schema: by fingerprint, or by the id that a schema registry gave it."""

_KINDS: Final[dict[str, ResourceKind]] = {kind.name: kind for domain in DOMAINS.values() for kind in domain.resources}


class Section(BaseModel):
    """A table of the configuration file: frozen, and without a key that is not declared."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BankSettings(Section):
    """Where the bank is, and how patient to be with it."""

    base_url: str = Field("http://127.0.0.1:8642", pattern=r"^https?://[^/\s]+/?$")
    app_version: str = Field("4.2.0", pattern=r"^\d+\.\d+\.\d+$")
    clock: Literal["auto", "wall", "simulated"] = "auto"
    connect_timeout_seconds: float = Field(5.0, gt=0)
    read_timeout_seconds: float = Field(20.0, gt=0)
    request_deadline_seconds: float = Field(45.0, gt=0)
    maximum_connections: int = Field(64, ge=1)

    @property
    def tells_time(self) -> bool:
        """Whether the bank's `Date` is the world's time: on `auto`, of every bank but one over plain http."""
        return self.clock == "wall" or (self.clock == "auto" and self.base_url.startswith("https:"))


class SessionSettings(Section):
    """How a bank session is kept alive."""

    refresh_margin_seconds: float = Field(60.0, ge=0)
    refresh_deadline_seconds: float = Field(30.0, gt=0)


class VaultSettings(Section):
    """Where secrets rest, and the key that seals them (one of the two; `master_key` counts first)."""

    path: Path = Path("data/vault.db")
    master_key: SecretStr | None = None
    master_key_file: Path = Path("data/master.key")


class JournalSettings(Section):
    """The durable log."""

    kind: Literal["sqlite", "kafka"] = "sqlite"
    path: Path = Path("data/journal.db")
    shard_count: int = Field(1, ge=1, le=256)
    framing: Framing = "single-object"


class KafkaSettings(Section):
    """The cluster of the Kafka journal, and how to work with it."""

    bootstrap_servers: str = Field("127.0.0.1:9092", pattern=r"^[^\s,:]+:\d+(\s*,\s*[^\s,:]+:\d+)*$")
    prefix: str = Field("zindigi", pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    replication_factor: int = Field(3, ge=1, le=16)
    event_retention_days: float = Field(365.0, gt=0)
    compression: Literal["none", "lz4", "zstd"] = "lz4"
    transaction_timeout_seconds: float = Field(60.0, ge=10, le=900)
    commit_timeout_seconds: float = Field(10.0, ge=1, le=300)
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str | None = None
    password: SecretStr | None = None
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _commit_ends_before_its_transaction(self) -> KafkaSettings:
        if self.commit_timeout_seconds > self.transaction_timeout_seconds / 2:
            raise ValueError("commit_timeout_seconds must be at most half of transaction_timeout_seconds")
        return self


class RegistrySettings(Section):
    """The schema registry that event schemas are registered in, where there is one."""

    url: str | None = Field(None, pattern=r"^https?://[^/\s?#@]+(/[^\s?#@]*)?$")
    username: str | None = None
    password: SecretStr | None = None
    ca_file: Path | None = None
    timeout_seconds: float = Field(10.0, gt=0, le=300)
    auto_register: bool = False


class Cadence(Section):
    """How often one kind of resource is read."""

    head_interval_seconds: float = Field(gt=0)
    reconcile_interval_seconds: float = Field(gt=0)


def _cadence(kind: str) -> Any:  # noqa: ANN401  what pydantic's Field gives
    declared = _KINDS[kind]
    return Field(
        Cadence(
            head_interval_seconds=declared.head_interval_seconds,
            reconcile_interval_seconds=declared.reconcile_interval_seconds,
        )
    )


class _PollingSettings(Section):
    """When and how far to read; beside these a cadence for every kind of resource, under its name."""

    jitter_ratio: float = Field(0.1, ge=0, le=0.5)
    page_limit: int = Field(100, ge=1, le=100)
    head_page_cap: int = Field(10, ge=1)
    read_restart_cap: int = Field(5, ge=1)
    backfill_chunk_pages: int = Field(5, ge=1)
    profile_interval_seconds: float = Field(300.0, gt=0)
    soonest_ratio: float = Field(0.25, gt=0, le=1)
    slowest_ratio: float = Field(2.0, ge=1, le=100)
    snapshot_spread_seconds: float = Field(900.0, ge=0, le=21_600)
    empty_confirm_seconds: float = Field(21_600.0, ge=0, le=2_678_400)

    def cadence(self, kind: str) -> Cadence:
        """The cadence of a kind of resource, by its name."""
        return cast("Cadence", getattr(self, kind))


if TYPE_CHECKING:
    PollingSettings = _PollingSettings
else:
    PollingSettings = create_model(
        "PollingSettings", __base__=_PollingSettings, **{kind: (Cadence, _cadence(kind)) for kind in _KINDS}
    )


CadenceText = Annotated[str, AfterValidator(lambda text: str(parse_mode(text)))]
"""How a domain is read, as `connector.cadence` writes it."""


class _CadenceSettings(Section):
    """How each domain is read, under its name, where a link does not say otherwise."""

    def mode(self, domain: str) -> Mode:
        """The mode of a domain."""
        return parse_mode(getattr(self, domain))


if TYPE_CHECKING:
    CadenceSettings = _CadenceSettings
else:
    CadenceSettings = create_model(
        "CadenceSettings", __base__=_CadenceSettings, **{name: (CadenceText, str(LIVE)) for name in DOMAINS}
    )


class BackendLimits(Section):
    """How hard one backend may be worked, and when to leave it alone."""

    max_concurrency: int = Field(8, ge=1)
    rate_per_second: float = Field(20.0, gt=0)
    breaker_failures: int = Field(5, ge=1)
    breaker_open_seconds: float = Field(30.0, gt=0)


_LIMITS: Final = {
    "bank": BackendLimits(max_concurrency=16, rate_per_second=50.0),
    "advance-cash": BackendLimits(max_concurrency=4, rate_per_second=10.0),
}
"""What is known of a backend; any other has the defaults."""
_BACKENDS: Final = dict.fromkeys(["bank", *(kind.backend for kind in _KINDS.values())])


class _BackendsSettings(Section):
    """Limits of each backend behind the login, under its name with `_` for `-`."""

    def limits(self, backend: str) -> BackendLimits:
        """The limits of a backend, by its name in `connector.domains`."""
        return cast("BackendLimits", getattr(self, backend.replace("-", "_")))


if TYPE_CHECKING:
    BackendsSettings = _BackendsSettings
else:
    BackendsSettings = create_model(
        "BackendsSettings",
        __base__=_BackendsSettings,
        **{name.replace("-", "_"): (BackendLimits, _LIMITS.get(name, BackendLimits())) for name in _BACKENDS},
    )


class CommitSettings(Section):
    """How changes are gathered into commits."""

    linger_seconds: float = Field(0.1, ge=0, le=1)
    checkpoint_seconds: float = Field(60.0, gt=0)


class LogSettings(Section):
    """What is said on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"


class ConsentSettings(Section):
    """What a new consent is, unless the holder is asked for something else."""

    default_days: int = Field(90, ge=1, le=365)


class Settings(BaseSettings):
    """Every setting of the connector. Made by `load_settings`."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=ENV_PREFIX, env_nested_delimiter=ENV_NESTING
    )

    bank: BankSettings = BankSettings()
    session: SessionSettings = SessionSettings()
    vault: VaultSettings = VaultSettings()
    journal: JournalSettings = JournalSettings()
    kafka: KafkaSettings = KafkaSettings()
    registry: RegistrySettings = RegistrySettings()
    cadence: CadenceSettings = CadenceSettings()
    polling: PollingSettings = PollingSettings()
    backends: BackendsSettings = BackendsSettings()
    commit: CommitSettings = CommitSettings()
    shutdown_seconds: float = Field(10.0, gt=0)
    log: LogSettings = LogSettings()
    consent: ConsentSettings = ConsentSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  the signature is pydantic-settings'
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003  likewise
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  likewise
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  likewise
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is given: `load_settings` reads the layers one by one, so as to know where each value is from."""
        return (init_settings,)


@dataclass(frozen=True, slots=True)
class EffectiveValue:
    """One setting as it holds: `text` is masked where it is secret; `source` says where it came from."""

    key: str
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Effective:
    """The settings that hold, and the source of each: `default`, `FILE, line N`, `$VARIABLE` or `--set`."""

    settings: Settings
    sources: Mapping[str, str]
    ignored: tuple[str, ...] = ()
    """Variables that look like ours and are those that Kubernetes sets for every service of a namespace."""

    def values(self) -> Iterator[EffectiveValue]:
        """Every setting in the order of the configuration file, secrets masked."""
        for key in KEYS:
            value: object = self.settings
            for part in key.split("."):
                value = getattr(value, part)
            yield EffectiveValue(key, _text(value), self.sources.get(key, "default"))


def _leaves(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, bool]]:
    """Dotted key of every setting, and whether it is secret."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _leaves(kind, f"{above}{name}.")
        else:
            yield f"{above}{name}", kind == SecretStr | None


_SECRETS: Final = {key for key, secret in _leaves(Settings) if secret}
KEYS: Final = tuple(key for key, _ in _leaves(Settings))
"""Every setting, dotted (`bank.base_url`)."""

_VARIABLES: Final = {ENV_PREFIX + key.upper().replace(".", ENV_NESTING): key for key in KEYS}


def load_settings(config: Path | None = None, flags: Mapping[str, str] | None = None) -> Effective:
    """The settings that hold. `config` names the file (else `ZINDIGI_CONFIG`, else `./config/connector.toml` if there).

    `flags` are dotted keys with their values, as given on the command line.

    Raises:
        ConfigurationError: something is not understood; the message says all of it, a line each.
    """
    path = _config_path(config)
    complaints: list[str] = []
    sources: dict[str, str] = {}
    # Every default is laid down first, so that setting one key of a section leaves that section's others alone.
    merged = Settings().model_dump()
    for layer in (_file_layer(path, complaints), _environment_layer(complaints), _flag_layer(flags or {}, complaints)):
        for key, (value, source) in layer.items():
            sources[key] = source
            _put(merged, key, value)
    settings: Settings | None = None
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        complaints.extend(_complaint(detail, sources) for detail in error.errors(include_url=False))
    if settings is None or complaints:
        raise ConfigurationError("\n".join(complaints))
    return Effective(settings, sources, tuple(_service_links()))


Layer = dict[str, tuple[object, str]]


def _config_path(config: Path | None) -> Path | None:
    named = config or (Path(os.environ[CONFIG_VARIABLE]) if os.environ.get(CONFIG_VARIABLE) else None)
    if named is None:
        return DEFAULT_CONFIG_PATH if DEFAULT_CONFIG_PATH.is_file() else None
    if not named.is_file():
        told = "--config" if config else f"${CONFIG_VARIABLE}"
        raise ConfigurationError(f"there is no configuration file {named} (from {told})")
    return named


def _file_layer(path: Path | None, complaints: list[str]) -> Layer:
    if path is None:
        return {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        tables = TomlConfigSettingsSource(Settings, toml_file=path)()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"the configuration file {path} cannot be read: {error}") from error
    places = _places(path, lines)
    layer: Layer = {}
    for key, value in _flat(tables):
        place = places.get(key, str(path))
        if key in KEYS:
            layer[key] = (value, place)
        elif any(known.startswith(f"{key}.") for known in KEYS):
            complaints.append(f"{key} is a section, not a value ({place})")
        else:
            complaints.append(f"unknown setting {key} ({place}){nearest(key, KEYS)}")
    return layer


def _environment_layer(complaints: list[str]) -> Layer:
    ours = {name for name in os.environ if name.startswith(ENV_PREFIX)} - {CONFIG_VARIABLE}
    given = ours.difference(_service_links())
    complaints.extend(
        f"unknown environment variable {name}{nearest(name, _VARIABLES)}"
        for name in sorted(given)
        if name not in _VARIABLES
    )
    nested = EnvSettingsSource(Settings, env_prefix=ENV_PREFIX, env_nested_delimiter=ENV_NESTING)() if given else {}
    names = {key: name for name, key in _VARIABLES.items()}
    return {key: (value, f"${names[key]}") for key, value in _flat(nested) if key in names}


def _service_links() -> list[str]:
    """Variables that Kubernetes sets in every container for a service called `zindigi`, or `zindigi-…`."""
    named = (name for name in sorted(os.environ) if name not in _VARIABLES and ENV_NESTING not in name)
    return [
        name
        for name in named
        if _SERVICE_NAME.fullmatch(name) or (_SERVICE_ADDRESS.fullmatch(name) and "://" in os.environ[name])
    ]


def _flag_layer(flags: Mapping[str, str], complaints: list[str]) -> Layer:
    layer: Layer = {}
    for key, value in flags.items():
        if key in KEYS:
            layer[key] = (value, "--set")
        else:
            complaints.append(f"unknown setting {key} (--set){nearest(key, KEYS)}")
    return layer


def _flat(tables: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, object]]:
    for name, value in tables.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _put(tables: dict[str, Any], key: str, value: object) -> None:
    *sections, name = key.split(".")
    for section in sections:
        tables = tables.setdefault(section, {})
    tables[name] = value


def _places(path: Path, lines: list[str]) -> dict[str, str]:
    """`FILE, line N` of every key, for files written as ours is: a `[section]` a line, a `key = value` a line."""
    places: dict[str, str] = {}
    section = ""
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text.startswith("[") and text.split("#")[0].rstrip().endswith("]"):
            section = text.split("#")[0].strip("[] \t") + "."
        elif "=" in text and not text.startswith("#"):
            places[section + text.split("=")[0].strip()] = f"{path}, line {number}"
    return places


def _complaint(detail: Mapping[str, Any], sources: Mapping[str, str]) -> str:
    key = ".".join(str(part) for part in detail["loc"])
    given = detail["input"]
    # What is wrong with a whole section is not shown by all that is in it, and an address may hold a password.
    address = isinstance(given, str) and "@" in given and not key.startswith("cadence.")
    shown = MASK if key in _SECRETS or isinstance(given, Mapping) or address else repr(given)
    problem = detail["msg"].removeprefix("Value error, ")
    problem = problem[0].lower() + problem[1:]
    expected = (detail.get("ctx") or {}).get("expected")
    suggestion = ""
    if detail["type"] == "literal_error" and expected:
        words = [word.strip(" '") for word in expected.replace(" or ", ",").split(",")]
        suggestion = nearest(str(detail["input"]), words)
    return f"{key} = {shown} ({sources.get(key, 'default')}): {problem}{suggestion}"


def nearest(name: str, known: Iterable[str]) -> str:
    """`: did you mean X?` by the whole name, else by what is after or before its last dot; nothing is near: nothing."""
    candidates = list(known)
    found = difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)
    if not found:
        last = name.rpartition(".")[2]
        by_last = {candidate.rpartition(".")[2]: candidate for candidate in reversed(candidates)}
        found = [by_last[match] for match in difflib.get_close_matches(last, by_last, n=1, cutoff=0.7)]
    if not found:
        sections = {candidate.rpartition(".")[0] for candidate in candidates} - {""}
        near = difflib.get_close_matches(name.rpartition(".")[0], sorted(sections), n=1, cutoff=0.7)
        found = [f"a key of {section}" for section in near]
    return f": did you mean {found[0]}?" if found else ""


def _text(value: object) -> str:
    if value is None:
        return "(not set)"
    return MASK if isinstance(value, SecretStr) else str(value)
