"""Search indexes on real embeddings of objects: recall, time, bytes, against NumPy.

    python benchmarks/bench_index.py --home .related-pins
    python benchmarks/bench_index.py --home .related-pins --whole

Reads the visual shards of a home. Every index is written, opened as a mapped file, and searched by
one thread, one query at a time, as one image's objects are. The queries are objects that are left
out of the index. Beyond the real objects, the index is filled up by augmentation in the space of
embeddings: an object's vector, moved by the way from the tight to the padded crop of another object
of its category. `--whole` measures whole images instead (moved by the difference of two images
whose dominant objects are of a category).

recall: share of the exact 10 nearest that are among the 10 found. x: time of NumPy (dot product and
argpartition) over the index's. `top in category`: the same, of the rarest category that has 100
objects.
"""

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from machine import machine
from numpy.typing import NDArray

from features.shards import read_shard

Vectors = NDArray[np.float32]
TOP, SEED = 10, 7


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
    visuals = [v for shard in sorted(folder.glob("*.parquet")) for v in read_shard(shard)]
    if whole:
        visuals = [v for v in visuals if v.dominant is not None]
        vectors = np.stack([v.whole for v in visuals])
        names = np.array([v.categories[v.dominant] for v in visuals])
        others = vectors.copy()
        for name in np.unique(names):  # another image of the category
            rows = np.flatnonzero(names == name)
            others[rows] = vectors[np.roll(rows, 1)]
    else:
        vectors = np.concatenate([v.crops for v in visuals])
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
    exact = np.argsort(-(corpus.queries @ corpus.vectors.T), axis=1)[:, :TOP]
    print(f"\n{n:,} vectors of {dimension} numbers")
    print(f"{'':34}recall  ms/query     x  open ms  build s  bytes/vector")

    def by_numpy(query: Vectors) -> NDArray[np.int64]:
        cosines = corpus.vectors @ query[0]
        best = np.argpartition(-cosines, TOP)[:TOP]
        return best[np.argsort(-cosines[best])]

    _, plain = timed(by_numpy, corpus.queries[:100])
    print(f"{'numpy dot, argpartition':34}{1:6.3f}{plain:10.3f}{1:6.1f}{4 * dimension:32}")
    for name, build, settings in indexes(n, dimension):
        started = time.perf_counter()
        index = build(corpus.vectors)
        seconds = time.perf_counter() - started
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "index"
            faiss.write_index(index, str(path))
            del index
            size = path.stat().st_size / n
            for label, set_up in settings:
                started = time.perf_counter()
                opened = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
                opening = 1000 * (time.perf_counter() - started)
                params = set_up()
                search: Callable[[Vectors], Any] = lambda query: opened.search(  # noqa: E731
                    query, TOP, params=params
                )[1][0]  # noqa: B023
                rows, milliseconds = timed(search, corpus.queries)
                recall = np.mean([len(set(a) & set(b)) / TOP for a, b in zip(rows, exact)])
                print(f"{name + label:34}{recall:6.3f}{milliseconds:10.3f}"
                      f"{plain / milliseconds:6.1f}{opening:9.1f}{seconds:9.1f}{size:14.0f}")  # fmt: skip


def timed(
    search: Callable[[Vectors], NDArray[np.int64]], queries: Vectors
) -> tuple[list[NDArray[np.int64]], float]:
    """(what each query finds, median milliseconds)."""
    search(queries[:1])
    rows, times = [], []
    for query in queries:
        started = time.perf_counter()
        rows.append(search(query[None]))
        times.append(time.perf_counter() - started)
    return rows, 1000 * float(np.median(times))


Settings = list[tuple[str, Callable[[], Any]]]


def indexes(n: int, dimension: int) -> Iterable[tuple[str, Callable[[Vectors], Any], Settings]]:
    """(name, how it is built, (label, search parameters))."""
    lists = int(2 ** round(np.log2(4 * n**0.5)))
    plain: Settings = [("", lambda: None)]

    def factory(text: str) -> Callable[[Vectors], Any]:
        def build(vectors: Vectors) -> Any:
            index = faiss.index_factory(dimension, text, faiss.METRIC_INNER_PRODUCT)
            index.train(vectors)
            index.add(vectors)
            return index
        return build

    def probes(*some: int) -> Settings:
        return [(f", {n} probes", lambda n=n: faiss.SearchParametersIVF(nprobe=n)) for n in some]

    def refined(*some: tuple[int, int]) -> Settings:
        return [
            (f", {probes} probes x{factor}", lambda probes=probes, factor=factor:
             faiss.IndexRefineSearchParameters(
                 k_factor=factor, base_index_params=faiss.SearchParametersIVF(nprobe=probes)))
            for probes, factor in some
        ]  # fmt: skip

    yield "flat float32", factory("Flat"), plain
    yield "flat float16", factory("SQfp16"), plain
    yield "flat int8", factory("SQ8"), plain
    yield f"IVF{lists}, float32", factory(f"IVF{lists},Flat"), probes(8, 16, 32)
    yield f"IVF{lists}, float16", factory(f"IVF{lists},SQfp16"), probes(4, 8, 16, 32)
    yield f"IVF{lists}, int8", factory(f"IVF{lists},SQ8"), probes(16)
    yield (f"IVF{lists}, PQ fast-scan",
           factory(f"IVF{lists},PQ{dimension // 2}x4fs,Refine(SQfp16)"),
           refined((8, 4), (16, 4), (32, 4), (16, 10)))  # fmt: skip
    yield "HNSW32, float16", factory("HNSW32_SQfp16"), [
        (f", ef {ef}", lambda ef=ef: faiss.SearchParametersHNSW(efSearch=ef)) for ef in (32, 64, 128)
    ]  # fmt: skip


if __name__ == "__main__":
    main()
