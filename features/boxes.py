"""Arithmetic on boxes, xyxy, in pixels of the original image."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32] | NDArray[np.float64]
EDGES = ["x1", "y1", "x2", "y2"]  # the columns of a table with a box in each row


def area(boxes: Floats) -> Floats:
    """Areas `(..., )` of boxes `(..., 4)`, square pixels; 0 for a box that is inside out.

    >>> area(np.array([[0.0, 0.0, 4.0, 2.0], [3.0, 0.0, 1.0, 2.0]])).tolist()
    [8.0, 0.0]
    """
    return np.asarray(np.prod(np.clip(boxes[..., 2:] - boxes[..., :2], 0, None), axis=-1))


def iou(first: Floats, second: Floats) -> Floats:
    """Intersection over union `(..., )` of boxes `(..., 4)` taken pair by pair, 0 to 1.

    Two boxes without area have 0.

    >>> iou(np.array([0.0, 0, 2, 2]), np.array([[0.0, 0, 2, 2], [1.0, 0, 3, 2], [5.0, 5, 6, 6]])).round(3).tolist()
    [1.0, 0.333, 0.0]
    """  # noqa: E501
    corner = np.maximum(first[..., :2], second[..., :2])
    opposite = np.minimum(first[..., 2:], second[..., 2:])
    inside = np.prod(np.clip(opposite - corner, 0, None), axis=-1)
    union = area(first) + area(second) - inside
    return np.asarray(np.divide(inside, union, out=np.zeros_like(inside), where=union > 0))


def pad(boxes: Floats, padding: float, width: int, height: int) -> Floats:
    """Boxes `(N, 4)` grown by `padding` of their own size on each side, kept inside the image.

    >>> pad(np.array([[10.0, 10.0, 30.0, 50.0]]), 0.25, 100, 55).tolist()
    [[5.0, 0.0, 35.0, 55.0]]
    """
    margin = (boxes[:, 2:] - boxes[:, :2]) * padding
    grown = np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], axis=1)
    limit = np.array([width, height, width, height], dtype=boxes.dtype)
    return np.asarray(np.clip(grown, 0, limit))
