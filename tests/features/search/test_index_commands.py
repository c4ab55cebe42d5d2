"""The commands about the index, on a home of random visuals."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from features.search.generation import current, index_folder
from features.search.index_commands import index_app
from sql.database import Database
from sql.lock import Busy, locked
from tests.features.search.indexed import VERSION, publish

PINS = {f"p{n:02}": f"content{n:02}" for n in range(20)}


@pytest.fixture
def home(database: Database, tmp_path: Path) -> Path:
    publish(database, tmp_path, {"a": PINS})
    database.mark_done("feature_version", "detected", VERSION, 0, feature_version=VERSION)
    return tmp_path


def run(home: Path, *arguments: str) -> str:
    done = CliRunner().invoke(index_app, [*arguments, "--home", str(home)])
    if done.exception:
        raise done.exception
    return done.stdout


def test_build_update_and_status_say_what_there_is(database: Database, home: Path) -> None:
    printed = run(home, "build")
    made = current(index_folder(home, VERSION))
    assert made is not None
    assert f"{made.n_objects:,} objects and 20 images of 20 pins" in printed
    assert "Next: related-pins search IMAGE" in printed
    assert "up to date" in run(home, "update")
    publish(database, home, {"a": dict(list(PINS.items())[1:]), "b": {"q": "other"}})
    assert "Next: related-pins index update" in run(home, "status")
    found = json.loads(run(home, "status", "--json"))
    assert (found["images_to_add"], found["images_to_remove"]) == (1, 1)
    updated = json.loads(run(home, "update", "--json"))
    assert (updated["added"], updated["kept"], updated["removed"]) == (1, 19, 1)
    assert "Next" not in run(home, "status")


def test_a_build_clears_what_killed_commands_left(home: Path) -> None:
    leftover = home / "visuals" / VERSION / ".a.arrow.4194305"  # beyond the largest process id
    leftover.write_bytes(b"half a shard")
    run(home, "build")
    assert not leftover.exists()


def test_one_command_at_a_time(home: Path) -> None:
    with locked(home, None, "daily"), pytest.raises(Busy, match="related-pins daily"):
        run(home, "build")


def test_what_to_do_first_is_said(database: Database, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="related-pins daily"):
        run(tmp_path / "nowhere", "build")
    with pytest.raises(ValueError, match="related-pins features"):
        run(tmp_path, "build")
    database.mark_done("feature_version", "detected", VERSION, 0, feature_version=VERSION)
    with pytest.raises(ValueError, match="related-pins index build"):
        run(tmp_path, "status")
