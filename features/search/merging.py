"""Merging: a picture appears once among matches, and a thing once among the objects of a photo."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from features.boxes import iou
from features.search.results import Match

COPY = 0.95  # cosine of whole images that makes one a copy (docs/decisions/search.md)
SAME_THING = 0.85  # cosine of two objects of one category that makes them one thing
SAME_BOX = 0.7  # IoU from which two boxes are of one thing, whatever they are called


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
    vectors: NDArray[np.float32],
    categories: Sequence[str],
    boxes: NDArray[np.float32],
    same: float = SAME_THING,
) -> list[int]:
    """Rows of the objects `(N, E)`, most dominant first, that stand for a thing of their own: the
    second shoe of a pair does not, nor does a bag that is taken for shorts as well.

    boxes: `(N, 4)` xyxy.

    >>> pair = np.array([[1.0, 0], [0.9, 0.44], [1, 0], [0, 1]], dtype=np.float32)
    >>> boxes = np.array([[0.0, 0, 9, 9], [9, 0, 18, 9], [0, 9, 9, 20], [0, 10, 9, 20]])
    >>> things(pair, ["shoes", "shoes", "bag", "shorts"], boxes, 0.8)
    [0, 2]
    """
    names = np.array(categories, dtype=object)
    alike = names[:, None] == names[None, :]
    twice = (alike & (vectors @ vectors.T >= same)) | (iou(boxes[:, None], boxes) >= SAME_BOX)
    return distinct(twice.astype(np.float32), 1.0, len(names))
