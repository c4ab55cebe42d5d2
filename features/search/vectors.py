"""Unit vectors by row, and which of them are nearest (faiss; arXiv 2401.08281).

Vectors are kept as float16, as the visual shards keep them: nothing is lost.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

BLOCK = 65_536
Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class VectorIndex:
    """N vectors of D numbers; safe to share between threads."""

    flat: Any

    @property
    def dimension(self) -> int:
        return int(self.flat.d)

    def __len__(self) -> int:
        return int(self.flat.ntotal)

    def __getitem__(self, rows: Rows) -> Vectors:
        """The vectors `(R, D)` of rows."""
        return np.asarray(self.flat.reconstruct_batch(np.ascontiguousarray(rows, dtype=np.int64)))

    def nearest(
        self, queries: Vectors, top: int, among: Rows | None = None
    ) -> tuple[Vectors, Rows]:
        """Cosines and rows `(Q, top)` of the nearest, best first; -1 where there are no more.

        among: sorted rows that may be found; None for all.
        """
        if among is None:
            found = self.flat.search(queries, top)
        else:
            chosen = faiss.SearchParameters(sel=faiss.IDSelectorBatch(among))  # type: ignore[call-arg]
            found = self.flat.search(queries, top, params=chosen)
        return found[0], found[1]


def new_vectors(dimension: int) -> Any:
    """A writable flat index of float16."""
    index = faiss.IndexScalarQuantizer(
        dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    index.is_trained = True
    return index


def blocks(vectors: VectorIndex, rows: Rows) -> Iterator[Vectors]:
    for start in range(0, len(rows), BLOCK):
        yield vectors[rows[start : start + BLOCK]]


def write_vectors(index: Any, folder: Path, name: str) -> None:
    faiss.write_index(index, str(folder / f"{name}.flat"))


def open_vectors(folder: Path, name: str) -> VectorIndex:
    """The vectors of checked files, mapped into memory; FileNotFoundError where they are gone."""
    return VectorIndex(_mapped(folder / f"{name}.flat"))


def _mapped(path: Path) -> Any:
    try:
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        if not path.exists():
            raise FileNotFoundError(str(path)) from error
        raise
