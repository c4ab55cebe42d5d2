import dataclasses

import numpy as np
import pytest

from features.embedding.learning import LearningRecipe, Objects, learn_projection, likeness

RECIPE = LearningRecipe(dimension=8, steps=300, batch=128, learning_rate=1e-2)


def objects(seed: int = 0, n: int = 400) -> Objects:
    """Features whose loud dimensions are noise, and whose quiet ones say category and colour."""
    rng = np.random.default_rng(seed)
    categories = rng.integers(0, 4, n)
    colours = rng.choice([20.0, 80.0], (n, 1)) * np.ones((1, 3))
    signal = np.concatenate([np.eye(4)[categories], (colours[:, :1] - 50) / 60], axis=1)
    noise = rng.normal(size=(2, n, 20)) * 2
    views = np.concatenate([np.broadcast_to(signal, (2, n, 5)), noise], axis=2)
    return Objects(
        views.astype(np.float32), categories, np.full(n, -1), colours.astype(np.float32),
        np.zeros((0, 2), dtype=np.int64),
    )  # fmt: skip


def precision(vectors: np.ndarray, labels: np.ndarray) -> float:
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -2)
    return float((labels[cosines.argmax(axis=1)] == labels).mean())


def test_alike_objects_of_other_pins_come_near() -> None:
    learned = learn_projection(objects(0), "test", RECIPE)
    fresh = objects(1)
    labels = fresh.categories * 2 + (fresh.colours[:, 0] > 50)
    before = precision(fresh.views[0] / np.linalg.norm(fresh.views[0], axis=1)[:, None], labels)
    assert precision(learned(fresh.views[0]), labels) > before + 0.3


def test_the_same_objects_give_the_same_projection() -> None:
    recipe = dataclasses.replace(RECIPE, steps=5)
    one, two = (learn_projection(objects(), "test", recipe) for _ in range(2))
    np.testing.assert_array_equal(one.matrix, two.matrix)
    other = learn_projection(objects(), "test", dataclasses.replace(recipe, seed=8))
    assert not np.array_equal(one.matrix, other.matrix)


def test_pairs_of_the_log_are_drawn_near() -> None:
    """Pairs share a code that neither category nor colour says; the noise is low."""
    rng = np.random.default_rng(3)
    plain = objects(0)
    code = rng.integers(0, 10, 400)
    quiet = plain.views * np.array([1.0] * 5 + [0.25] * 20)
    views = np.concatenate([quiet, np.broadcast_to(np.eye(10)[code], (2, 400, 10))], axis=2)
    same = np.array([(a, b) for a in range(400) for b in range(400) if a < b and code[a] == code[b]
                     and plain.categories[a] == plain.categories[b]])  # fmt: skip
    with_code = dataclasses.replace(plain, views=views.astype(np.float32))
    recipe = dataclasses.replace(RECIPE, pairs_weight=2.0, dimension=32)
    learned = learn_projection(dataclasses.replace(with_code, pairs=same), "test", recipe)
    blind = learn_projection(with_code, "test", recipe)
    found = [precision(project(with_code.views[0]), code) for project in (learned, blind)]
    assert found[0] > found[1] + 0.1


def test_likeness_falls_with_colour_and_ends_with_the_category() -> None:
    three = Objects(
        np.zeros((1, 3, 2), np.float32), np.array([0, 0, 1]), np.array([5, 5, 5]),
        np.array([[0, 0, 0], [12, 0, 0], [0, 0, 0]], np.float32), np.zeros((0, 2), np.int64),
    )  # fmt: skip
    recipe = LearningRecipe(colour_scale=12, family_weight=1, category_weight=0, across=0.25)
    np.testing.assert_allclose(likeness(three, np.arange(3), recipe)[0], [0, 0.75, 0], rtol=1e-5)
    four = Objects(
        np.zeros((1, 4, 2), np.float32), np.zeros(4, np.int64), np.array([5, 5, 6, -1]),
        np.array([[0, 0, 0], [12, 0, 0], [0, 0, 0], [50, 0, 0]], np.float32),
        np.zeros((0, 2), np.int64),
    )  # fmt: skip
    own_side = np.array([2 * np.exp(-1), 1]) / (2 * np.exp(-1) + 1) * 0.75
    found = likeness(four, np.arange(4), recipe)[0]
    np.testing.assert_allclose(found, [0, *own_side, 0.25], rtol=1e-5)
    with pytest.raises(ValueError, match="two objects"):
        learn_projection(dataclasses.replace(three, views=three.views[:, :1]), "test")
