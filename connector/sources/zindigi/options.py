"""What can be set about the app-session route."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from connector.errors import ConfigurationError
from connector.limits import MAXIMUM_BODY_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class ZindigiOptions:
    """Where the bank is and how patient to be with it.

    `base_url` is scheme, host and port, without the API's own path; plain http is for loopback only.

    Raises:
        ConfigurationError: `base_url` is no such URL.
    """

    base_url: str
    app_version: str = "4.2.0"
    connect_timeout_seconds: float = 5.0
    read_timeout_seconds: float = 20.0
    request_deadline_seconds: float = 45.0
    refresh_deadline_seconds: float = 30.0
    refresh_margin_seconds: float = 60.0
    refresh_pause_seconds: float = 2.0
    maximum_connections: int = 64
    maximum_body_bytes: int = MAXIMUM_BODY_BYTES
    transactions_page_limit: int = 100
    points_page_limit: int = 200
    orders_page_size: int = 100

    def __post_init__(self) -> None:
        try:
            url = urlsplit(self.base_url)
            host, _ = url.hostname, url.port
        except ValueError:
            host, url = None, urlsplit("")
        if not host or url.scheme not in {"http", "https"} or url.username or url.query or url.fragment:
            raise ConfigurationError("the bank's base_url must be scheme, host and port, as in https://host:443")
        if url.scheme == "http" and not _is_loopback(host):
            raise ConfigurationError("the bank's base_url must be https: plain http is for loopback only")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
