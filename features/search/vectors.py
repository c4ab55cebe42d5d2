"""Unit vectors by row, and which of them are nearest to a query (faiss; arXiv 2401.08281).

Vectors are kept as float16, as they are in the visual shards. Few are compared one by one; many are
kept in lists by their nearest centroid (an inverted file; Jegou et al. 2011, doi
10.1109/TPAMI.2010.57), of which those nearest to the query are probed. What was measured to choose
this is in docs/decisions/object_index.md.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

FEW = 16  # queries that are not worth a second thread, which waits where the machine is busy
EXACT_AMONG = 4096  # rows among which the nearest are found without fail
_SELECT: Any = faiss  # whose types know the C++ constructors only
Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class VectorIndex:
    """N vectors of D numbers; safe to share between threads.

    index: of faiss, flat or an inverted file with a direct map, of float16 in both cases.
    """

    index: Any

    @property
    def dimension(self) -> int:
        return int(self.index.d)

    def __len__(self) -> int:
        return int(self.index.ntotal)

    def __getitem__(self, rows: Rows) -> Vectors:
        """The vectors `(R, D)` of rows."""
        return np.asarray(self.index.reconstruct_batch(np.ascontiguousarray(rows, dtype=np.int64)))

    @cached_property
    def lists(self) -> NDArray[np.int32] | None:
        """The list `(N,)` that each vector is in; None where they are compared one by one."""
        if not isinstance(self.index, faiss.IndexIVF):
            return None
        places = faiss.vector_to_array(self.index.direct_map.array)
        return np.asarray(places >> 32, dtype=np.int32)

    def nearest(
        self, queries: Vectors, top: int, among: Mask | None = None
    ) -> tuple[Vectors, Rows]:
        """Cosines and rows `(Q, top)` of the nearest, best first; -1 where there are no more.

        among: `(N,)` which rows may be found; None for all. Without lists, or among at most 4,096
        rows, the nearest are found without fail, else with the recall of the index.
        """
        parameters = self._parameters(among)
        with _one_thread(len(queries) <= FEW):
            cosines, rows = self.index.search(queries, top, params=parameters)
        return cosines, rows

    def _parameters(self, among: Mask | None) -> Any:
        if among is None:
            return None
        chosen = _SELECT.IDSelectorBitmap(np.packbits(among, bitorder="little"))
        if self.lists is None:
            return _SELECT.SearchParameters(sel=chosen)
        held = np.bincount(self.lists[among], minlength=self.index.nlist)
        lists = np.flatnonzero(held)
        return _SELECT.SearchParametersIVF(
            sel=chosen,
            nprobe=self._probes(int(held.sum()), len(lists)),
            quantizer_params=_SELECT.SearchParameters(sel=_SELECT.IDSelectorBatch(lists)),
        )

    def _probes(self, n_rows: int, n_lists: int) -> int:
        """Of the lists that hold the rows, so many that as many rows are seen as without choice."""
        if n_rows <= EXACT_AMONG:
            return max(n_lists, 1)
        seen = self.index.nprobe * len(self) / self.index.nlist
        return int(min(n_lists, max(self.index.nprobe, np.ceil(seen * n_lists / n_rows))))


@contextmanager
def _one_thread(wanted: bool) -> Iterator[None]:
    """Where wanted, faiss keeps to the calling thread; other threads are not concerned."""
    threads = faiss.omp_get_max_threads()
    if wanted:
        faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


def open_vectors(path: Path) -> VectorIndex:
    """The vectors of a checked file, mapped into memory; FileNotFoundError where it is gone."""
    try:
        return VectorIndex(faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC))
    except RuntimeError as error:
        if not path.exists():
            raise FileNotFoundError(str(path)) from error
        raise
