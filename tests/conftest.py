import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from sql.database import Database, open_database
from tests.postgres import new_server

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
    with new_server() as server:
        yield server.url
