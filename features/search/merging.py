"""Merging: a picture appears once among matches, and a thing once among the objects of a photo."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from features.search.results import Match

COPY = 0.95  # cosine of whole images that makes one a copy (docs/decisions/search.md)
SAME_THING = 0.85  # cosine of two objects of one category that makes them one thing


def distinct(cosines: NDArray[np.float32], same: float, most: int) -> list[int]:
    """The first `most` of N rows that have a cosine of less than `same` with every row kept before.

    cosines: `(N, N)`.

    >>> distinct(np.array([[1, 0.99, 0.2], [0.99, 1, 0.3], [0.2, 0.3, 1]]), 0.95, 20)
    [0, 2]
    """
    kept: list[int] = []
    for row in range(len(cosines)):
        if len(kept) == most:
            break
        if not kept or cosines[row, kept].max() < same:
            kept.append(row)
    return kept


def one_per_image(matches: Sequence[Match], leave_out: str | None = None) -> list[Match]:
    """The first match of each image content, but none of the content to leave out."""
    firsts: dict[str, Match] = {}
    for match in matches:
        firsts.setdefault(match.content_hash, match)
    return [match for content, match in firsts.items() if content != leave_out]


def things(
    vectors: NDArray[np.float32], categories: Sequence[str], same: float = SAME_THING
) -> list[int]:
    """Rows of the objects `(N, E)`, most dominant first, that stand for a thing of their own: the
    second shoe of a pair does not.

    >>> pair = np.array([[1.0, 0], [0.9, 0.44], [1, 0]], dtype=np.float32)
    >>> things(pair, ["shoes", "shoes", "bag"], 0.8)
    [0, 2]
    """
    names = np.array(categories, dtype=object)
    alike = names[:, None] == names[None, :]
    return distinct(np.where(alike, vectors @ vectors.T, -1), same, len(names))
