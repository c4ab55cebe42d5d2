"""Making an index from the visual shards, and keeping it up with them."""

import shutil
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from features.search.entries import Entries, entries_of, joined, shown_by, write_entries
from features.search.generation import (
    Generation,
    clear,
    current,
    index_folder,
    missing,
    swap_in,
)
from features.search.index import VECTORS
from features.search.mapped import IMAGES, OBJECTS, MappedIndex, open_mapped
from features.search.milvus_writer import build_milvus, drop_milvus, pins_in_milvus, update_milvus
from features.search.vector_writer import VectorWriter
from features.visuals.shards import read_shard
from features.visuals.store import Progress
from features.visuals.visuals import PinVisual
from sql.database import Database, fingerprint
from sql.tables import pin_visuals

Pins = dict[str, list[str]]  # content hash -> the pins that show it
Shards = dict[str, str]  # content hash -> the shard that holds it
New = Iterable[list[PinVisual]]


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
    database: Database, home: Path, feature_version: str, progress: Progress | None = None,
    server: str | None = None,
) -> IndexSummary:  # fmt: skip
    """Makes the index anew from all shards; the old one serves until it is there.

    server: URL of a Milvus that is to hold it; None for files in the home. Raises ValueError where
    no pin has visuals of the version.
    """
    pins, shards = _published(database, feature_version)
    if not pins:
        raise ValueError(
            f"No pin has visuals of feature version {feature_version}; run `related-pins features` "
            "first."
        )
    folder, new = index_folder(home, feature_version), _read(home, shards, progress)
    old_server = _server(folder)
    if server is None:
        made = _written(folder, pins, None, new, VECTORS)
    else:
        seen: set[str] = set()
        made = swap_in(folder, _described(folder, pins, server, VECTORS), lambda place: _on_server(
            build_milvus(server, folder.name, place.name, _noted(new, seen), pins, VECTORS), seen
        ))  # fmt: skip
    if old_server not in (None, server):
        drop_milvus(str(old_server), feature_version)
    return IndexSummary(made, added=len(pins), kept=0, removed=0, written=True)


def update_index(
    database: Database, home: Path, feature_version: str, progress: Progress | None = None
) -> IndexSummary:
    """Brings the index up to `pin_visuals`: images that no pin shows any more go, new ones are read
    from their shards alone. Without an index, or where it is of other vectors, it is built.
    """
    folder = index_folder(home, feature_version)
    generation = current(folder)
    if generation is None or generation.vectors != VECTORS:
        server = generation.server if generation else None
        return build_index(database, home, feature_version, progress, server)
    pins, shards = _published(database, feature_version)
    clear(folder)
    if generation.state == _state(pins):
        return IndexSummary(generation, 0, generation.n_images, 0, written=False)
    before = _pins_in(folder, generation)
    todo = {content: shard for content, shard in shards.items() if content not in before}
    made = _changed(folder, generation, pins, before, _read(home, todo, progress))
    kept = len(before.keys() & pins.keys())
    return IndexSummary(made, len(todo), kept, len(before) - kept, written=True)


def erase_pin(home: Path, pin_id: str, kept: Container[str]) -> list[Path]:
    """Takes a pin, and every image that is not among `kept` (content hashes), out of the indexes of
    all versions; the folders of those that changed.

    Leftovers of killed runs go in any case. Files that cannot be read are removed: they may hold
    the pin. Raises OSError where a server that holds an index cannot be reached.
    """
    changed = []
    for folder in sorted(path for path in (home / "index").glob("*") if path.is_dir()):
        clear(folder)
        try:
            generation = _existing(folder)
            before = _pins_in(folder, generation)
        except ValueError:
            shutil.rmtree(folder)
            changed.append(folder)
            continue
        left = {h: [pin for pin in some if pin != pin_id] for h, some in before.items()}
        left = {h: some for h, some in left.items() if some and h in kept}
        if left != before:
            _changed(folder, generation, left, before, ())
            changed.append(folder)
    return changed


def drop_index(folder: Path) -> None:
    """Deletes the index of a feature version; who has its files open keeps them."""
    if server := _server(folder):
        drop_milvus(server, folder.name)
    shutil.rmtree(folder, ignore_errors=True)


