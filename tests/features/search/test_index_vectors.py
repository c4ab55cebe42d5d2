"""Vectors in lists, against NumPy; the limits are lowered so that few vectors are many."""

from pathlib import Path

import faiss
import numpy as np
import pytest

from features.search import vector_writer, vectors
from features.search.vector_writer import VectorWriter
from features.search.vectors import VectorIndex, open_vectors

N, D = 3000, 16


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_writer, "FLAT_NUMBERS", 1000 * D)
    monkeypatch.setattr(vectors, "EXACT_AMONG", 200)


def clustered(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(40, D))
    found = centres[rng.integers(0, 40, n)] + 0.5 * rng.normal(size=(n, D))
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found.astype(np.float16).astype(np.float32)


def written(folder: Path, writer: VectorWriter, new: np.ndarray) -> VectorIndex:
    writer.add(new[: len(new) // 2])
    writer.add(new[len(new) // 2 :])
    path = folder / f"{len(list(folder.iterdir()))}.faiss"
    writer.write(path)
    return open_vectors(path)


def recall(index: VectorIndex, kept: np.ndarray, among: np.ndarray | None = None) -> float:
    queries = clustered(100, 9)
    cosines = queries @ kept.T
    if among is not None:
        cosines[:, ~among] = -2
    exact = np.argsort(-cosines, axis=1)[:, :10]
    _, rows = index.nearest(queries, 10, among)
    assert among is None or among[rows[rows >= 0]].all()
    return float(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(exact, rows, strict=True)]))


def test_lists_find_what_comparing_one_by_one_finds(tmp_path: Path) -> None:
    vectors = clustered(N, 1)
    index = written(tmp_path, VectorWriter(), vectors)
    assert isinstance(index.index, faiss.IndexIVF)
    assert (index[np.arange(N)] == vectors).all()
    assert recall(index, vectors) > 0.97
    assert index.index.nprobe < index.index.nlist / 2


def test_few_vectors_are_compared_one_by_one(tmp_path: Path) -> None:
    vectors = clustered(900, 1)
    index = written(tmp_path, VectorWriter(), vectors)
    assert index.lists is None
    assert recall(index, vectors) == 1
    assert recall(index, vectors, np.arange(900) % 7 == 0) == 1


@pytest.mark.parametrize("clumped", [True, False])
def test_a_small_choice_of_rows_is_searched_without_fail(tmp_path: Path, clumped: bool) -> None:
    """Also where the rows lie far from the query: here all that are unlike the first axis."""
    vectors = clustered(N, 1)
    index = written(tmp_path, VectorWriter(), vectors)
    among = np.zeros(N, dtype=bool)
    chosen = np.argsort(vectors[:, 0]) if clumped else np.random.default_rng(2).permutation(N)
    among[chosen[:150]] = True
    assert recall(index, vectors, among) == 1


@pytest.mark.parametrize("clumped", [True, False])
def test_a_large_choice_of_rows_is_searched_as_well_as_all(tmp_path: Path, clumped: bool) -> None:
    vectors = clustered(N, 1)
    index = written(tmp_path, VectorWriter(), vectors)
    among = vectors[:, 0] < 0 if clumped else np.random.default_rng(2).uniform(size=N) < 0.5
    assert recall(index, vectors, among) > 0.97


def test_an_update_keeps_the_centroids_and_numbers_rows_anew(tmp_path: Path) -> None:
    before, new = clustered(N, 1), clustered(400, 2)
    old = written(tmp_path, VectorWriter(), before)
    kept = np.flatnonzero(np.arange(N) % 5 > 0)
    index = written(tmp_path, VectorWriter(old, kept), new)
    expected = np.concatenate([before[kept], new])
    assert (index[np.arange(len(expected))] == expected).all()
    centroids = [i.index.quantizer.reconstruct_n(0, i.index.nlist) for i in (old, index)]
    assert (centroids[0] == centroids[1]).all()
    assert recall(index, expected) > 0.97
    assert recall(old, before) > 0.97  # untouched


@pytest.mark.parametrize(("n_kept", "n_new"), [(500, 100), (N, 8_000)])
def test_an_index_that_shrinks_or_grows_much_changes_its_kind(
    tmp_path: Path, n_kept: int, n_new: int
) -> None:
    before, new = clustered(N, 1), clustered(n_new, 2)
    old = written(tmp_path, VectorWriter(), before)
    kept = np.arange(n_kept)
    index = written(tmp_path, VectorWriter(old, kept), new)
    assert (index.lists is None) == (n_kept < N)
    expected = np.concatenate([before[kept], new])
    assert (index[np.arange(len(expected))] == expected).all()
    assert recall(index, expected) > 0.97


def test_equal_vectors_do_not_fool_the_measured_recall(tmp_path: Path) -> None:
    vectors = np.repeat(clustered(50, 1), 60, axis=0)
    writer = VectorWriter()
    writer.add(vectors)
    assert float(writer.write(tmp_path / "x").split()[-1]) == 1


def test_the_file_is_mapped_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x"
    writer = VectorWriter()
    writer.add(clustered(N, 1))
    writer.write(path)
    index = open_vectors(path)
    mapped = Path("/proc/self/maps").read_text()
    assert str(path) in mapped
    path.unlink()
    assert index.nearest(clustered(1, 3), 5)[1].min() >= 0
