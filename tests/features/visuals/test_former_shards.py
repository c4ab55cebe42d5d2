from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from features.erasure import erase_files
from features.images.contents import Contents
from features.visuals import former_shards
from features.visuals.former_shards import convert_shards
from features.visuals.shards import read_shard, shard_unreadable, write_shard
from features.visuals.store import VisualStore
from sql.database import Database
from sql.tables import manifest, pin_visuals
from tests.features.pairs.pair_world import DAYS, VERSION, World, filled
from tests.features.visuals.test_shards import same


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    """A home whose shards are Parquet files, to which another version points as well."""
    world = filled(database, tmp_path / "home")
    world.write()
    as_it_was(world)
    VisualStore(database, world.home, "true").copy_from(
        VisualStore(database, world.home, VERSION), ["p01"]
    )
    return world


def as_it_was(world: World) -> None:
    for path in (world.home / "visuals").glob("*/*.arrow"):
        table = pa.ipc.open_file(path.read_bytes()).read_all()
        pq.write_table(table, path.with_suffix(".parquet"), compression="zstd")
        path.unlink()
    with world.database.engine.begin() as connection:
        for column in (pin_visuals.c.shard, manifest.c.path):
            former = sa.func.replace(column, ".arrow", ".parquet")
            connection.execute(sa.update(column.table).values({column.name: former}))


def test_pairs_come_from_former_shards_as_from_new_ones(world: World) -> None:
    assert {path.suffix for path in files(world)} == {".parquet"}
    world.refresh()
    former = world.rows()
    convert_shards(world.database, world.home, VERSION)
    assert {path.suffix for path in files(world)} == {".arrow"}
    world.pins |= {pin: seed + 60 for pin, seed in world.pins.items()}
    world.refresh()
    world.pins |= {pin: seed - 60 for pin, seed in world.pins.items()}
    world.refresh()
    assert world.rows() == former


def test_what_points_to_converted_shards_follows(world: World) -> None:
    (former,) = files(world)
    visuals, unreadable = read_shard(former), shard_unreadable(former)
    assert convert_shards(world.database, world.home, VERSION) == 1
    assert convert_shards(world.database, world.home, VERSION) == 0
    (shard,) = files(world)
    assert all(same(*pair) for pair in zip(read_shard(shard), visuals, strict=True))
    assert shard_unreadable(shard) == unreadable
    path = shard.relative_to(world.home).as_posix()
    for query in (
        "SELECT shard FROM pin_visuals",
        "SELECT path AS shard FROM manifest WHERE step = 'visuals'",
    ):
        assert set(world.database.read(query)["shard"].to_pylist()) == {path}
    with Contents(world.home) as known:
        known.keep_only(VERSION, [path])
        found, _ = known.find(VERSION, [visuals[0].content_hash])
    assert found == {visuals[0].content_hash: path}


def test_a_killed_conversion_shows_nothing_and_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for name in ("write_shard", "shard_unreadable"):
        with monkeypatch.context() as patch:
            patch.setattr(former_shards, name, killed)
            with pytest.raises(KeyboardInterrupt):
                convert_shards(world.database, world.home, VERSION)
    (former,) = files(world)
    write_shard(former.with_suffix(".arrow"), read_shard(former))
    assert world.refresh(DAYS[:1]).pairs == len(world.pairs)
    assert convert_shards(world.database, world.home, VERSION) == 1
    assert [path.suffix for path in files(world)] == [".arrow"]


def test_a_pin_is_erased_from_former_shards(world: World) -> None:
    content = {v.content_hash for v in read_shard(files(world)[0])}
    erase_files(world.database, world.home, "pin", "p02")
    (former,) = files(world)
    assert len(content - {v.content_hash for v in read_shard(former)}) == 1


def files(world: World) -> list[Path]:
    return sorted((world.home / "visuals").glob("*/*"))
