"""Writing the vectors of an index: flat while they are few, else in lists whose number and probes
follow from how many there are and from the recall that is measured.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from features.search.vectors import Rows, VectorIndex, Vectors

FLAT_NUMBERS = 2**23  # compared one by one up to 65,536 vectors of 128 numbers
MIN_RECALL = 0.985
_TOP = 50  # at which recall is measured: deep enough that copies do not make up the nearest
_QUERIES = 256
_POINTS_PER_LIST = 40
_BLOCK = 65_536
_SEED = 7


class VectorWriter:
    """Collects the vectors of a new index: rows that are kept of an old one, then new ones."""

    def __init__(self, old: VectorIndex | None = None, kept: Rows | None = None) -> None:
        self.old = old
        self.kept = np.zeros(0, dtype=np.int64) if kept is None else kept
        self.new: Any = None if old is None else _flat(old.dimension)

    def add(self, vectors: Vectors) -> None:
        """`(R, D)` unit vectors; R may be 0."""
        if self.new is None:
            self.new = _flat(vectors.shape[1])
        self.new.add(np.ascontiguousarray(vectors, dtype=np.float32))

    def write(self, path: Path) -> str:
        """Writes the index; how it searches, in words."""
        assert self.new is not None
        n = len(self.kept) + self.new.ntotal
        if n * self.new.d <= FLAT_NUMBERS:
            faiss.write_index(self._one_by_one(), str(path))
            return "flat"
        index = self._in_lists(n)
        recall = probe_enough(index)
        faiss.write_index(index, str(path))
        return f"{index.nprobe} of {index.nlist} lists, recall at {_TOP} {recall:.3f}"

    def _one_by_one(self) -> Any:
        index = _flat(self.new.d)
        for block in self._blocks():
            index.add(block)
        return index

    def _in_lists(self, n: int) -> Any:
        """With the old index's centroids where it has as many lists, else trained anew."""
        old, d, n_lists = self.old and self.old.index, self.new.d, lists_for(n)
        if isinstance(old, faiss.IndexIVF) and old.nlist == n_lists:
            index = _inverted(faiss.clone_index(old.quantizer), d, n_lists)
            _carry_over(old, index, self.kept)
            todo = _blocks_of(VectorIndex(self.new), np.arange(self.new.ntotal))
        else:
            index = _inverted(faiss.IndexFlatIP(d), d, n_lists)
            index.train(self._sample(n, n_lists * _POINTS_PER_LIST))
            todo = self._blocks()
        for block in todo:
            index.add(block)
        index.make_direct_map()
        return index

    def _blocks(self) -> Iterator[Vectors]:
        if self.old is not None:
            yield from _blocks_of(self.old, self.kept)
        yield from _blocks_of(VectorIndex(self.new), np.arange(self.new.ntotal))

    def _sample(self, n: int, size: int) -> Vectors:
        rows = np.random.default_rng(_SEED).choice(n, min(n, size), replace=False)
        of_new = VectorIndex(self.new)[rows[rows >= len(self.kept)] - len(self.kept)]
        if self.old is None:
            return of_new
        return np.concatenate([self.old[self.kept[rows[rows < len(self.kept)]]], of_new])


def lists_for(n: int) -> int:
    """About 4 times the square root of n, as a power of 2, so that it seldom changes.

    >>> lists_for(100_000), lists_for(200_000), lists_for(10_000_000)
    (1024, 2048, 16384)
    """
    return int(2 ** round(np.log2(4 * max(n, 1) ** 0.5)))


def probe_enough(index: Any) -> float:
    """Sets the probes of an inverted file to the fewest, doubling from 4, whose recall at 50 of
    256 of its own vectors is 0.985 or more; the recall. A vector does not count as found by itself.
    """
    vectors = VectorIndex(index)
    n = len(vectors)
    rows = np.random.default_rng(_SEED).choice(n, min(n, _QUERIES), replace=False)
    queries, top = vectors[rows], min(_TOP + 1, n)
    exact = np.full((len(rows), top), -np.inf, dtype=np.float32)
    for block in _blocks_of(vectors, np.arange(n)):
        cosines, _ = faiss.knn(queries, block, min(top, len(block)), faiss.METRIC_INNER_PRODUCT)
        exact = np.sort(np.concatenate([exact, cosines], axis=1), axis=1)[:, -top:]
    index.nprobe, recall = 4, 0.0
    while True:
        found, _ = index.search(queries, top)
        enough = found >= exact[:, :1] - 1e-6  # one of several that are equally near is as good
        recall = float((enough.sum(axis=1) - 1).mean() / (top - 1))
        if recall >= MIN_RECALL or index.nprobe >= index.nlist:
            return recall
        index.nprobe *= 2


def _flat(dimension: int) -> Any:
    index = faiss.IndexScalarQuantizer(
        dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    index.is_trained = True
    return index


def _inverted(quantizer: Any, dimension: int, n_lists: int) -> Any:
    index = faiss.IndexIVFScalarQuantizer(
        quantizer, dimension, n_lists, faiss.ScalarQuantizer.QT_fp16,
        faiss.METRIC_INNER_PRODUCT, False,
    )  # fmt: skip
    index.cp.seed, index.cp.min_points_per_centroid = _SEED, 1  # recall is measured below
    index.is_trained = quantizer.ntotal == n_lists
    return index


def _carry_over(old: Any, index: Any, kept: Rows) -> None:
    """Copies the codes of the kept rows, list by list; the rows are numbered anew from 0."""
    numbers = np.full(old.ntotal, -1, dtype=np.int64)
    numbers[kept] = np.arange(len(kept))
    for number in range(old.nlist):
        size = old.invlists.list_size(number)
        if not size:
            continue
        ids = faiss.rev_swig_ptr(old.invlists.get_ids(number), size)
        codes = faiss.rev_swig_ptr(old.invlists.get_codes(number), size * old.code_size)
        stays = numbers[ids] >= 0
        new_ids = np.ascontiguousarray(numbers[ids][stays])
        new_codes = np.ascontiguousarray(codes.reshape(size, -1)[stays])
        index.invlists.add_entries(
            number, len(new_ids), faiss.swig_ptr(new_ids), faiss.swig_ptr(new_codes)
        )
    index.ntotal = len(kept)


def _blocks_of(vectors: VectorIndex, rows: Rows) -> Iterator[Vectors]:
    for start in range(0, len(rows), _BLOCK):
        yield vectors[rows[start : start + _BLOCK]]
