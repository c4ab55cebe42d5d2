"""PostgreSQL servers for tests, each in a folder of its own, started and stopped at will."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest


@dataclass(frozen=True)
class Server:
    """A server of the user related_pins; with a password, nobody comes in without it."""

    folder: Path
    programs: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        secret = f":{quote(self.password, safe='')}" if self.password else ""
        return f"postgresql://related_pins{secret}@127.0.0.1:{self.port}/postgres"

    def create(self) -> None:
        secret = self.folder / "secret"
        secret.write_text(self.password + "\n")
        secret.chmod(0o644)
        access = (
            ["-A", "scram-sha-256", "--pwfile", str(secret)] if self.password else ["-A", "trust"]
        )
        self._run("initdb", *access, "-U", "related_pins", "--no-sync")

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("pg_ctl", "-o", options, "-l", f"{self.folder}/log", "-w", "start")

    @property
    def is_running(self) -> bool:
        return (self.folder / "data" / "postmaster.pid").exists()

    def stop(self) -> None:
        self._run("pg_ctl", "-m", "immediate", "-w", "stop")

    def _run(self, program: str, *words: str) -> None:
        user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        command = [*user, str(self.programs / program), "-D", f"{self.folder}/data", *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.folder)


@contextmanager
def new_server(password: str = "") -> Iterator[Server]:
    """A server that runs; the test is skipped where PostgreSQL is not installed."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs or (os.getuid() == 0 and not shutil.which("runuser")):
        pytest.skip("no PostgreSQL server is installed")
    folder = Path(tempfile.mkdtemp(prefix="related_pins_postgres_"))
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(folder, programs[-1], port, password)
    server.create()
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
