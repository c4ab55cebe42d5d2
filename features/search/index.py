"""The index of objects and of whole images: what is nearest to a vector."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from features.search.generation import current, index_folder, missing
from features.search.mapped import open_mapped
from features.search.milvus import open_milvus
from features.search.results import Match

VECTORS = "crops_in_context"  # of PinVisual: which vectors of objects are indexed
Vectors = NDArray[np.float32]


class ObjectIndex(Protocol):
    """One generation of an index, read-only; safe to share between threads.

    Images count once, however many pins show them: a match names the first of these pins, in the
    order of their ids, and `same_image` names all. n_objects, n_images: how many are indexed.
    categories: that objects have.
    """

    feature_version: str
    generation: str
    n_objects: int
    n_images: int
    categories: tuple[str, ...]

    def search_objects(
        self, vectors: Vectors, top: int, categories: Sequence[str] | None = None
    ) -> list[list[Match]]:
        """For each query `(Q, E)` the nearest objects, at most `top`, by falling cosine.

        categories: only objects of these; none of them indexed gives empty lists. Raises
        ValueError for vectors of another length or a top below 1.
        """

    def search_images(self, vectors: Vectors, top: int) -> list[list[Match]]:
        """For each query `(Q, D)` the nearest whole images, at most `top`, by falling cosine."""

    def same_image(self, pin_id: str) -> tuple[str, ...]:
        """The pins that show the same image, the pin itself among them, in order.

        Raises ValueError for a pin that is not indexed.
        """

    def look_up(self, pin_id: str, object_no: int | None = None) -> tuple[Match, Vectors]:
        """A pin's object, or whole image for None, and its vector `(E,)` or `(D,)`.

        Raises ValueError for a pin or an object that is not indexed.
        """

    def whole(self, pin_ids: Sequence[str]) -> Vectors:
        """Vectors `(P, D)` of the whole images of pins; ValueError for one that is not indexed."""


def open_index(home: Path, feature_version: str) -> ObjectIndex:
    """The current index of a feature version: mapped files, checked, or a server's.

    Raises ValueError, with the next command, where there is none or it is damaged.
    """
    folder = index_folder(home, feature_version)
    generation = current(folder)
    if generation is None:
        raise missing(folder)
    if generation.vectors != VECTORS:
        raise ValueError(
            f"The index in {folder} holds the {generation.vectors} vectors of objects, not the "
            f"{VECTORS} vectors; run `related-pins index build`."
        )
    return open_milvus(generation) if generation.server else open_mapped(folder)
