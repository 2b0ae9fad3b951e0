"""`zindigi schemas check` and `zindigi schemas release`: what was released, and that nothing breaks it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from connector.avro import schema_directory
from connector.avro.releases import Standing, schema_names, standing
from connector.avro.releases import check as check_releases
from connector.avro.releases import release as keep_release
from connector.cli.exits import UsageError
from connector.cli.prompts import say
from connector.cli.screen import show_json, show_table
from connector.errors import DataError

Json = Annotated[bool, Parameter(negative="")]


def check(*, directory: Path | None = None, json: Json = False) -> None:
    """Prove that every schema is compatible with every released version of it.

    Both ways, with all of them (FULL_TRANSITIVE), and beyond what a schema registry
    looks at: a changed scale, logical type or tag of personal data is refused, too.
    Ends with 1 when something is.

    Args:
        directory: Schemas to check instead of the connector's own.
        json: One JSON object instead of a table.
    """
    place = _with_schemas(directory)
    found, stands = check_releases(place), standing(place)
    if json:
        show_json({"schemas": [asdict(one) for one in stands], "findings": [asdict(one) for one in found]})
    else:
        rows = [(one.name, ", ".join(map(str, one.releases)) or "none", _words(one)) for one in stands]
        show_table(("SCHEMA", "RELEASES", "PRESENT"), rows)
        for one in found:
            say(f"{place}/{one}")
    if found:
        raise DataError(f"released schemas are broken in {len(found)} place{'s' * (len(found) > 1)}")


def _words(one: Standing) -> str:
    if not one.changed:
        return "as released last"
    return "changed since" if one.releases else "never released"


def release(*, directory: Path | None = None) -> None:
    """Keep each schema that changed as its next released version, beside the others.

    For whoever publishes a version of the connector, in a checkout. What breaks an
    earlier release is refused, and nothing is kept.

    Args:
        directory: Schemas to release instead of the connector's own.
    """
    made = keep_release(_with_schemas(directory))
    for path in made:
        print(path)
    if not made:
        say("Every schema is as it was released last.")


def _with_schemas(directory: Path | None) -> Path:
    place = directory or schema_directory()
    if not schema_names(place):
        raise UsageError(f"no Avro schemas (*.avsc) in {place}")
    return place
