import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from sql.database import Database, open_database

ROOT = Path(__file__).parent.parent

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """A fresh SQLite database at the newest schema."""
    fresh = open_database(tmp_path / "related_pins.db")
    fresh.upgrade()
    return fresh


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real photos and logs; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("RELATED_PINS_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}; set RELATED_PINS_SHARED_DATA")
    return folder


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server of its own, or the one in RELATED_PINS_TEST_POSTGRES; else skipped."""
    if url := os.environ.get("RELATED_PINS_TEST_POSTGRES"):
        yield url
        return
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs or (os.getuid() == 0 and not shutil.which("runuser")):
        pytest.skip("no PostgreSQL server is installed and RELATED_PINS_TEST_POSTGRES is not set")
    folder = Path(tempfile.mkdtemp(prefix="related_pins_postgres_"))
    run = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    if run:
        shutil.chown(folder, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data, control = str(folder / "data"), [*run, str(programs[-1] / "pg_ctl")]
    initdb = [*run, str(programs[-1] / "initdb"), "-D", data, "-A", "trust", "-U", "related_pins"]
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder}
    subprocess.run([*initdb, "--no-sync"], **quiet)
    subprocess.run(
        [*control, "-D", data, "-o", options, "-l", f"{folder}/log", "-w", "start"], **quiet
    )
    yield f"postgresql://related_pins@127.0.0.1:{port}/postgres"
    subprocess.run([*control, "-D", data, "-m", "immediate", "-w", "stop"], **quiet)
    shutil.rmtree(folder)
