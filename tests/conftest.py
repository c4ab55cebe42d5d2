import os
from pathlib import Path

import pytest

from sql.database import Database, open_database

ROOT = Path(__file__).parent.parent


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
