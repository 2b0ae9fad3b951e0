"""Write docs/cli.md from the command line's own help: python -m tests.docs.cli_reference."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

from cyclopts import App

from connector.cli.main import make_app

TARGET = Path(__file__).parents[2] / "docs" / "cli.md"
INTRODUCTION = """\
# Command line

Made from `zindigi --help` and its like by `python -m tests.docs.cli_reference`; a test holds the two together.
"""


def reference() -> str:
    """The whole page."""
    return INTRODUCTION + "".join(
        f"\n## `{' '.join(['zindigi', *words])}`\n\n```\n{help_of(words)}\n```\n" for words in commands(make_app())
    )


def commands(app: App, *above: str) -> Iterator[tuple[str, ...]]:
    """Every command and group of commands, as it is typed."""
    yield above
    for name in app:
        if not name.startswith("-"):
            yield from commands(app[name], *above, name)


def help_of(words: tuple[str, ...]) -> str:
    """What `--help` prints, for a pipe of 80 columns."""
    printed = io.StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "80"
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            make_app()([*words, "--help"], result_action="return_value")
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    text = "\n".join(line.rstrip() for line in printed.getvalue().strip().splitlines())
    # The examples end every command's help; once on the page is enough.
    return text.split("\n\nExamples:")[0].rstrip() if words else text


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
