"""The local broker: one on a directory, one on a port, and whoever waits for it learns that it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from connector.proving.broker import Broker, BrokerError
from tests.kafka.processes import pid_said, started
from tests.support.proofs import quickly

WAITS = """
import sys
from pathlib import Path
from connector.proving.broker import main
sys.argv = ["make kafka", "--port", "0", "--directory", sys.argv[1]]
sys.exit(main())
"""


def test_a_directory_in_use_is_refused(broker: Broker) -> None:
    with pytest.raises(BrokerError, match="a broker runs already with its files in"):
        Broker(broker.directory).start()


def test_a_port_in_use_is_refused(broker: Broker, tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=rf"port {broker.port} on 127.0.0.1 is taken.*PORT={broker.port + 1}"):
        Broker(tmp_path, port=broker.port).start()
    assert not (tmp_path / "data").exists()


def run(directory: Path) -> AbstractContextManager[subprocess.Popen[str]]:
    return started([sys.executable, "-c", WAITS, str(directory)])


@pytest.mark.usefixtures("broker")  # for Java
def test_it_says_when_the_broker_has_ended_by_itself(tmp_path: Path) -> None:
    with run(tmp_path) as process:
        os.kill(pid_said(process), signal.SIGKILL)
        _, said = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "the broker ended by itself" in said


@pytest.mark.usefixtures("broker", "ignoring")
@pytest.mark.parametrize("number", quickly([signal.SIGINT, signal.SIGTERM], signal.SIGTERM))
def test_it_ends_its_broker_when_it_is_told_to_end(tmp_path: Path, number: signal.Signals) -> None:
    with run(tmp_path) as process:
        pid = pid_said(process)
        process.send_signal(number)
        said, _ = process.communicate(timeout=40)
    assert process.returncode == 0
    assert said.endswith("Kafka is stopped.\n")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.usefixtures("broker")
@pytest.mark.proof
def test_a_broker_whose_starter_was_killed_still_guards_its_directory(tmp_path: Path) -> None:
    with run(tmp_path) as process:
        pid = pid_said(process)
        process.kill()
        process.communicate(timeout=10)
    try:
        with pytest.raises(BrokerError, match="a broker runs already"):
            Broker(tmp_path).start()
    finally:
        os.kill(pid, signal.SIGKILL)
