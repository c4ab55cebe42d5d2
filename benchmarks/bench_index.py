"""Search indexes on real embeddings of objects: recall, time, bytes, against NumPy.

    python benchmarks/bench_index.py --home .related-pins
    python benchmarks/bench_index.py --home .related-pins --whole

Reads the visual shards of a home. Every index is written, opened as a mapped file, and searched by
one thread, one query at a time, as one image's objects are. The queries are objects that are left
out of the index. Beyond the real objects, the index is filled up by augmentation in the space of
embeddings: an object's vector, moved by the way from the indexed to the padded crop of another
object of its category, 0.5 to 1.5 times. `--whole` measures whole images instead, moved by a third
of the difference of two images whose dominant objects are of a category.

recall: share of the exact 10 nearest that are among the 10 found. x: time of NumPy (dot product and
argpartition) over the index's, of the same queries. `related-pins` is what `index build` writes and
`search` opens; below it, the nearest among one category, against NumPy over a copy of that
category's vectors alone.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from machine import machine
from numpy.typing import NDArray

from features.search.index import VECTORS
from features.search.vector_writer import VectorWriter, lists_for
from features.search.vectors import VectorIndex, open_vectors
from features.visuals.shards import read_shard

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]
TOP, SEED = 10, 7


def probes(*some: int) -> list[tuple[str, Any]]:
    return [(f", {n} probes", faiss.SearchParametersIVF(nprobe=n)) for n in some]


def refined(*some: tuple[int, int]) -> list[tuple[str, Any]]:
    return [
        (f", {n} probes x{factor}", faiss.IndexRefineSearchParameters(
            k_factor=factor, base_index_params=faiss.SearchParametersIVF(nprobe=n)))
        for n, factor in some
    ]  # fmt: skip


def efforts(*some: int) -> list[tuple[str, Any]]:
    return [(f", ef {n}", faiss.SearchParametersHNSW(efSearch=n)) for n in some]


INDEXES = (  # name, of faiss's factory, (label, search parameters)
    ("flat float32", "Flat", [("", None)]),
    ("flat float16", "SQfp16", [("", None)]),
    ("flat int8", "SQ8", [("", None)]),
    ("IVF{lists} float32", "IVF{lists},Flat", probes(16, 32)),
    ("IVF{lists} float16", "IVF{lists},SQfp16", probes(8, 16, 32, 64)),
    ("IVF{lists} int8", "IVF{lists},SQ8", probes(32)),
    ("IVF{lists} PQ fast-scan", "IVF{lists},PQ{half}x4fs,Refine(SQfp16)",
     refined((32, 4), (32, 16), (32, 64))),
    ("HNSW32 float16", "HNSW32_SQfp16", efforts(32, 64)),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Corpus:
    """Vectors `(N, D)` to index and their categories `(N,)`, with queries that are left out."""

    vectors: Vectors
    categories: NDArray[np.str_]
    queries: Vectors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--feature-version", help="[default: the one with most shards]")
    parser.add_argument("--objects", type=int, default=200_000, help="After augmentation.")
    parser.add_argument("--queries", type=int, default=400)
    parser.add_argument("--whole", action="store_true", help="Whole images instead of objects.")
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    print(machine("faiss-cpu", "numpy"))
    folders = [path for path in (options.home / "visuals").iterdir() if path.is_dir()]
    version = options.feature_version or max(folders, key=lambda p: len(list(p.iterdir()))).name
    real, moved = read(options.home / "visuals" / version, options.whole, options.queries)
    print(f"feature version {version}, {len(real.queries)} queries")
    measure(real)
    if options.objects > len(real.vectors):
        measure(augmented(real, moved, options.objects))


def read(folder: Path, whole: bool, n_queries: int) -> tuple[Corpus, Corpus]:
    """(the real vectors, where another view of the same object lies)."""
    visuals = [v for shard in sorted(folder.iterdir()) for v in read_shard(shard)]
    if whole:
        visuals = [v for v in visuals if v.dominant is not None]
        vectors = np.stack([v.whole for v in visuals])
        names = np.array([v.categories[v.dominant] for v in visuals])
        others = vectors.copy()
        for name in np.unique(names):  # a third of the way to another image of the category
            rows = np.flatnonzero(names == name)
            others[rows] += (vectors[np.roll(rows, 1)] - vectors[rows]) / 3
    else:
        vectors = np.concatenate([getattr(v, VECTORS) for v in visuals])
        others = np.concatenate([v.padded for v in visuals])
        names = np.array([name for v in visuals for name in v.categories])
    order = np.random.default_rng(SEED).permutation(len(vectors))
    asked, rows = order[:n_queries], np.sort(order[n_queries:])
    real = Corpus(vectors[rows], names[rows], vectors[asked])
    return real, Corpus(others[rows], names[rows], vectors[asked])


def augmented(real: Corpus, moved: Corpus, n: int) -> Corpus:
    rng = np.random.default_rng(SEED)
    steps = moved.vectors - real.vectors
    rows = rng.integers(0, len(real.vectors), n - len(real.vectors))
    chosen = np.empty(len(rows), dtype=np.int64)
    for name in np.unique(real.categories):
        mine = np.flatnonzero(real.categories[rows] == name)
        chosen[mine] = rng.choice(np.flatnonzero(real.categories == name), len(mine))
    scale = rng.uniform(0.5, 1.5, (len(rows), 1)).astype(np.float32)
    new = real.vectors[rows] + scale * steps[chosen]
    new /= np.linalg.norm(new, axis=1, keepdims=True)
    return Corpus(
        np.concatenate([real.vectors, new]),
        np.concatenate([real.categories, real.categories[rows]]),
        real.queries,
    )


def measure(corpus: Corpus) -> None:
    n, dimension = corpus.vectors.shape
    exact = nearest(corpus.vectors, corpus.queries)
    print(f"\n{n:,} vectors of {dimension} numbers; load average {os.getloadavg()[0]:.1f}")
    print(f"{'':38}recall  ms/query      x  open ms  build s  bytes/vector")
    plain = timed(lambda query: by_numpy(corpus.vectors, query), corpus.queries)[1]
    print(f"{'numpy dot, argpartition':38}{1:6.3f}{plain:10.3f}{1:7.1f}{4 * dimension:32}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        shipped(corpus, exact, plain, path)
        for name, text, settings in INDEXES:
            name, text = (some.format(lists=lists_for(n), half=dimension // 2)
                          for some in (name, text))  # fmt: skip
            started = time.perf_counter()
            index = faiss.index_factory(dimension, text, faiss.METRIC_INNER_PRODUCT)
            index.train(corpus.vectors)
            index.add(corpus.vectors)
            seconds = time.perf_counter() - started
            faiss.write_index(index, str(path))
            for label, params in settings:
                started = time.perf_counter()
                opened = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
                opening = 1000 * (time.perf_counter() - started)
                found, ms = timed(partial(by_faiss, opened, params), corpus.queries)
                line(name + label, found, exact, plain, ms,
                     f"{opening:9.1f}{seconds:9.1f}{path.stat().st_size / n:14.0f}")  # fmt: skip


def shipped(corpus: Corpus, exact: Rows, plain: float, path: Path) -> None:
    """What the product writes and opens: over all, among a rare and among the largest category."""
    started = time.perf_counter()
    writer = VectorWriter()
    writer.add(corpus.vectors)
    kind = writer.write(path)
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    index = open_vectors(path)
    opening = 1000 * (time.perf_counter() - started)
    found, ms = timed(partial(by_us, index, None), corpus.queries)
    size = path.stat().st_size / len(corpus.vectors)
    line(
        "related-pins", found, exact, plain, ms, f"{opening:9.1f}{seconds:9.1f}{size:14.0f}  {kind}"
    )
    names, counts = np.unique(corpus.categories, return_counts=True)
    for place in (np.flatnonzero(counts >= 100)[counts[counts >= 100].argmin()], counts.argmax()):
        among = corpus.categories == names[place]
        rows = np.flatnonzero(among)
        mine = corpus.vectors[rows]
        found, ms = timed(partial(by_us, index, among), corpus.queries)
        plain = timed(partial(by_numpy, mine), corpus.queries)[1]
        best = rows[nearest(mine, corpus.queries)]
        line(f"  among {counts[place]:,}: {names[place]}", found, best, plain, ms, "")


def line(name: str, found: list[Rows], exact: Rows, plain: float, ms: float, rest: str) -> None:
    recall = np.mean([len(set(a) & set(b)) / TOP for a, b in zip(found, exact, strict=True)])
    print(f"{name:38}{recall:6.3f}{ms:10.3f}{plain / ms:7.1f}{rest}", flush=True)


def nearest(vectors: Vectors, queries: Vectors) -> Rows:
    return np.asarray(faiss.knn(queries, vectors, TOP, faiss.METRIC_INNER_PRODUCT)[1])


def by_numpy(vectors: Vectors, query: Vectors) -> Rows:
    cosines = vectors @ query[0]
    best = np.argpartition(-cosines, TOP)[:TOP]
    return np.asarray(best[np.argsort(-cosines[best])])


def by_faiss(index: Any, params: Any, query: Vectors) -> Rows:
    return np.asarray(index.search(query, TOP, params=params)[1][0])


def by_us(index: VectorIndex, among: NDArray[np.bool_] | None, query: Vectors) -> Rows:
    return index.nearest(query, TOP, among)[1][0]


def timed(search: Callable[[Vectors], Rows], queries: Vectors) -> tuple[list[Rows], float]:
    """(what each query finds, median milliseconds)."""
    search(queries[:1])
    rows, times = [], []
    for query in queries:
        started = time.perf_counter()
        rows.append(search(query[None]))
        times.append(time.perf_counter() - started)
    return rows, 1000 * float(np.median(times))


if __name__ == "__main__":
    main()
