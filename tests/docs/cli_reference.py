"""Write docs/cli.md from the command line's own help: python -m tests.docs.cli_reference."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

from connector.cli.main import make_app

TARGET = Path(__file__).parents[2] / "docs" / "cli.md"
COMMANDS = (
    "",
    "run",
    "sandbox",
    "link",
    "link connect",
    "link list",
    "link pause",
    "link resume",
    "link remove",
    "link accept-removals",
    "events",
    "topics plan",
    "topics apply",
    "config show",
    "vault init",
)
INTRODUCTION = """\
# Command line

Made from `zindigi --help` and its like by `python -m tests.docs.cli_reference`; a test holds the two together.
"""


def reference() -> str:
    """The whole page."""
    return INTRODUCTION + "".join(
        f"\n## `zindigi{' ' if name else ''}{name}`\n\n```\n{help_of(name)}\n```\n" for name in COMMANDS
    )


def help_of(name: str) -> str:
    """What `--help` prints, for a pipe of 80 columns."""
    printed = io.StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "80"
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            make_app()([*name.split(), "--help"], result_action="return_value")
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    text = "\n".join(line.rstrip() for line in printed.getvalue().strip().splitlines())
    # The examples end every command's help; once on the page is enough.
    return text.split("\n\nExamples:")[0].rstrip() if name else text


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
