"""A real schema registry on this machine, for proofs and trials: Apicurio Registry from Maven, one process on loopback.

`python -m connector.proving.registry` runs one until Ctrl-C (`make registry`). It keeps everything in memory, speaks
Confluent's API, and is started and ended by its process id. Not for production: what is registered ends with it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from connector.proving.foreground import heed_signals
from connector.proving.maven import UNPACK, ToolError, resolved

STARTING_SECONDS: Final = 90.0
ENDING_SECONDS: Final = 15.0
LOOK_SECONDS: Final = 0.05
CONFLUENT_API: Final = "/apis/ccompat/v7"
_HEAP: Final = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_READY: Final = re.compile(r"Listening on: http://127\.0\.0\.1:(\d+)")
_RESOURCES: Final = files("connector.proving") / "apicurio"


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry that runs. `url` is what `registry.url` is set to."""

    url: str
    process: subprocess.Popen[bytes]

    def wait(self) -> None:
        """Wait for as long as it runs.

        Raises:
            ToolError: it ended by itself.
        """
        self.process.wait()
        raise ToolError("the schema registry ended by itself")


def application() -> Path:
    """The registry's jar; fetched by Maven the first time, and kept in the user's cache.

    Raises:
        ToolError: Java or Maven is missing, or Maven cannot fetch it.
    """
    with as_file(_RESOURCES / "pom.xml") as pom:
        [jar] = resolved(pom, "a local schema registry", UNPACK).glob("*-runner.jar")
    return jar


@contextmanager
def running_registry(directory: Path, *, port: int = 0) -> Iterator[Registry]:
    """A registry that is up, with nothing in it; ended at the end of the block. What it says is in `directory`.

    Raises:
        ToolError: it cannot be had, or was not up in time: then the end of its log is in the message.
    """
    jar = application()
    log_path = directory / "registry.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  # a fixed command
            [
                *("java", *_HEAP, f"-Djava.io.tmpdir={directory}"),
                *("-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={port}", "-jar", str(jar)),
            ],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield Registry(f"http://127.0.0.1:{_bound(process, log_path)}{CONFLUENT_API}", process)
    finally:
        process.terminate()
        try:
            process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _bound(process: subprocess.Popen[bytes], log_path: Path) -> int:
    """The port that it listens on, once it does."""
    deadline = time.monotonic() + STARTING_SECONDS
    while True:
        said = log_path.read_text(encoding="utf-8", errors="replace")
        if ready := _READY.search(said):
            return int(ready[1])
        if process.poll() is not None or time.monotonic() > deadline:
            raise ToolError(f"the schema registry did not start: {said[-2000:]}")
        time.sleep(LOOK_SECONDS)


def main() -> int:
    """Run a registry in the foreground until SIGTERM or Ctrl-C."""
    heed_signals()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="zindigi-registry-") as directory,
            running_registry(Path(directory)) as registry,
        ):
            sys.stdout.write(
                f"A schema registry runs (pid {registry.process.pid}). Ctrl-C ends it and all that is in it.\n"
                "In another terminal:\n"
                f"  export ZINDIGI_REGISTRY__URL={registry.url} ZINDIGI_JOURNAL__FRAMING=confluent\n"
                "  .venv/bin/zindigi schemas register\n"
            )
            sys.stdout.flush()
            registry.wait()
    except KeyboardInterrupt:
        sys.stdout.write("The schema registry is stopped.\n")
    except ToolError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
