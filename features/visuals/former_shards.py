"""Visual shards that were written as Parquet files, made into what they are now."""

from pathlib import Path

import sqlalchemy as sa

from features.visuals.shards import FORMER, SUFFIX, read_shard, shard_unreadable, write_shard
from sql.database import Database
from sql.tables import manifest, pin_visuals


def convert_shards(database: Database, home: Path, feature_version: str) -> int:
    """Converts the feature version's shards, and what points to them in any version, in one
    transaction; the number of shards. Killed and called again, it goes on.
    """
    like = f"visuals/{feature_version}/%{FORMER}"
    query = sa.select(manifest.c.path).where(
        manifest.c.step == "visuals", manifest.c.path.like(like)
    )
    paths = [path for path in database.read(query)["path"].to_pylist() if (home / path).exists()]
    for path in paths:
        former = home / path
        if not former.with_suffix(SUFFIX).exists():
            write_shard(former.with_suffix(SUFFIX), read_shard(former), shard_unreadable(former))
    if paths:
        with database.engine.begin() as connection:
            for column in (pin_visuals.c.shard, manifest.c.path):
                now = sa.func.replace(column, FORMER, SUFFIX)
                connection.execute(
                    sa.update(column.table).where(column.like(like)).values({column.name: now})
                )
    for former in (home / "visuals" / feature_version).glob(f"*{FORMER}"):
        if former.with_suffix(SUFFIX).exists():
            former.unlink()
    return len(paths)
