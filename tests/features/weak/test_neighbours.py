import numpy as np

from features.embedding.embedding import unit
from features.weak.neighbours import nearest


def test_equals_sorting_all_cosines() -> None:
    rng = np.random.default_rng(0)
    vectors = unit(rng.normal(size=(200, 32)).astype(np.float32))
    queries = unit(rng.normal(size=(7, 32)).astype(np.float32))
    cosines, rows = nearest(vectors, queries, 5)
    expected = np.argsort(-(queries @ vectors.T), axis=1)[:, :5]
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_allclose(
        cosines, np.take_along_axis(queries @ vectors.T, expected, 1), rtol=1e-5
    )


def test_a_vector_is_its_own_nearest_neighbour() -> None:
    vectors = unit(np.random.default_rng(1).normal(size=(50, 8)).astype(np.float32))
    cosines, rows = nearest(vectors, vectors, 1)
    assert rows[:, 0].tolist() == list(range(50))
    np.testing.assert_allclose(cosines, 1, rtol=1e-5)


def test_fewer_vectors_than_asked_for_and_no_query() -> None:
    vectors = np.eye(2, dtype=np.float32)
    assert nearest(vectors, vectors[:1], 3)[1].tolist() == [[0, 1, -1]]
    assert nearest(vectors, vectors[:0], 3)[1].shape == (0, 3)
