"""How the schema registry is reached, from the settings."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from connector.errors import ConfigurationError
from connector.settings import Settings


@dataclass(frozen=True, slots=True)
class RegistryOptions:
    """One schema registry. `timeout_seconds` is for a whole request.

    `auto_register`: a start registers what is missing, instead of refusing.
    """

    url: str
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    timeout_seconds: float = 10.0
    auto_register: bool = False

    def tls(self) -> ssl.SSLContext:
        """What the registry's certificate is checked with.

        Raises:
            ConfigurationError: `ca_file` cannot be used.
        """
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:  # ssl.SSLError is one
            raise ConfigurationError(f"registry.ca_file = {self.ca_file} cannot be used: {error}") from error


def registry_options(settings: Settings) -> RegistryOptions:
    """What the settings say about the schema registry.

    Raises:
        ConfigurationError: none is named, or its password would travel in clear.
    """
    registry = settings.registry
    if registry.url is None:
        raise ConfigurationError(
            "registry.url is not set: the address of a schema registry is needed, such as "
            "http://127.0.0.1:8081 ($ZINDIGI_REGISTRY__URL, or [registry] in the configuration file)"
        )
    if registry.password is not None and _in_clear(registry.url):
        raise ConfigurationError(
            f"registry.url = {registry.url}: the password would travel in clear; only https takes one, or loopback"
        )
    return RegistryOptions(
        url=registry.url,
        username=registry.username,
        password=registry.password.get_secret_value() if registry.password is not None else None,
        ca_file=registry.ca_file,
        timeout_seconds=registry.timeout_seconds,
        auto_register=registry.auto_register,
    )


def _in_clear(url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return False
    try:
        return not ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return True
