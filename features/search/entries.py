"""What stands beside the vectors of an index: which image, object and pin each row is of.

Arrow IPC files of one record batch, mapped into memory and never parsed as a whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.visuals.visuals import PinVisual

IMAGES, OBJECTS, PINS = "images.arrow", "objects.arrow", "pins.arrow"
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Entries:
    """C image contents, their O objects, and the pins that show them.

    content_hashes: C. pins: C lists of pin ids, in order. first_object: `(C + 1,)` int64, the row
    of each content's first object, and O. object_no, category_codes: `(O,)` int32; categories: the
    names that the codes stand for. scores: `(O,)` float32. boxes: `(O, 4)` float32 xyxy. colours:
    `(O, 3)` float32 Lab. Arrays may be views of mapped files.
    """

    content_hashes: pa.Array
    pins: pa.Array
    first_object: Rows
    object_no: NDArray[np.int32]
    category_codes: NDArray[np.int32]
    categories: tuple[str, ...]
    scores: NDArray[np.float32]
    boxes: NDArray[np.float32]
    colours: NDArray[np.float32]

    @property
    def n_images(self) -> int:
        return len(self.content_hashes)

    @property
    def n_objects(self) -> int:
        return len(self.object_no)

    def image_of(self, objects: Rows) -> Rows:
        """The rows of the images that objects are in."""
        return np.searchsorted(self.first_object, objects, side="right") - 1

    def codes_of(self, categories: Sequence[str]) -> NDArray[np.int32]:
        """Codes of the categories that any object has."""
        found = [code for code, name in enumerate(self.categories) if name in set(categories)]
        return np.array(found, dtype=np.int32)


def entries_of(visuals: Sequence[PinVisual], pins: Mapping[str, Sequence[str]]) -> Entries:
    """Entries of images in order; pins: content hash -> the pins that show it."""
    counts = [len(visual.scores) for visual in visuals]
    named = pa.array([c for v in visuals for c in v.categories], pa.string()).dictionary_encode()
    return Entries(
        content_hashes=pa.array([v.content_hash for v in visuals], pa.large_string()),
        pins=_lists([pins[v.content_hash] for v in visuals]),
        first_object=np.cumsum([0, *counts], dtype=np.int64),
        object_no=np.concatenate([np.arange(n, dtype=np.int32) for n in (0, *counts)]),
        category_codes=np.asarray(named.indices, dtype=np.int32),
        categories=tuple(named.dictionary.to_pylist()),
        scores=_stacked(visuals, "scores", ()),
        boxes=_stacked(visuals, "boxes", (4,)),
        colours=_stacked(visuals, "colours", (3,)),
    )


def joined(parts: Sequence[Entries]) -> Entries:
    """The images and objects of one or more, in order."""
    categories = tuple(dict.fromkeys(name for part in parts for name in part.categories))
    starts = np.cumsum([0, *(part.n_objects for part in parts)])
    first = [part.first_object[:-1] + start for part, start in zip(parts, starts, strict=False)]
    return Entries(
        content_hashes=pa.concat_arrays([part.content_hashes for part in parts]),
        pins=pa.concat_arrays([part.pins for part in parts]),
        first_object=np.concatenate([*first, starts[-1:]]),
        object_no=np.concatenate([part.object_no for part in parts]),
        category_codes=np.concatenate([_recoded(part, categories) for part in parts]),
        categories=categories,
        scores=np.concatenate([part.scores for part in parts]),
        boxes=np.concatenate([part.boxes for part in parts]),
        colours=np.concatenate([part.colours for part in parts]),
    )


def shown_by(entries: Entries, pins: Mapping[str, Sequence[str]]) -> tuple[Entries, Rows, Rows]:
    """The images that these pins (content hash -> pins) still show, with the rows of the images and
    of the objects that are kept.
    """
    hashes = entries.content_hashes.to_pylist()
    images = np.array([row for row, h in enumerate(hashes) if h in pins], dtype=np.int64)
    counts = np.diff(entries.first_object)
    keep = np.zeros(entries.n_images, dtype=bool)
    keep[images] = True
    objects = np.flatnonzero(np.repeat(keep, counts))
    kept = Entries(
        content_hashes=entries.content_hashes.take(pa.array(images)),
        pins=_lists([pins[hashes[row]] for row in images]),
        first_object=np.cumsum([0, *counts[images]], dtype=np.int64),
        object_no=entries.object_no[objects],
        category_codes=entries.category_codes[objects],
        categories=entries.categories,
        scores=entries.scores[objects],
        boxes=entries.boxes[objects],
        colours=entries.colours[objects],
    )
    return kept, images, objects


def write_entries(entries: Entries, folder: Path) -> None:
    """Writes images.arrow, objects.arrow and pins.arrow (sorted by pin) into the folder."""
    _write(folder / IMAGES, {
        "content_hash": entries.content_hashes,
        "pins": entries.pins,
        "first_object": pa.array(entries.first_object[:-1]),
    })  # fmt: skip
    codes = pa.array(entries.category_codes)
    _write(folder / OBJECTS, {
        "object_no": pa.array(entries.object_no),
        "category": pa.DictionaryArray.from_arrays(codes, pa.array(entries.categories)),
        "score": pa.array(entries.scores),
        "box": pa.FixedSizeListArray.from_arrays(pa.array(entries.boxes.ravel()), 4),
        "colour": pa.FixedSizeListArray.from_arrays(pa.array(entries.colours.ravel()), 3),
    })  # fmt: skip
    images = pc.list_parent_indices(entries.pins).cast(pa.int64())
    pins = pa.table({"pin_id": pc.list_flatten(entries.pins), "image": images})
    _write(folder / PINS, pins.sort_by("pin_id"))


def read_entries(folder: Path) -> tuple[Entries, pa.Table]:
    """(entries, table of pin_id and image row sorted by pin) as views of the mapped files."""
    images, objects = _mapped(folder / IMAGES), _mapped(folder / OBJECTS)
    column = {name: _one(objects, name) for name in objects.column_names}
    n_objects = np.array([objects.num_rows], dtype=np.int64)
    entries = Entries(
        content_hashes=_one(images, "content_hash"),
        pins=_one(images, "pins"),
        first_object=np.concatenate([_one(images, "first_object").to_numpy(), n_objects]),
        object_no=column["object_no"].to_numpy(),
        category_codes=column["category"].indices.to_numpy(),
        categories=tuple(column["category"].dictionary.to_pylist()),
        scores=column["score"].to_numpy(),
        boxes=column["box"].flatten().to_numpy().reshape(-1, 4),
        colours=column["colour"].flatten().to_numpy().reshape(-1, 3),
    )
    return entries, _mapped(folder / PINS)


def _recoded(entries: Entries, categories: Sequence[str]) -> NDArray[np.int32]:
    places = np.array([categories.index(name) for name in entries.categories], dtype=np.int32)
    return places[entries.category_codes] if len(places) else entries.category_codes


def _stacked(
    visuals: Sequence[PinVisual], name: str, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    parts = [getattr(visual, name) for visual in visuals]
    return np.concatenate([np.zeros((0, *shape), dtype=np.float32), *parts])


def _lists(values: Sequence[Sequence[str]]) -> pa.Array:
    return pa.array([sorted(some) for some in values], pa.large_list(pa.large_string()))


def _write(path: Path, columns: "Mapping[str, pa.Array] | pa.Table") -> None:
    table = columns if isinstance(columns, pa.Table) else pa.table(dict(columns))
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table.combine_chunks(), max_chunksize=max(table.num_rows, 1))


def _mapped(path: Path) -> pa.Table:
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def _one(table: pa.Table, name: str) -> pa.Array:
    """A column as one array, without a copy where it is one chunk."""
    return table[name].combine_chunks()
