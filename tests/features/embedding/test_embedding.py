import numpy as np
import pytest
from PIL import Image as pil

from features.embedding.embedding import Embedder, cut


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder(side=96)


@pytest.fixture(scope="module")
def crops() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (5, 6, 6, 3), dtype=np.uint8)
    return [np.asarray(pil.fromarray(image).resize((96, 96))) for image in small]


def test_vectors_are_unit_and_of_the_stated_dimension(
    embedder: Embedder, crops: list[np.ndarray]
) -> None:
    vectors = embedder.embed(crops)
    assert vectors.shape == (5, embedder.dimension)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert embedder.embed([]).shape == (0, embedder.dimension)


def test_a_batch_gives_what_single_calls_give(embedder: Embedder, crops: list[np.ndarray]) -> None:
    single = np.concatenate([embedder.embed([crop]) for crop in crops])
    cosines = (single * embedder.embed(crops, batch=3)).sum(axis=1)
    assert cosines.min() > 0.999


def test_an_image_is_nearer_to_its_brighter_self_than_to_others(
    embedder: Embedder, crops: list[np.ndarray]
) -> None:
    brighter = [np.clip(crop.astype(int) + 15, 0, 255).astype(np.uint8) for crop in crops]
    cosines = embedder.embed(crops) @ embedder.embed(brighter).T
    assert cosines.argmax(axis=1).tolist() == [0, 1, 2, 3, 4]


def test_the_version_follows_what_changes_the_numbers(embedder: Embedder) -> None:
    assert Embedder(side=96).version == embedder.version
    assert Embedder(side=128).version != embedder.version


def test_an_unknown_model_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        Embedder("nonsense")


def test_a_cut_holds_the_pixels_of_the_box() -> None:
    pixels = np.zeros((40, 60, 3), dtype=np.uint8)
    pixels[10:20, 30:50] = 200
    image = pil.fromarray(pixels)
    assert (cut(image, (30, 10, 50, 20), 16)[4:-4, 4:-4] == 200).all()
    assert cut(image, (55, 35, 90, 90), 16).shape == (16, 16, 3)
    assert cut(image, (59.9, 39.9, 59.9, 39.9), 16).shape == (16, 16, 3)
