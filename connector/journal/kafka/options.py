"""What can be set about the Kafka journal. Times in seconds."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from connector.domains.lifecycle import NAME as LIFECYCLE
from connector.domains.registry import DOMAINS
from connector.journal.registry_options import RegistryOptions
from connector.settings import Framing

EVENT_TOPICS: Final = (*DOMAINS, LIFECYCLE)

MAXIMUM_VALUE_BYTES: Final = 1_000_000
MAXIMUM_BATCH_BYTES: Final = 1_048_588
"""Kafka's own default limit for a batch; set on every topic, so that what a value may be never depends on a broker."""
BATCH_BYTES: Final = 900 * 1024
"""Where a batch ends and the next one begins. A larger record is a batch of its own."""

Compression = Literal["none", "lz4", "zstd"]


@dataclass(frozen=True, slots=True)
class KafkaSecurity:
    """How to prove who we are to the brokers, and how they prove it to us."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None

    def arguments(self) -> dict[str, Any]:
        """What aiokafka's clients are given.

        Raises:
            OSError, ssl.SSLError: `ca_file` cannot be used.
        """
        arguments: dict[str, Any] = {"security_protocol": self.protocol}
        if self.protocol.endswith("SSL"):
            arguments["ssl_context"] = ssl.create_default_context(cafile=self.ca_file)
        if self.protocol.startswith("SASL"):
            arguments |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        return arguments


@dataclass(frozen=True, slots=True)
class KafkaOptions:
    """One deployment on one cluster.

    `prefix` begins the name of every topic and transactional id; `shard_count` is the number of partitions of each
    topic. `commit_timeout_seconds` is after how long the outcome of a commit counts as unknown; it must be well below
    `transaction_timeout_seconds`, after which the broker aborts a transaction that nobody ends. With a `registry` the
    values of events are in Confluent's wire format, by ids of that registry.
    """

    bootstrap_servers: str
    prefix: str = "zindigi"
    shard_count: int = 1
    replication_factor: int = 3
    event_retention_days: float = 365.0
    compression: Compression = "lz4"
    transaction_timeout_seconds: float = 60.0
    commit_timeout_seconds: float = 10.0
    request_timeout_seconds: float = 10.0
    start_timeout_seconds: float = 20.0
    security: KafkaSecurity = KafkaSecurity()
    registry: RegistryOptions | None = None

    @property
    def framing(self) -> Framing:
        """How the values of events are framed: a property of the topics, fixed when they are made."""
        return "confluent" if self.registry is not None else "single-object"

    def topic(self, name: str) -> str:
        """The full name of a topic: `lending` → `zindigi.lending`."""
        return f"{self.prefix}.{name}"

    def transactional_id(self, shard: int) -> str:
        """The transactional id that owning `shard` means having."""
        return f"{self.prefix}-{shard}"

    def client_arguments(self) -> dict[str, Any]:
        """What every client of aiokafka's is given."""
        return {
            "bootstrap_servers": [server.strip() for server in self.bootstrap_servers.split(",")],
            "client_id": f"{self.prefix}-connector",
            "request_timeout_ms": int(self.request_timeout_seconds * 1000),
            **self.security.arguments(),
        }
