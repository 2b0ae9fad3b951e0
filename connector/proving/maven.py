"""What Java programs of proofs need, fetched by Maven the first time and kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from connector.errors import ConnectorError

TOOLS: Final = ("java", "mvn")
INSTALL: Final = "install a JDK of 17 or later and Maven (Debian, Ubuntu: apt install openjdk-17-jdk-headless maven)"
COPY: Final = ("dependency:copy-dependencies", "-DincludeScope=runtime")
UNPACK: Final = ("dependency:unpack-dependencies",)
RESOLVING_SECONDS: Final = 600.0


class ToolError(ConnectorError):
    """A program that a proof needs cannot be had, or did not do what it should."""


def missing_tools() -> tuple[str, ...]:
    """Which of Java and Maven are not on this machine."""
    return tuple(tool for tool in TOOLS if shutil.which(tool) is None)


def resolved(pom: Path, what: str, goal: tuple[str, ...] = COPY) -> Path:
    """A directory with what a pom depends on: its jars, or with `UNPACK` what is in its archives.

    `what` begins the sentence that says what is missing: `a local broker`.

    Raises:
        ToolError: Java or Maven is missing, or Maven cannot fetch them.
    """
    missing = missing_tools()
    if missing:
        raise ToolError(f"{what} needs {' and '.join(missing)}: {INSTALL}")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zindigi-kafka"
    wanted = cache / hashlib.sha256(pom.read_bytes()).hexdigest()[:16]
    if wanted.is_dir():
        return wanted
    cache.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".resolving-", dir=cache))
    try:
        done = subprocess.run(  # noqa: S603  # a fixed command
            [*("mvn", "--batch-mode", "--quiet", "--file", str(pom)), *goal, f"-DoutputDirectory={draft}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=RESOLVING_SECONDS,
        )
        if done.returncode != 0:
            said = [line for line in done.stdout.splitlines() if "ERROR" in line]
            raise ToolError(f"Maven could not fetch what {what} needs: {said[0] if said else done.stderr.strip()}")
        with suppress(OSError):  # another process was quicker: what it has is the same
            draft.rename(wanted)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return wanted
