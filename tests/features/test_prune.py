from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa

from features.prune import TABLES, prunable, prune
from features.visuals.shards import read_shard, write_shard
from features.visuals.store import VisualStore
from sql.database import Database
from tests.features.pairs.pair_world import DAYS, filled
from tests.features.visuals.visuals_for_tests import random_visual
from tests.sql.conftest import server

__all__ = ["server"]


@pytest.fixture
def home(database: Database, tmp_path: Path) -> Path:
    """A current version, one with true boxes whose rows point to its shards, an old one."""
    for version in ("now", "old", "older"):
        path = f"visuals/{version}/x.arrow"
        write_shard(tmp_path / path, [random_visual(1, ("bag",), content="aa")])
        database.mark_done("visuals", f"{version}/x", "x", 1, path, version)
    for version, shard in (("now", "now"), ("true", "now"), ("old", "old"), ("older", "older")):
        row = {"feature_version": version, "pin_id": "p1", "content_hash": "aa",
               "shard": f"visuals/{shard}/x.arrow"}  # fmt: skip
        keys = {"query_pin_id": "p1", "candidate_pin_id": "p2", "feature_version": version}
        database.append(TABLES[0], pa.Table.from_pylist([row]))
        database.append(TABLES[3], pa.Table.from_pylist([keys]))
        database.mark_done("rankings", f"2026-11-1{len(version)}/{version}", "x", 1,
                           feature_version=version)  # fmt: skip
    return tmp_path


def names(database: Database, home: Path, *keep: str, current: tuple[str, ...]) -> list[str]:
    return [found.feature_version for found in prunable(database, home, current, keep)]


def test_what_is_current_kept_or_read_stays(database: Database, home: Path) -> None:
    assert names(database, home, current=("now", "true")) == ["old", "older"]
    assert names(database, home, "old", current=("now", "true")) == ["older"]
    assert names(database, home, current=("true",)) == ["old", "older"]  # its shards are now's


def test_sizes_are_those_of_rows_and_files(database: Database, home: Path) -> None:
    old = prunable(database, home, ("now", "true"))[0]
    shard = home / "visuals" / "old" / "x.arrow"
    assert old.shards == (shard,)
    assert old.n_bytes == shard.stat().st_size
    assert {name: n for name, n in old.rows.items() if n} == {
        "pin_visuals": 1, "pair_features": 1, "manifest": 1,
    }  # fmt: skip


def test_pruning_takes_rows_and_files_of_that_version_only(database: Database, home: Path) -> None:
    for found in prunable(database, home, ("now", "true")):
        prune(database, found)
    for table in (TABLES[0], TABLES[3]):
        left = database.read(sa.select(table.c.feature_version))["feature_version"].to_pylist()
        assert sorted(left) == ["now", "true"]
    assert [path.name for path in (home / "visuals").iterdir()] == ["now"]
    assert prunable(database, home, ("now", "true")) == []
    assert list(VisualStore(database, home, "true").read(["p1"])) == ["p1"]
    ranked = database.read("SELECT piece FROM manifest WHERE step = 'rankings'")
    assert ranked.num_rows == 4  # what was ranked is history and stays


def test_a_pruning_that_was_killed_after_the_rows_goes_on(database: Database, home: Path) -> None:
    old = prunable(database, home, ("now", "true", "older"))[0]
    for table in (TABLES[0], TABLES[3], TABLES[-1]):
        with database.engine.begin() as connection:
            connection.execute(sa.delete(table).where(table.c.feature_version == "old"))
    again = prunable(database, home, ("now", "true", "older"))[0]
    assert again.shards == old.shards
    prune(database, again)
    assert not (home / "visuals" / "old").exists()


def test_the_plain_version_can_go_without_any_image_being_looked_at_again(
    database: Database, home: Path
) -> None:
    """What was projected has shards of its own; see VisualStore.project_from."""
    mine, plain = VisualStore(database, home, "now"), VisualStore(database, home, "old")
    prune(database, prunable(database, home, ("now", "true", "older"))[0])
    mine.project_from(plain, lambda vectors: vectors)
    assert [v.content_hash for v in read_shard(home / "visuals/now/x.arrow")] == ["aa"]


def test_partitions_of_a_version_are_dropped(server: Database, tmp_path: Path) -> None:
    pruned, kept = "aaaaaaaaaaaa", "bbbbbbbbbbbb"
    for version in (pruned, kept):
        filled(server, tmp_path, version).refresh()
    left = tmp_path / "pairs" / pruned / "pair_features-x.parquet"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"of a killed process")
    found = prunable(server, tmp_path, (kept,))
    assert [each.feature_version for each in found] == [pruned]
    assert found[0].rows["pair_features"] == found[0].rows["pair_interest"] / 2 > 0
    prune(server, found[0])
    names = relations(server)
    assert not [name for name in names if pruned in name]
    assert len([name for name in names if kept in name]) == 1 + len(DAYS)
    assert prunable(server, tmp_path, (kept,)) == []
    assert not (tmp_path / "visuals" / pruned).exists()
    assert not left.parent.exists()


def relations(server: Database) -> list[str]:
    """The names of all tables in the schema of partitions."""
    query = "SELECT relname FROM pg_class WHERE relnamespace = 'partitions'::regnamespace"
    names: list[str] = server.read(f"{query} AND relkind = 'r'")["relname"].to_pylist()
    return names


def test_an_unknown_version_to_keep_is_an_error(database: Database, home: Path) -> None:
    with pytest.raises(ValueError, match="no feature version nothing; there are now, old"):
        prunable(database, home, ("now",), ("nothing",))
