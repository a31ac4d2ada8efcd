"""A Redis or Valkey server on a free port of this machine, from the system's package."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

EXECUTABLE = shutil.which("redis-server") or shutil.which("valkey-server")


class RedisServer:
    """Starts with `start`, dies with `kill`, and keeps its data in `folder` if told to persist."""

    def __init__(
        self, folder: Path, *, persistent: bool = False, options: tuple[str, ...] = (), highest_port: int = 65_535
    ) -> None:
        self._folder, self._backup = folder, folder.with_name(folder.name + " copy")
        kept = ("--appendonly", "yes", "--appendfsync", "always") if persistent else ("--appendonly", "no")
        self._options = ("--save", "", *kept, *options)
        self.port = highest_port + 1
        while self.port > highest_port:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        assert EXECUTABLE is not None
        self._folder.mkdir(exist_ok=True)
        place = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder))
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([EXECUTABLE, *place, *self._options], stdout=log, stderr=log)  # noqa: S603  # a test's own
        deadline = time.monotonic() + 20
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, "the server does not respond"
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    def kill(self) -> None:
        """End it at once, as a crash does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self, *, keep_data: bool = True) -> None:
        self.kill()
        if not keep_data:
            shutil.rmtree(self._folder)
        self.start()

    def back_up(self) -> None:
        """Keep a copy of the data."""
        shutil.rmtree(self._backup, ignore_errors=True)
        shutil.copytree(self._folder, self._backup)

    def restart_from_backup(self) -> None:
        """Lose what was written since the copy was made, as a server does that saves now and then."""
        self.kill()
        shutil.rmtree(self._folder)
        shutil.copytree(self._backup, self._folder)
        self.start()

    def pause(self) -> None:
        """Leave it running but silent."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)


def running(folder: Path, **given: Any) -> Iterator[RedisServer]:
    """The body of a fixture: a server that is started, and killed in the end."""
    if EXECUTABLE is None:
        pytest.skip("neither redis-server nor valkey-server is installed")
    server = RedisServer(folder, **given)
    server.start()
    try:
        yield server
    finally:
        server.kill()
