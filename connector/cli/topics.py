"""`zindigi topics …`: the topics of the Kafka journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import anyio
from cyclopts import App, Parameter

from connector.cli.exits import UsageError
from connector.cli.prompts import say
from connector.cli.screen import show_json, show_table
from connector.cli.settings_flags import SettingsFlags
from connector.clock import SystemClock
from connector.journal.kafka.options import KafkaOptions
from connector.journal.kafka.settled import kafka_options

if TYPE_CHECKING:
    from connector.journal.kafka.topics import TopicsPlan

topics_app = App(name="topics", help="The topics of the Kafka journal.")

Json = Annotated[bool, Parameter(negative="")]


@topics_app.command
def plan(*, json: Json = False, flags: SettingsFlags | None = None) -> None:
    """Show which topics `zindigi topics apply` would make. Changes nothing.

    Ends with 78 when a topic is there with another partition count, policy or framing.

    Args:
        json: One JSON object instead of a table.
        flags: Where settings come from.
    """
    from connector.journal.kafka.topics import plan_topics

    options = _options(flags)
    _show(anyio.run(plan_topics, options, SystemClock()), options, json=json, made=False)


@topics_app.command
def apply(*, json: Json = False, flags: SettingsFlags | None = None) -> None:
    """Make the topics that are missing, and nothing else. A topic that is there is never altered.

    Args:
        json: One JSON object instead of a table.
        flags: Where settings come from.
    """
    from connector.journal.kafka.topics import apply_topics

    options = _options(flags)
    _show(anyio.run(apply_topics, options, SystemClock()), options, json=json, made=True)


def _options(flags: SettingsFlags | None) -> KafkaOptions:
    settings = (flags or SettingsFlags()).load().settings
    if settings.journal.kind != "kafka":
        raise UsageError(f"journal.kind is {settings.journal.kind}: it has no topics (--set journal.kind=kafka)")
    return kafka_options(settings)


def _show(plan: TopicsPlan, options: KafkaOptions, *, json: bool, made: bool) -> None:
    rows = [(spec.name, str(spec.partition_count), spec.config["cleanup.policy"]) for spec in plan.create]
    if json:
        create = [
            {"topic": spec.name, "partitions": spec.partition_count, "config": dict(spec.config)}
            for spec in plan.create
        ]
        show_json(
            {"made" if made else "create": create, "framing": options.framing, "differences": list(plan.differences)}
        )
    elif rows:
        show_table(("TOPIC", "PARTITIONS", "POLICY"), rows)
        count = f"{len(rows)} topic{'s' if len(rows) > 1 else ''}"
        say(f"\n{count} {'made' if made else 'to be made'} on {options.bootstrap_servers}; framing {options.framing}.")
    elif not plan.differences:
        say("Every topic is there, as it must be.")
    plan.require_none_differs()
