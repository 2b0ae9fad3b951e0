"""A real Kafka broker on this machine, for proofs and demos: Apache Kafka from Maven's jars, one process, on loopback.

`python -m connector.proving.broker` runs one until Ctrl-C (`make kafka`). Everything it writes is in its directory; it
is started and ended by its process id. Not for production: one node, no replication, no authentication.
"""

from __future__ import annotations

import argparse
import base64
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from connector.proving.foreground import heed_signals
from connector.proving.maven import ToolError, resolved

STARTING_SECONDS: Final = 90.0
ENDING_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 0.05
READY: Final = "Kafka Server started"
_HEAP: Final = ("-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_TOOL_HEAP: Final = ("-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_RESOURCES: Final = files("connector.proving") / "kafka"


class BrokerError(ToolError):
    """The broker cannot be had, or did not do what it should."""


def jars() -> Path:
    """The directory of the broker's jars; resolved by Maven the first time, and kept in the user's cache.

    Raises:
        ToolError: Java or Maven is missing, or Maven cannot fetch them.
    """
    with as_file(_RESOURCES / "pom.xml") as pom:
        return resolved(pom, "a local broker")


def free_port() -> int:
    """A loopback port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _locked(directory: Path) -> int:
    """A lock on a broker's directory: two brokers on the same files destroy them.

    Raises:
        BrokerError: a broker runs there.
    """
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory / "broker.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise BrokerError(
            f"a broker runs already with its files in {directory}: use that one, or give this one a --directory of "
            "its own"
        ) from None
    return descriptor


def _require_free(port: int) -> None:
    """Refuse a port that somebody listens on.

    Raises:
        BrokerError: somebody does.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise BrokerError(
                f"port {port} on 127.0.0.1 is taken: end what listens there, or choose another port "
                f"(make kafka PORT={port + 1})"
            ) from None


class Broker:
    """One broker and controller. Restarted on the same port and data as often as wanted.

    Attributes:
        port: where clients connect, on 127.0.0.1.
    """

    def __init__(self, directory: Path, *, port: int = 0) -> None:
        self.directory = directory
        self.port = port or free_port()
        self._controller_port = free_port()
        self._jars = jars()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None

    @property
    def bootstrap_servers(self) -> str:
        """What clients are given."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None else None

    @property
    def log_path(self) -> Path:
        """What it said, over all its lives."""
        return self.directory / "broker.log"

    def start(self) -> None:
        """Start it and wait until it takes clients.

        Raises:
            BrokerError: its port or its directory is in use; or it ended, or was not up in time: then the end of its
                log is in the message.
        """
        if self._process is not None:
            raise BrokerError("the broker runs already")
        self._lock = _locked(self.directory)
        try:
            _require_free(self.port)
            self._format()
            self._launch(self._lock)
        except BaseException:
            self._unlock()
            raise

    def _launch(self, lock: int) -> None:
        with self.log_path.open("ab") as log:
            place = log.tell()
            self._process = subprocess.Popen(  # noqa: S603  # a fixed command
                self._java(*_HEAP, "kafka.Kafka", str(self._properties_path)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(lock,),  # whoever is left of us, the directory is taken for as long as the broker lives
            )
        deadline = time.monotonic() + STARTING_SECONDS
        while READY.encode() not in self._said(place):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise BrokerError(f"the broker did not start: {self._said(place)[-2000:].decode(errors='replace')}")
            time.sleep(LOOK_SECONDS)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL if that takes too long. Nothing happens where it does not run."""
        process, self._process = self._process, None
        self._unlock()
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """SIGKILL: what was not flushed by the kernel's own pace is what a crash of the process leaves."""
        process, self._process = self._process, None
        self._unlock()
        if process is not None:
            process.kill()
            process.wait()

    def wait(self) -> None:
        """Wait for as long as it runs.

        Raises:
            BrokerError: it ended by itself.
        """
        if self._process is not None:
            self._process.wait()
        raise BrokerError(f"the broker ended by itself; {self.log_path} says why")

    def pause(self) -> None:
        """SIGSTOP: it holds every connection and answers nothing."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def tool(self, name: str, *arguments: str, seconds: float = 60.0, plugins: Path | None = None) -> str:
        """Run one of Kafka's own command-line classes against this broker's jars; what it printed.

        `plugins` is a directory of further jars.

        Raises:
            BrokerError: it failed.
        """
        try:
            done = subprocess.run(  # noqa: S603  # a fixed command
                self._java(*_TOOL_HEAP, name, *arguments, plugins=plugins),
                capture_output=True,
                text=True,
                check=False,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired as late:
            raise BrokerError(f"{name} did not end within {seconds:.0f} s") from late
        if done.returncode != 0:
            raise BrokerError(f"{name} ended with {done.returncode}: {done.stderr[-2000:]}{done.stdout[-2000:]}")
        return done.stdout

    def _unlock(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    @property
    def _properties_path(self) -> Path:
        return self.directory / "server.properties"

    def _java(self, *arguments: str, plugins: Path | None = None) -> list[str]:
        classpath = ":".join(f"{directory}/*" for directory in (self._jars, plugins) if directory is not None)
        with as_file(_RESOURCES / "log4j2.properties") as logging:
            return ["java", f"-Dlog4j2.configurationFile={logging}", "-cp", classpath, *arguments]

    def _said(self, place: int) -> bytes:
        with self.log_path.open("rb") as log:
            log.seek(place)
            return log.read()

    def _format(self) -> None:
        """Lay the broker's storage out, once."""
        self._properties_path.write_text(self._properties(), encoding="utf-8")
        if (self.directory / "data" / "meta.properties").exists():
            return
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        cluster = f"z{cluster[1:]}"  # a leading hyphen would be taken for an option
        self.tool(
            *("kafka.tools.StorageTool", "format", "--standalone"),
            *("-t", cluster, "-c", str(self._properties_path)),
        )

    def _properties(self) -> str:
        return f"""\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{self.port}
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:{self._controller_port}
log.dirs={self.directory}/data
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
log.cleaner.dedupe.buffer.size=2097152
log.cleaner.backoff.ms=500
num.network.threads=2
num.io.threads=4
background.threads=2
"""


@contextmanager
def running_broker(directory: Path, *, port: int = 0) -> Iterator[Broker]:
    """A broker that is up; ended at the end of the block.

    Raises:
        ToolError: it cannot be had.
    """
    broker = Broker(directory, port=port)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


def main() -> int:
    """Run a broker in the foreground until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="make kafka", description=main.__doc__)
    parser.add_argument("--directory", type=Path, default=Path("data/kafka"), help="its files, kept between runs")
    parser.add_argument(
        "--port", type=int, default=9092, help="where clients connect, on 127.0.0.1; 0 takes a free one"
    )
    arguments = parser.parse_args()
    heed_signals()
    try:
        with running_broker(arguments.directory.absolute(), port=arguments.port) as broker:
            sys.stdout.write(
                f"Kafka runs on {broker.bootstrap_servers} (pid {broker.pid}). Ctrl-C ends it.\n"
                f"Its files: {broker.directory}\n"
                "In another terminal:\n"
                "  export ZINDIGI_JOURNAL__KIND=kafka ZINDIGI_KAFKA__REPLICATION_FACTOR=1\n"
                f"  export ZINDIGI_KAFKA__BOOTSTRAP_SERVERS={broker.bootstrap_servers}\n"
                "  .venv/bin/zindigi topics apply\n"
            )
            sys.stdout.flush()
            broker.wait()
    except KeyboardInterrupt:
        sys.stdout.write("Kafka is stopped.\n")
    except ToolError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
