"""Nearest neighbours by cosine (faiss; Johnson, Douze & Jegou 2017, arXiv 1702.08734)."""

import faiss
import numpy as np
from numpy.typing import NDArray


def nearest(
    vectors: NDArray[np.float32], queries: NDArray[np.float32], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Cosines `(Q, k)` and rows `(Q, k)` of the k nearest of N unit vectors, best first.

    vectors: `(N, D)`, queries: `(Q, D)`, both of unit length. Exact (a flat index, which is fast
    enough below about 200,000 vectors). Where N < k, the rest is -1. Q may be 0.
    """
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors, dtype=np.float32))
    cosines, rows = index.search(np.ascontiguousarray(queries, dtype=np.float32), k)
    return cosines, rows
