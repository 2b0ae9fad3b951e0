"""From settings to the options of the Kafka journal."""

from __future__ import annotations

from connector.errors import ConfigurationError
from connector.journal.kafka.options import KafkaOptions, KafkaSecurity
from connector.journal.registry_options import registry_options
from connector.settings import Settings


def kafka_options(settings: Settings) -> KafkaOptions:
    """What the settings say about the Kafka journal.

    Raises:
        ConfigurationError: a certificate file cannot be used, or the registry that framing needs is not named.
    """
    kafka = settings.kafka
    security = KafkaSecurity(
        protocol=kafka.security_protocol,
        mechanism=kafka.sasl_mechanism,
        username=kafka.username,
        password=kafka.password.get_secret_value() if kafka.password is not None else None,
        ca_file=kafka.ca_file,
    )
    try:
        security.arguments()
    except OSError as error:  # ssl.SSLError is one
        raise ConfigurationError(f"kafka.ca_file = {kafka.ca_file} cannot be used: {error}") from error
    return KafkaOptions(
        bootstrap_servers=kafka.bootstrap_servers,
        prefix=kafka.prefix,
        shard_count=settings.journal.shard_count,
        replication_factor=kafka.replication_factor,
        event_retention_days=kafka.event_retention_days,
        compression=kafka.compression,
        transaction_timeout_seconds=kafka.transaction_timeout_seconds,
        commit_timeout_seconds=kafka.commit_timeout_seconds,
        security=security,
        registry=registry_options(settings) if settings.journal.framing == "confluent" else None,
    )
