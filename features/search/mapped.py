"""One generation of an index in mapped files, searched in this process by faiss."""

from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.search.entries import Entries, read_entries
from features.search.generation import Generation, check, current, damaged, missing
from features.search.results import Match
from features.search.vectors import VectorIndex, open_vectors

OBJECTS, IMAGES = "objects.faiss", "images.faiss"
_ONE = np.ones(1, dtype=np.float32)
_TRIES = 5  # to open a generation while newer ones are swapped in
Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]


class MappedIndex:
    """One generation of an index, read-only; see ObjectIndex.

    Images count once, however many pins show them: a match names the first of these pins, in the
    order of their ids, and `same_image` names all. Files are mapped: opening costs one reading for
    the check, and a generation that is replaced meanwhile stays usable.
    """

    def __init__(
        self, generation: Generation, entries: Entries, pins: pa.Table,
        objects: VectorIndex, images: VectorIndex,
    ) -> None:  # fmt: skip
        self.feature_version = generation.feature_version
        self.generation = generation.name
        self.n_objects = entries.n_objects
        self.n_images = entries.n_images
        self.categories = entries.categories
        self.entries = entries
        self.objects = objects
        self.images = images
        self._pins = pins

    def search_objects(
        self, vectors: Vectors, top: int, categories: Sequence[str] | None = None
    ) -> list[list[Match]]:
        queries = _checked(vectors, self.objects, top)
        among = None
        if categories is not None:
            codes = self.entries.codes_of(categories)
            among = np.isin(self.entries.category_codes, codes)
        cosines, rows = self.objects.nearest(queries, top, among)
        return [self._objects(*found) for found in zip(rows, cosines, strict=True)]

    def search_images(self, vectors: Vectors, top: int) -> list[list[Match]]:
        queries = _checked(vectors, self.images, top)
        cosines, rows = self.images.nearest(queries, top)
        return [self._images(*found) for found in zip(rows, cosines, strict=True)]

    def same_image(self, pin_id: str) -> tuple[str, ...]:
        return tuple(self.entries.pins[self._row(pin_id)].as_py())

    def look_up(self, pin_id: str, object_no: int | None = None) -> tuple[Match, Vectors]:
        image = self._row(pin_id)
        if object_no is None:
            (match,) = self._images(np.array([image]), _ONE)
            return match, self.images[np.array([image])][0]
        first, end = self.entries.first_object[image : image + 2].tolist()
        if not 0 <= object_no < end - first:
            raise ValueError(f"Pin {pin_id} has no object {object_no}; it has {end - first}.")
        row = np.array([first + object_no])
        return self._objects(row, _ONE)[0], self.objects[row][0]

    def whole(self, pin_ids: Sequence[str]) -> Vectors:
        return self.images[np.array([self._row(pin) for pin in pin_ids], dtype=np.int64)]

    def pins(self) -> dict[str, list[str]]:
        """The pins that show each image, by content hash."""
        entries = self.entries
        return dict(zip(entries.content_hashes.to_pylist(), entries.pins.to_pylist(), strict=True))

    def _row(self, pin_id: str) -> int:
        pins = self._pins["pin_id"]
        place = bisect_left(range(len(pins)), pin_id, key=lambda row: pins[row].as_py())
        if place == len(pins) or pins[place].as_py() != pin_id:
            raise ValueError(
                f"There is no pin {pin_id} in the index; if it is new, run "
                "`related-pins index update`."
            )
        return int(self._pins["image"][place].as_py())

    def _images(self, rows: Rows, cosines: Vectors) -> list[Match]:
        """Matches `(R,)` of image rows, best first; a row of -1 is none."""
        pins, hashes = self._named(rows[rows >= 0])
        found = zip(pins, hashes, np.clip(cosines, -1, 1).tolist(), strict=False)
        return [
            Match(pin, content, None, None, None, None, cosine) for pin, content, cosine in found
        ]

    def _objects(self, rows: Rows, cosines: Vectors) -> list[Match]:
        """Matches `(R,)` of object rows, best first; a row of -1 is none."""
        entries, rows = self.entries, rows[rows >= 0]
        found = zip(
            *self._named(entries.image_of(rows)), entries.object_no[rows].tolist(),
            entries.category_codes[rows].tolist(), entries.scores[rows].tolist(),
            map(tuple, entries.boxes[rows].tolist()), np.clip(cosines, -1, 1).tolist(),
            map(tuple, entries.colours[rows].tolist()), strict=False,
        )  # fmt: skip
        names = entries.categories
        return [
            Match(pin, content, number, names[code], score, box, cosine, colour)
            for pin, content, number, code, score, box, cosine, colour in found
        ]

    def _named(self, images: Rows) -> tuple[list[str], list[str]]:
        """(first pins, content hashes) of images."""
        pins, rows = self.entries.pins, pa.array(images)
        first = pins.values.take(pa.array(pins.offsets.to_numpy()[images]))
        return first.to_pylist(), self.entries.content_hashes.take(rows).to_pylist()


def open_mapped(folder: Path) -> MappedIndex:
    """The current generation of a folder, its files checked; newer ones may come in meanwhile.

    Raises ValueError, with the next command, where there is none or it is damaged.
    """
    for _ in range(_TRIES):
        generation = current(folder)
        if generation is None:
            raise missing(folder)
        try:
            place = check(folder, generation)
            entries, pins = read_entries(place)
            objects, images = open_vectors(place / OBJECTS), open_vectors(place / IMAGES)
            return MappedIndex(generation, entries, pins, objects, images)
        except FileNotFoundError:  # replaced since its name was read
            continue
    raise damaged(folder, "files are gone")


def _checked(vectors: Vectors, index: VectorIndex, top: int) -> Vectors:
    queries = np.ascontiguousarray(vectors, dtype=np.float32)
    if queries.ndim != 2 or queries.shape[1] != index.dimension:
        raise ValueError(
            f"Queries are (Q, {index.dimension}) vectors of the index's feature version, not "
            f"{queries.shape}."
        )
    if top < 1:
        raise ValueError(f"top is at least 1, not {top}.")
    return queries
