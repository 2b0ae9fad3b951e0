"""Copies of the published schemas, and changes to them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from connector.avro import schema_directory

Schema = dict[str, Any]


def schemas_copy(directory: Path) -> Path:
    """All of `schemas/avro/` in `directory`, which must not be there yet."""
    return Path(shutil.copytree(schema_directory(), directory))


def edit(path: Path, change: Callable[[Schema], object]) -> None:
    """Change the schema in a file."""
    schema = json.loads(path.read_text(encoding="utf-8"))
    change(schema)
    path.write_text(json.dumps(schema), encoding="utf-8")


def field_of(schema: Schema, path: str, *, of_record: bool = False) -> Schema:
    """The field at a path as findings give it; with `of_record` the record that it holds, or the schema itself."""
    at: Schema = schema
    field: Schema = schema
    for name in path.split(".") if path else ():
        field = next(one for one in at["fields"] if one["name"] == name)
        options = field["type"] if isinstance(field["type"], list) else [field["type"]]
        at = next((one for one in options if isinstance(one, dict) and one["type"] == "record"), {})
    return at if of_record else field
