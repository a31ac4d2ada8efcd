"""A PostgreSQL server on a free port of this machine, from the system's package."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


def _executable(name: str) -> str | None:
    """Debian keeps the server's programs out of the path."""
    folders = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), *Path("/usr/pgsql").glob("bin")]
    return next((str(folder / name) for folder in folders if (folder / name).exists()), shutil.which(name))


class PostgresServer:
    """Its own data, no password, no durability: it is fast, and gone with the tests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        # It refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        initdb, postgres = _executable("initdb"), _executable("postgres")
        assert initdb is not None
        assert postgres is not None
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        data = str(self._folder / "data")
        options = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync", "--no-locale")
        subprocess.run(  # noqa: S603  # a test's own
            [initdb, "-D", data, *options], check=True, capture_output=True, user=self._user, cwd=self._folder
        )
        settings = [f"port={self.port}", "listen_addresses=127.0.0.1", "fsync=off", f"unix_socket_directories={data}"]
        arguments = [part for setting in settings for part in ("-c", setting)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # a test's own
                [postgres, "-D", data, *arguments], stdout=log, stderr=log, user=self._user, cwd=self._folder
            )
        deadline = time.monotonic() + 30
        while not self._accepts():
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, "the server does not respond"
            time.sleep(0.05)

    def _accepts(self) -> bool:
        ready = _executable("pg_isready")
        assert ready is not None
        probe = [ready, "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(probe, check=False).returncode == 0  # noqa: S603  # a test's own

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
            self._process = None


def running() -> Iterator[PostgresServer]:
    """The body of a fixture: a server that is started, and stopped in the end."""
    if _executable("initdb") is None:
        pytest.skip("PostgreSQL is not installed")
    if os.geteuid() == 0 and "postgres" not in {entry.pw_name for entry in pwd.getpwall()}:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    # Not below pytest's folder, which nobody but its owner may enter.
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        server = PostgresServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()
