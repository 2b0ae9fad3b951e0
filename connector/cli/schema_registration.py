"""`zindigi schemas register`: the schemas of events, into a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import anyio
from cyclopts import Parameter

from connector.cli.prompts import say
from connector.cli.screen import show_json, show_table
from connector.cli.settings_flags import SettingsFlags

if TYPE_CHECKING:
    from connector.journal.registration import Standing
    from connector.settings import Settings

_NOT_YET = "-"


def register(
    *,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
    flags: SettingsFlags | None = None,
) -> None:
    """Register the schema of every event topic, and hold its subject to FULL_TRANSITIVE compatibility.

    For a pipeline: what is registered already stays as it is, so it may be run at any time. The registry is
    registry.url; a subject is the topic's name and -value. Ends with 78 when a schema is not compatible with what is
    registered (then nothing is), with 75 when the registry is away.

    Args:
        dry_run: Only say what would be done.
        json: One JSON object instead of a table.
        flags: Where settings come from.
    """
    anyio.run(_register, (flags or SettingsFlags()).load().settings, dry_run, json)


async def _register(settings: Settings, dry_run: bool, json: bool) -> None:
    from connector.journal import registration
    from connector.journal.kafka.framing import event_subjects
    from connector.journal.kafka.options import KafkaOptions
    from connector.journal.registry import SchemaRegistry
    from connector.journal.registry_options import registry_options

    options = registry_options(settings)
    wanted = event_subjects(KafkaOptions(settings.kafka.bootstrap_servers, settings.kafka.prefix))
    async with SchemaRegistry(options) as registry:
        before = await (registration.look if dry_run else registration.register)(registry, wanted)
        after = before if dry_run else await registration.look(registry, wanted)
    rows = [_row(old, new, dry_run=dry_run) for old, new in zip(before, after, strict=True)]
    if json:
        show_json({"registry": registry.url, "dry_run": dry_run, "subjects": rows})
        return
    cells = [[_NOT_YET if cell is None else str(cell) for cell in row.values()] for row in rows]
    show_table(("SUBJECT", "VERSION", "ID", "COMPATIBILITY", "DONE"), cells, whole=(0,))
    count = sum(not standing.done for standing in before)
    what = (
        f"{count} of {len(before)} subjects {'to be changed' if dry_run else 'changed'}" if count else "Nothing to do"
    )
    say(f"\n{what} at {registry.url}.")


def _row(before: Standing, after: Standing, *, dry_run: bool) -> dict[str, Any]:
    """A subject: where it stands now, and what was done (or, when dry, would be)."""
    done = "nothing"
    if before.registered is None:
        done = "to register" if dry_run else "registered"
    elif not before.done:
        done = "to set compatibility" if dry_run else "compatibility set"
    return {
        "subject": after.subject.subject,
        "version": after.registered.version if after.registered is not None else None,
        "id": after.registered.schema_id if after.registered is not None else None,
        "compatibility": after.level,
        "done": done,
    }
