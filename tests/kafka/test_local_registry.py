"""The local registry ends with whoever started it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from connector.proving.maven import ToolError
from connector.proving.registry import Registry, running_registry
from tests.kafka.processes import pid_said, started
from tests.support.proofs import quickly

COMMAND = [sys.executable, "-m", "connector.proving.registry"]


@pytest.mark.usefixtures("registry", "ignoring")  # for Java
@pytest.mark.parametrize("number", quickly([signal.SIGINT, signal.SIGTERM], signal.SIGTERM))
def test_it_ends_its_registry_when_it_is_told_to_end(number: signal.Signals) -> None:
    with started(COMMAND) as process:
        pid = pid_said(process)
        process.send_signal(number)
        said, _ = process.communicate(timeout=40)
    assert process.returncode == 0
    assert said.endswith("The schema registry is stopped.\n")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.usefixtures("registry")
@pytest.mark.proof
def test_it_says_when_the_registry_has_ended_by_itself() -> None:
    with started(COMMAND) as process:
        os.kill(pid_said(process), signal.SIGKILL)
        _, said = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "the schema registry ended by itself" in said


def test_one_that_cannot_start_says_why(registry: Registry, tmp_path: Path) -> None:
    taken = int(registry.url.split(":")[2].split("/")[0])
    with (
        pytest.raises(ToolError, match=rf"the schema registry did not start: (.|\n)*{taken}"),
        running_registry(tmp_path, port=taken),
    ):
        raise AssertionError
