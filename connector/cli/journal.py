"""`zindigi journal …`, `zindigi backup`, `zindigi restore`: is the journal whole, and how it goes on when it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import App, Parameter

from connector.cli.exits import DamagedError, DeclinedError
from connector.cli.prompts import agree, say
from connector.cli.screen import show_json
from connector.cli.settings_flags import SettingsFlags
from connector.clock import SystemClock
from connector.errors import ConfigurationError
from connector.master_key import make_master_key, read_key_file, read_master_key
from connector.settings import Settings

journal_app = App(name="journal", help="Is the journal whole, and where does it go on.")

BACKUP_KEY = "backup.key"
Json = Annotated[bool, Parameter(negative="", help="One JSON object a line instead of text.")]
Key = Annotated[Path | None, Parameter(help="The backup key; else backup.key beside vault.master_key_file.")]


@journal_app.command
def verify(*, json: Json = False, flags: SettingsFlags | None = None) -> None:
    """Recompute the chain of every shard: was anything edited, removed, swapped or put back?

    Says shard, commit, table and what is wrong; then it exits with 1. Writes
    nothing. Beside a running connector it sees one moment of the journal.

    Args:
        json: One JSON object a line instead of text.
        flags: Where settings come from.
    """
    effective = (flags or SettingsFlags()).load()
    master_key = read_master_key(effective.settings, effective.sources)
    from connector.runtime.verify import verify as look

    unchecked: list[str] = []
    findings = anyio.run(look, effective.settings, master_key, SystemClock(), unchecked.append)
    for line in unchecked:
        say(f"Not checked: {line}.")
    for finding in findings:
        if json:
            where = {"shard": finding.shard, "commit": finding.commit, "table": finding.table}
            show_json({**where, "what": finding.what})
        else:
            print(finding)
    if findings:
        raise DamagedError(f"the journal is not as it was committed: {len(findings)} findings")
    say(f"{'As far as it could be checked, the' if unchecked else 'The'} journal is as it was committed.")


@journal_app.command(name="new-epoch")
def new_epoch(*, yes: Annotated[bool, Parameter(negative="")] = False, flags: SettingsFlags | None = None) -> None:
    """Have the journal go on as a new branch, from what it holds. Prints the new epoch.

    For a journal that lies behind what was told from it already: consumers are
    told by EpochBegan from where on the old branch is void. Stop the connector
    first.

    Args:
        yes: Do not ask.
        flags: Where settings come from.
    """
    effective = (flags or SettingsFlags()).load()
    master_key = read_master_key(effective.settings, effective.sources)
    if not yes and not agree("Consumers take back what the journal does not hold. Begin a new epoch?"):
        raise DeclinedError("the epoch stays")
    from connector.runtime.new_branch import begin_epoch

    print(anyio.run(begin_epoch, effective.settings, master_key, SystemClock()))


@journal_app.command
def rebuild(*, yes: Annotated[bool, Parameter(negative="")] = False, flags: SettingsFlags | None = None) -> None:
    """Make the state of a Kafka journal anew from its event topics. Prints the new epoch.

    For a state topic that was lost or damaged, where the event topics still hold
    everything that was ever told; where they do not, it says so and changes
    nothing. The journal goes on as a new branch, and the next reads find out
    what happened at the bank meanwhile. Stop the connector first.

    Args:
        yes: Do not ask.
        flags: Where settings come from.
    """
    effective = (flags or SettingsFlags()).load()
    master_key = read_master_key(effective.settings, effective.sources)
    if not yes and not agree("The state is replaced by what the events say. Is the connector stopped, and go on?"):
        raise DeclinedError("the state stays as it is")
    from connector.runtime.new_branch import rebuild_state

    made = anyio.run(rebuild_state, effective.settings, master_key, SystemClock())
    say(f"Made anew: {made.entities} entities in {made.streams} streams of {made.accounts} accounts.")
    print(made.epoch)


def backup(directory: Path, /, *, key: Key = None, flags: SettingsFlags | None = None) -> None:
    """Copy journal and vault together, sealed; a connector may run.

    The key of backups is made on first use. Keep a copy of it, and of the master
    key, somewhere else: without both a backup cannot be opened.

    Args:
        directory: Where the backup goes; made if it is not there.
        key: The backup key; else backup.key beside vault.master_key_file.
        flags: Where settings come from.
    """
    effective = (flags or SettingsFlags()).load()
    settings = effective.settings
    master_key = read_master_key(settings, effective.sources)
    path = key or _key_path(settings)
    if not path.exists():
        make_master_key(path, "a backup key")
        say(f"The key of backups is written to {path}. Keep a copy somewhere else.")
    from connector.runtime import backup as work

    manifest = anyio.run(
        work.back_up, settings, master_key, read_key_file(path, "the backup key"), directory, SystemClock()
    )
    for shard, number in manifest.stamp.commits.items():
        say(f"Shard {shard} as of commit {number}, epoch {manifest.stamp.epoch}.")
    if settings.journal.kind == "kafka":
        say("Of Kafka only the links are in it: topics are the cluster's to keep.")
    print(directory)


def restore(directory: Path, /, *, key: Key = None, flags: SettingsFlags | None = None) -> None:
    """Put a backup where the settings say. Overwrites nothing.

    An embedded journal goes on as a new branch: consumers are told by EpochBegan
    that what was told after the backup is void.

    Args:
        directory: The backup.
        key: The backup key; else backup.key beside vault.master_key_file.
        flags: Where settings come from.
    """
    effective = (flags or SettingsFlags()).load()
    settings = effective.settings
    master_key = read_master_key(settings, effective.sources)
    path = key or _key_path(settings)
    try:
        backup_key = read_key_file(path, "the backup key")
    except FileNotFoundError:
        raise ConfigurationError(f"no backup key: there is no file {path}; name it with --key") from None
    from connector.runtime import backup as work

    print(anyio.run(work.put_back, settings, master_key, backup_key, directory, SystemClock()))


def _key_path(settings: Settings) -> Path:
    return settings.vault.master_key_file.with_name(BACKUP_KEY)
