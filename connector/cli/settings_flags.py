"""What every command takes: `--config` and `--set`; and the pieces that they lead to."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from connector.cli.exits import UsageError
from connector.clock import SystemClock
from connector.journal.choice import open_reader
from connector.ports import JournalReader
from connector.settings import Effective, Settings, load_settings
from connector.telemetry import configure_logging, logger


@Parameter(name="*", group="Settings")
@dataclass(frozen=True)
class SettingsFlags:
    """Where settings come from.

    Attributes:
        config: Configuration file; else $ZINDIGI_CONFIG, else config/connector.toml.
        setting: One setting, over file and environment: --set bank.base_url=URL. May be given again.
    """

    config: Path | None = None
    setting: Annotated[list[str], Parameter(name="--set", negative="", consume_multiple=False)] = field(
        default_factory=list
    )

    def load(self) -> Effective:
        """The settings that hold; logging is set up by them.

        Raises:
            ConfigurationError: one is wrong.
            UsageError: `--set` is not KEY=VALUE.
        """
        effective = self.read()
        configure_logging(effective.settings.log, colours=sys.stderr.isatty())
        for name in effective.ignored:
            logger(__name__).warning("environment_ignored", reason=f"{name} is one that Kubernetes sets for a service")
        return effective

    def read(self) -> Effective:
        """The settings that hold; nothing is set up by them.

        Raises: as `load`.
        """
        flags: dict[str, str] = {}
        for item in self.setting:
            key, equals, value = item.partition("=")
            if not equals:
                raise UsageError(f"--set {item}: it must be KEY=VALUE, as in --set bank.base_url=http://127.0.0.1:8642")
            flags[key.strip()] = value.strip()
        return load_settings(self.config, flags)


@asynccontextmanager
async def reading(settings: Settings, *, make: bool = False) -> AsyncIterator[JournalReader]:
    """A reader of the journal; `make` makes an embedded one where there is none.

    Raises:
        ConfigurationError: there is none, or it cannot be used.
        JournalError: it is away.
    """
    reader = await open_reader(settings, SystemClock(), make=make)
    try:
        yield reader
    finally:
        await reader.close()
