"""PinVisuals of many images as columns: what shards hold and what pairs are made from."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.boxes import area
from features.visuals.visuals import PinVisual, dominance

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class VisualColumns:
    """P images, and their M objects one after the other. Vectors are as in PinVisual.

    content_hash: P names. width, height, counts: `(P,)`; counts says how many objects each has.
    whole: `(P, D)`. whole_crop: `(P, E)`. boxes: `(M, 4)`. scores: `(M,)`. categories: M names.
    crops, padded: `(M, E)`. colours: `(M, 3)`.
    """

    content_hash: pa.StringArray
    width: Ints
    height: Ints
    counts: Ints
    whole: Floats
    whole_crop: Floats
    boxes: Floats
    scores: Floats
    categories: pa.StringArray
    crops: Floats
    padded: Floats
    colours: Floats

    def __len__(self) -> int:
        return len(self.counts)

    @cached_property
    def starts(self) -> Ints:
        """Row `(P + 1,)` of each image's first object; M at the end."""
        return np.concatenate([[0], np.cumsum(self.counts)])

    @cached_property
    def area_shares(self) -> NDArray[np.float64]:
        """Areas `(M,)` of the boxes as shares of their images."""
        sizes = np.repeat(self.width * self.height, self.counts)
        return np.asarray(area(self.boxes), dtype=np.float64) / sizes

    def slots(self, n: int) -> Ints:
        """Rows `(P, n)` of each image's objects, M where there is none."""
        numbers = np.arange(n)
        there = numbers < self.counts[:, None]
        return np.where(there, self.starts[:-1, None] + numbers, self.starts[-1])

    def dominant(self) -> Ints:
        """Row `(P,)` of each image's dominant object, M without objects."""
        if not len(self.scores):
            return np.zeros(len(self), dtype=np.int64)
        rows = self.slots(int(self.counts.max()))
        ruling = np.append(dominance(self.scores, self.area_shares), -np.inf)
        return np.asarray(rows[np.arange(len(self)), ruling[rows].argmax(axis=1)])

    def visuals(self) -> list[PinVisual]:
        """The images one by one."""
        hashes, names = self.content_hash.to_pylist(), self.categories.to_pylist()
        widths, heights = self.width.tolist(), self.height.tolist()
        return [
            PinVisual(
                content_hash=hashes[row],
                width=widths[row],
                height=heights[row],
                whole=self.whole[row],
                whole_crop=self.whole_crop[row],
                boxes=self.boxes[start:end],
                scores=self.scores[start:end],
                categories=tuple(names[start:end]),
                crops=self.crops[start:end],
                padded=self.padded[start:end],
                colours=self.colours[start:end],
            )
            for row, (start, end) in enumerate(pairwise(self.starts.tolist()))
        ]


def as_columns(visuals: Sequence[PinVisual]) -> VisualColumns:
    """PinVisuals, at least one, as columns."""

    def stack(name: str, width: int) -> Floats:
        rows = [getattr(visual, name).reshape(-1, width) for visual in visuals]
        return np.asarray(np.concatenate(rows), dtype=np.float32)

    dimension = len(visuals[0].whole_crop)
    return VisualColumns(
        content_hash=pa.array([v.content_hash for v in visuals], pa.string()),
        width=np.array([v.width for v in visuals], dtype=np.int64),
        height=np.array([v.height for v in visuals], dtype=np.int64),
        counts=np.array([len(v.scores) for v in visuals], dtype=np.int64),
        whole=stack("whole", len(visuals[0].whole)),
        whole_crop=stack("whole_crop", dimension),
        boxes=stack("boxes", 4),
        scores=stack("scores", 1).ravel(),
        categories=pa.array([name for v in visuals for name in v.categories], pa.string()),
        crops=stack("crops", dimension),
        padded=stack("padded", dimension),
        colours=stack("colours", 3),
    )


def joined(parts: Sequence[VisualColumns]) -> VisualColumns:
    """The images of the parts, at least one, in their order."""

    def column(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        if isinstance(values[0], pa.Array):
            return pa.concat_arrays(values)
        return np.concatenate(values)

    return VisualColumns(**{field.name: column(field.name) for field in fields(VisualColumns)})
