"""The index of objects and of whole images: what is nearest to a vector."""

from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.search.entries import Entries, read_entries
from features.search.generation import Generation, check, current, index_folder
from features.search.results import Match
from features.search.vectors import VectorIndex, open_vectors

VECTORS = "crops"  # of PinVisual: which vectors of objects are indexed, 'crops' or 'padded'
_TRIES = 5  # to open a generation while newer ones are swapped in
Vectors = NDArray[np.float32]


class ObjectIndex:
    """One generation of an index, read-only; safe to share between threads.

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
        self.entries = entries
        self.objects = objects
        self.images = images
        self._pins = pins

    def search_objects(
        self, vectors: Vectors, top: int, categories: Sequence[str] | None = None
    ) -> list[list[Match]]:
        """For each query `(Q, E)` the nearest objects, at most `top`, by falling cosine.

        categories: only objects of these; none of them indexed gives empty lists.
        """
        queries = _checked(vectors, self.objects, top)
        among = None
        if categories is not None:
            codes = self.entries.codes_of(categories)
            among = np.flatnonzero(np.isin(self.entries.category_codes, codes))
        return [
            [self._object(row, cosine) for cosine, row in zip(*found, strict=True) if row >= 0]
            for found in _pairs(*self.objects.nearest(queries, top, among))
        ]

    def search_images(self, vectors: Vectors, top: int) -> list[list[Match]]:
        """For each query `(Q, D)` the nearest whole images, at most `top`, by falling cosine."""
        queries = _checked(vectors, self.images, top)
        return [
            [self._image(row, cosine) for cosine, row in zip(*found, strict=True) if row >= 0]
            for found in _pairs(*self.images.nearest(queries, top))
        ]

    def same_image(self, pin_id: str) -> tuple[str, ...]:
        """The pins that show the same image, the pin itself among them, in order.

        Raises ValueError for a pin that is not indexed.
        """
        return tuple(self.entries.pins[self._row(pin_id)].as_py())

    def look_up(self, pin_id: str, object_no: int | None = None) -> tuple[Match, Vectors]:
        """A pin's object, or whole image for None, and its vector `(E,)` or `(D,)`.

        Raises ValueError for a pin or an object that is not indexed.
        """
        image = self._row(pin_id)
        if object_no is None:
            return self._image(image, 1.0), self.images[np.array([image])][0]
        first, end = self.entries.first_object[image : image + 2].tolist()
        if not 0 <= object_no < end - first:
            raise ValueError(f"Pin {pin_id} has no object {object_no}; it has {end - first}.")
        row = first + object_no
        return self._object(row, 1.0), self.objects[np.array([row])][0]

    def _row(self, pin_id: str) -> int:
        pins = self._pins["pin_id"]
        place = bisect_left(range(len(pins)), pin_id, key=lambda row: pins[row].as_py())
        if place == len(pins) or pins[place].as_py() != pin_id:
            raise ValueError(
                f"There is no pin {pin_id} in the index; if it is new, run "
                "`related-pins index update`."
            )
        return int(self._pins["image"][place].as_py())

    def _image(self, row: int, cosine: float) -> Match:
        pin, content = self._named(row)
        return Match(pin, content, None, None, None, None, _cosine(cosine))

    def _object(self, row: int, cosine: float) -> Match:
        entries = self.entries
        pin, content = self._named(int(entries.image_of(np.array([row]))[0]))
        category = entries.categories[entries.category_codes[row]]
        number, score = int(entries.object_no[row]), float(entries.scores[row])
        return Match(pin, content, number, category, score, entries.box(row), _cosine(cosine))

    def _named(self, image: int) -> tuple[str, str]:
        """(first pin, content hash) of an image."""
        return self.entries.pins[image][0].as_py(), self.entries.content_hashes[image].as_py()


def open_index(home: Path, feature_version: str) -> ObjectIndex:
    """The current index of a feature version, its files checked.

    Raises ValueError, with the next command, where there is none or it is damaged.
    """
    folder = index_folder(home, feature_version)
    for tries_left in reversed(range(_TRIES)):
        generation = current(folder)
        if generation is None:
            break
        try:
            return _opened(folder, generation)
        except FileNotFoundError as error:  # replaced since its name was read
            if not tries_left:
                raise ValueError(
                    f"Files of the index in {folder} are gone; run `related-pins index build`."
                ) from error
    raise no_index(home, feature_version)


def no_index(home: Path, feature_version: str) -> ValueError:
    return ValueError(
        f"There is no index of feature version {feature_version} in {home}; "
        "run `related-pins index build`."
    )


def _opened(folder: Path, generation: Generation) -> ObjectIndex:
    if generation.vectors != VECTORS:
        raise ValueError(
            f"The index in {folder} holds the {generation.vectors} vectors of objects, not the "
            f"{VECTORS} vectors; run `related-pins index build`."
        )
    place = check(folder, generation)
    entries, pins = read_entries(place)
    objects, images = open_vectors(place, "objects"), open_vectors(place, "images")
    return ObjectIndex(generation, entries, pins, objects, images)


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


def _pairs(cosines: Vectors, rows: NDArray[np.int64]) -> list[tuple[list[float], list[int]]]:
    return list(zip(cosines.tolist(), rows.tolist(), strict=True))


def _cosine(value: float) -> float:
    """Within [-1, 1]: float16 rounds a little beyond."""
    return min(1.0, max(-1.0, value))