def index_status(database: Database, home: Path, feature_version: str) -> dict[str, Any]:
    """What `related-pins index status` says; raises ValueError where there is no index."""
    folder = index_folder(home, feature_version)
    generation = _existing(folder)
    there = _pins_in(folder, generation).keys()
    wanted = _published(database, feature_version)[0].keys()
    return {
        "feature_version": feature_version, "generation": generation.name,
        "made_at": generation.made_at, "server": generation.server or "none, files",
        "vectors": generation.vectors,
        "objects": generation.n_objects, "objects_by": generation.objects_by,
        "images": generation.n_images, "images_by": generation.images_by,
        "pins": generation.n_pins, "bytes": generation.n_bytes,
        "images_to_add": len(wanted - there), "images_to_remove": len(there - wanted),
    }  # fmt: skip


def _existing(folder: Path) -> Generation:
    generation = current(folder)
    if generation is None:
        raise missing(folder)
    return generation


def _server(folder: Path) -> str | None:
    """The server that holds the index, as far as current.json can be read."""
    try:
        generation = current(folder)
    except ValueError:
        return None
    return generation.server if generation else None


def _pins_in(folder: Path, generation: Generation) -> Pins:
    if generation.server:
        return pins_in_milvus(generation.server, folder.name)
    return open_mapped(folder).pins()


def _changed(
    folder: Path, generation: Generation, pins: Pins, before: Pins, new: New
) -> Generation:
    """Writes the generation that follows: of `before` what is in `pins`, and the new images."""
    server, vectors = generation.server, generation.vectors
    if server is None:
        return _written(folder, pins, open_mapped(folder), new, vectors)
    seen = set(generation.categories)
    return swap_in(folder, _described(folder, pins, server, vectors), lambda _: _on_server(
        update_milvus(server, folder.name, _noted(new, seen), pins, before, vectors), seen
    ))  # fmt: skip


def _written(
    folder: Path, pins: Pins, old: MappedIndex | None, new: New, vectors: str
) -> Generation:
    """Writes the files of a generation: what `pins` show of the old one, and the new images."""
    parts: list[Entries] = []
    objects, images = VectorWriter(), VectorWriter()
    if old is not None:
        kept, image_rows, object_rows = shown_by(old.entries, pins)
        parts.append(kept)
        objects = VectorWriter(old.objects, object_rows)
        images = VectorWriter(old.images, image_rows)
    for visuals in new:
        parts.append(entries_of(visuals, pins))
        objects.add(np.concatenate([getattr(visual, vectors) for visual in visuals]))
        images.add(np.stack([visual.whole for visual in visuals]))
    entries = joined(parts)

    def write(place: Path) -> dict[str, Any]:
        write_entries(entries, place)
        return {
            "n_objects": entries.n_objects, "objects_by": objects.write(place / OBJECTS),
            "n_images": entries.n_images, "images_by": images.write(place / IMAGES),
            "categories": entries.categories,
        }  # fmt: skip

    return swap_in(folder, _described(folder, pins, None, vectors), write)


def _described(folder: Path, pins: Pins, server: str | None, vectors: str) -> dict[str, Any]:
    return {
        "feature_version": folder.name, "vectors": vectors, "state": _state(pins),
        "n_pins": sum(map(len, pins.values())), "server": server,
    }  # fmt: skip


def _on_server(counts: Mapping[str, int], categories: set[str]) -> dict[str, Any]:
    by = {"objects_by": "Milvus", "images_by": "Milvus"}
    return {**counts, **by, "categories": tuple(sorted(categories))}


def _noted(new: New, categories: set[str]) -> Iterator[list[PinVisual]]:
    """The same, while the categories of the objects are added to `categories`."""
    for visuals in new:
        categories.update(name for visual in visuals for name in visual.categories)
        yield visuals


def _published(database: Database, version: str) -> tuple[Pins, Shards]:
    columns = pin_visuals.c.pin_id, pin_visuals.c.content_hash, pin_visuals.c.shard
    query = sa.select(*columns).where(pin_visuals.c.feature_version == version)
    rows = database.read(query.order_by(pin_visuals.c.pin_id))
    pins: Pins = {}
    shards: Shards = {}
    for pin, content, shard in zip(*(rows[c.name].to_pylist() for c in columns), strict=True):
        pins.setdefault(content, []).append(pin)
        shards[content] = shard
    return pins, shards


def _read(home: Path, shards: Shards, progress: Progress | None) -> Iterator[list[PinVisual]]:
    by_shard: dict[str, list[str]] = {}
    for content, shard in shards.items():
        by_shard.setdefault(shard, []).append(content)
    for done, (shard, contents) in enumerate(sorted(by_shard.items()), start=1):
        yield read_shard(home / shard, contents)
        if progress is not None:
            progress("index", done, len(by_shard))


def _state(pins: Mapping[str, Sequence[str]]) -> str:
    return fingerprint(sorted((content, sorted(some)) for content, some in pins.items()))
