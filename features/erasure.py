"""Erasure of a pin or user from the files under home: shards, looks, indexes, images, pictures,
reports, logs.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow.parquet as pq
import sqlalchemy as sa

from features.images.contents import forget_contents
from features.images.remote import RemoteImages
from features.pairs.store import STEP
from features.search.build import erase_pin
from features.visuals.shards import FORMER, keep_in_shard, shard_hashes, shards_under
from sql.database import Database
from sql.erasure import mentions
from sql.tables import manifest, pin_visuals, pins


def erase_files(database: Database, home: Path, kind: str, id: str) -> list[Path]:
    """Takes a pin or user out of the files under home; the files that were rewritten or removed.

    Of a pin: the vectors of every image content that no other pin has, in the shards of every
    version, among the looks and in every search index; all that was kept in mind of contents
    (features/images/contents.py); its remote image that was kept; pair shards of jobs that were
    killed; its pictures; and every report, since reports show photos without naming them. Of a
    user: the pictures and reports that name it. Of both: the lines of logs that name them. To be
    called while the pin's rows are still there: they say which contents others hold. Files are
    rewritten aside and renamed, so that a killed call is simply made again.
    """
    changed = []
    if kind == "pin":
        kept = _contents_of_others(database, id)
        for leftover in (home / "visuals").glob("*/.*"):  # of a job that was killed
            leftover.unlink()
        for shard in shards_under(home / "visuals"):
            if _kept_only(shard, kept):
                changed.append(shard)
                _record(database, shard, shard.relative_to(home).as_posix())
        for looks in sorted((home / "looks").glob("*")):
            if _rewritten(looks, "key", lambda key: key.split(" ")[0] in kept):
                changed.append(looks)
        changed += erase_pin(home, id, kept)
        changed += [*_erase_remote(database, home, id), *forget_contents(home)]
        changed += _erase_pair_shards(database, home)
    changed += [log for log in _files(home / "logs") if _without_lines(log, id)]
    pictures = [p for p in _files(home / "pictures") if mentions(p.name, id)]
    reports = [p for p in _files(home / "reports") if kind == "pin" or mentions(_text(p), id)]
    for path in (*pictures, *reports):
        path.unlink()
    return [*changed, *pictures, *reports]


def _erase_pair_shards(database: Database, home: Path) -> list[Path]:
    """All of them: they are of a job that was killed, and name pins."""
    with database.engine.begin() as connection:
        connection.execute(sa.delete(manifest).where(manifest.c.step == STEP))
    shards = list(_files(home / "pairs"))
    for path in shards:
        path.unlink()
    return shards


def _erase_remote(database: Database, home: Path, pin: str) -> list[Path]:
    with database.engine.connect() as connection:
        image = connection.execute(sa.select(pins.c.image).where(pins.c.pin_id == pin)).scalar()
        shared = sa.select(pins.c.pin_id).where(pins.c.image == image, pins.c.pin_id != pin)
        others = connection.execute(shared).first()
    if image is None or "://" not in image or others:
        return []
    return RemoteImages(home / "remote").forget(image)


def _without_lines(path: Path, id: str) -> bool:
    """Whether the text file had lines that name the id; it has them no more."""
    lines = _text(path).splitlines(keepends=True)
    kept = [line for line in lines if not mentions(line, id)]
    if len(kept) == len(lines):
        return False
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text("".join(kept))
    aside.replace(path)
    return True


def _contents_of_others(database: Database, pin: str) -> frozenset[str]:
    query = sa.select(pin_visuals.c.content_hash).where(pin_visuals.c.pin_id != pin).distinct()
    return frozenset(database.read(query)["content_hash"].to_pylist())


def _kept_only(shard: Path, kept: frozenset[str]) -> bool:
    """Whether the visual shard had images that are not to be kept; it has them no more."""
    if shard.suffix == FORMER:
        return _rewritten(shard, "content_hash", kept.__contains__)
    return keep_in_shard(shard, kept.__contains__)


def _rewritten(path: Path, column: str, keep: Callable[[str], bool]) -> bool:
    """Whether the file had rows whose `column` is not to be kept; it has them no more. A file
    without any row left is removed."""
    values = pq.read_table(path, columns=[column])[column].to_pylist()
    mask = [keep(value) for value in values]
    if all(mask):
        return False
    if not any(mask):
        path.unlink()
        return True
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    pq.write_table(pq.read_table(path).filter(mask), aside, compression="zstd")
    with aside.open("rb") as file:
        os.fsync(file.fileno())
    aside.replace(path)
    return True


def _record(database: Database, shard: Path, path: str) -> None:
    """Brings the manifest's row of a shard up to the file."""
    of_shard = (manifest.c.step == "visuals") & (manifest.c.path == path)
    with database.engine.begin() as connection:
        if not shard.exists():
            connection.execute(sa.delete(manifest).where(of_shard))
            return
        n_rows = len(shard_hashes(shard))
        connection.execute(sa.update(manifest).where(of_shard).values(n_rows=n_rows))


def _files(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", errors="replace")
