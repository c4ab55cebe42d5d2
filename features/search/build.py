"""Making an index from the visual shards, and keeping it up with them."""

import shutil
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from features.search.entries import (
    Entries,
    entries_of,
    joined,
    read_entries,
    shown_by,
    write_entries,
)
from features.search.generation import (
    CURRENT,
    Generation,
    check,
    clear,
    current,
    index_folder,
    swap_in,
)
from features.search.index import VECTORS, ObjectIndex, no_index, open_index
from features.search.vectors import (
    Rows,
    VectorIndex,
    Vectors,
    blocks,
    new_vectors,
    write_vectors,
)
from features.shards import read_shard
from features.store import Progress
from features.visuals import PinVisual
from sql.database import Database, fingerprint
from sql.tables import pin_visuals

Pins = dict[str, list[str]]  # content hash -> the pins that show it


@dataclass(frozen=True)
class IndexSummary:
    """What a build or an update did: the current generation, images that were added, kept from the
    generation before and removed, and whether anything was written.
    """

    generation: Generation
    added: int
    kept: int
    removed: int
    written: bool


def build_index(
    database: Database, home: Path, feature_version: str, progress: Progress | None = None
) -> IndexSummary:
    """Makes the index anew from all shards; the old one serves until it is there.

    Raises ValueError where no pin has visuals of the version.
    """
    return _made(database, home, feature_version, None, progress)


def update_index(
    database: Database, home: Path, feature_version: str, progress: Progress | None = None
) -> IndexSummary:
    """Brings the index up to `pin_visuals`: images that no pin shows any more go, new ones are read
    from their shards alone. Without an index, or where it is of other vectors, it is built.
    """
    generation = current(index_folder(home, feature_version))
    usable = generation is not None and generation.vectors == VECTORS
    old = open_index(home, feature_version) if usable else None
    return _made(database, home, feature_version, old, progress)


def erase_pin(home: Path, pin_id: str, kept: Container[str]) -> list[Path]:
    """Takes a pin, and every image that is not among `kept` (content hashes), out of the indexes of
    all versions; the folders that were rewritten or removed.

    Leftovers of killed runs go in any case. An index that cannot be read is removed: it may hold
    the pin.
    """
    changed = []
    for folder in sorted(path for path in (home / "index").glob("*") if path.is_dir()):
        clear(folder)
        try:
            old = open_index(home, folder.name)
        except ValueError:
            drop_index(home, folder.name)
            changed.append(folder)
            continue
        before = _pins_of(old.entries)
        left = {h: [pin for pin in some if pin != pin_id] for h, some in before.items()}
        left = {h: some for h, some in left.items() if some and h in kept}
        if left != before:
            _swap(home, folder.name, left, old)
            changed.append(folder)
    return changed


def drop_index(home: Path, feature_version: str) -> None:
    """Deletes the index of a feature version; who has it open keeps it."""
    folder = index_folder(home, feature_version)
    (folder / CURRENT).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _made(
    database: Database, home: Path, version: str, old: ObjectIndex | None,
    progress: Progress | None,
) -> IndexSummary:  # fmt: skip
    places = _places(database, version)
    if not places and old is None:
        raise ValueError(
            f"No pin has visuals of feature version {version}; run `related-pins features` first."
        )
    pins: Pins = {}
    for pin, content, _ in places:
        pins.setdefault(content, []).append(pin)
    before = _pins_of(old.entries) if old else {}
    folder = index_folder(home, version)
    kept, removed = len(pins.keys() & before.keys()), len(before.keys() - pins.keys())
    generation = current(folder) if old else None
    if generation is not None and generation.state == _state(pins):
        clear(folder)
        return IndexSummary(generation, 0, kept, 0, written=False)
    shards: dict[str, list[str]] = {}
    for content, shard in {content: shard for _, content, shard in places}.items():
        if content not in before:
            shards.setdefault(shard, []).append(content)
    new = _read(home, shards, progress)
    made = _swap(home, version, pins, old, new)
    return IndexSummary(made, made.n_images - kept, kept, removed, written=True)


def _swap(
    home: Path,
    version: str,
    pins: Pins,
    old: ObjectIndex | None,
    new: Iterable[list[PinVisual]] = (),
) -> Generation:
    """Writes a generation of what is kept of the old one and of the new images."""
    parts: list[Entries] = []
    objects = images = None
    if old is not None:
        kept, image_rows, object_rows = shown_by(old.entries, pins)
        parts.append(kept)
        objects = _copied(old.objects, object_rows)
        images = _copied(old.images, image_rows)
    for visuals in new:
        parts.append(entries_of(visuals, pins))
        objects = _added(objects, np.concatenate([getattr(v, VECTORS) for v in visuals]))
        images = _added(images, np.stack([v.whole for v in visuals]))
    entries = joined(parts)

    def write(folder: Path) -> None:
        write_entries(entries, folder)
        write_vectors(objects, folder, "objects")
        write_vectors(images, folder, "images")

    described = {
        "feature_version": version, "vectors": VECTORS, "state": _state(pins),
        "n_objects": entries.n_objects, "n_images": entries.n_images,
        "n_pins": sum(map(len, pins.values())),
    }  # fmt: skip
    return swap_in(index_folder(home, version), described, write)


def _places(database: Database, version: str) -> list[tuple[str, str, str]]:
    """(pin, content hash, shard) of every pin with visuals, by pin."""
    columns = pin_visuals.c.pin_id, pin_visuals.c.content_hash, pin_visuals.c.shard
    query = sa.select(*columns).where(pin_visuals.c.feature_version == version)
    rows = database.read(query.order_by(pin_visuals.c.pin_id))
    return list(zip(*(rows[c.name].to_pylist() for c in columns), strict=True))


def _read(
    home: Path, shards: Mapping[str, Sequence[str]], progress: Progress | None
) -> Iterator[list[PinVisual]]:
    for done, (shard, contents) in enumerate(sorted(shards.items())):
        if progress is not None:
            progress("index: shards", done + 1, len(shards))
        yield read_shard(home / shard, contents)


def _copied(vectors: VectorIndex, rows: Rows) -> Any:
    new = new_vectors(vectors.dimension)
    for block in blocks(vectors, rows):
        new.add(block)
    return new


def _added(index: Any, vectors: Vectors) -> Any:
    index = index or new_vectors(vectors.shape[1])
    if len(vectors):
        index.add(np.ascontiguousarray(vectors, dtype=np.float32))
    return index


def _pins_of(entries: Entries) -> Pins:
    return dict(zip(entries.content_hashes.to_pylist(), entries.pins.to_pylist(), strict=True))


def _state(pins: Mapping[str, Sequence[str]]) -> str:
    return fingerprint(VECTORS, sorted((content, sorted(some)) for content, some in pins.items()))


def index_status(database: Database, home: Path, version: str) -> dict[str, int | str]:
    """What `related-pins index status` says; raises ValueError where there is no index."""
    folder = index_folder(home, version)
    generation = current(folder)
    if generation is None:
        raise no_index(home, version)
    entries, _ = read_entries(check(folder, generation))
    wanted = {content for _, content, _ in _places(database, version)}
    there = set(entries.content_hashes.to_pylist())
    return {
        "feature_version": version, "generation": generation.name, "made_at": generation.made_at,
        "vectors": generation.vectors, "objects": generation.n_objects,
        "images": generation.n_images, "pins": generation.n_pins, "bytes": generation.n_bytes,
        "images_to_add": len(wanted - there), "images_to_remove": len(there - wanted),
    }  # fmt: skip
