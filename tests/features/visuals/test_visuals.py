import dataclasses

import numpy as np
import pytest

from experiments.world.appearance import random_looks
from experiments.world.scenes import draw_outfit
from features.detector.detector import load_detector
from features.embedding.embedding import Embedder
from features.embedding.projection import Projection
from features.images.images import Image
from features.visuals.visuals import PinVisual, VisualExtractor, VisualSettings


@pytest.fixture(scope="module")
def images() -> list[Image]:
    rng = np.random.default_rng(3)
    scenes = [draw_outfit(random_looks("outfit", rng), rng) for _ in range(3)]
    arrays = [np.array(scene.image.convert("RGB")) for scene in scenes]
    return [Image("", f"{n}", a.shape[1], a.shape[0], a) for n, a in enumerate(arrays)]


@pytest.fixture(scope="module", params=["crop", "roi_align"])
def extractor(request: pytest.FixtureRequest) -> VisualExtractor:
    settings = VisualSettings(pooling=request.param)
    return VisualExtractor(load_detector(), Embedder(side=128), settings)


@pytest.fixture(scope="module")
def visuals(extractor: VisualExtractor, images: list[Image]) -> list[PinVisual]:
    return extractor.extract(images)


def test_one_record_per_image_in_order(visuals: list[PinVisual], images: list[Image]) -> None:
    assert [v.content_hash for v in visuals] == [image.content_hash for image in images]
    assert sum(len(v.scores) for v in visuals) > 0


def test_records_keep_their_promises(visuals: list[PinVisual], extractor: VisualExtractor) -> None:
    for v in visuals:
        n, dimension = len(v.scores), len(v.whole_crop)
        assert v.boxes.shape == (n, 4)
        assert v.crops.shape == v.padded.shape == (n, dimension)
        assert v.colours.shape == (n, 3)
        assert n <= extractor.settings.max_objects
        assert (np.diff(v.scores) <= 0).all()
        assert (v.scores >= extractor.settings.min_score).all()
        np.testing.assert_allclose(np.linalg.norm(v.crops, axis=1), 1, rtol=1e-4)
        np.testing.assert_allclose(np.linalg.norm(v.whole), 1, rtol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(v.whole_crop), 1, rtol=1e-4)
        assert ((v.area_shares > 0) & (v.area_shares <= 1)).all()


def test_a_batch_gives_what_single_calls_give(
    visuals: list[PinVisual], extractor: VisualExtractor, images: list[Image]
) -> None:
    for together, image in zip(visuals, images, strict=True):
        (alone,) = extractor.extract([image])
        assert alone.categories == together.categories
        np.testing.assert_allclose(alone.boxes, together.boxes, atol=6)
        assert (alone.whole * together.whole).sum() > 0.99
        assert ((alone.crops * together.crops).sum(axis=1) > 0.98).all()


def test_the_version_follows_settings(extractor: VisualExtractor) -> None:
    def version(**settings: float) -> str:
        changed = VisualSettings(pooling=extractor.settings.pooling, **settings)
        return VisualExtractor(extractor.detector, extractor.embedder, changed).feature_version

    assert version() == extractor.feature_version
    assert version(padding=0.1) != extractor.feature_version
    with pytest.raises(ValueError, match="roi_align"):
        VisualSettings(pooling="mean")


def test_given_boxes_are_described_as_found_ones(
    visuals: list[PinVisual], extractor: VisualExtractor, images: list[Image]
) -> None:
    found = [extractor.worth_keeping(one) for one in extractor.detector.detect(images)]
    for given, made in zip(extractor.describe(images, found), visuals, strict=True):
        assert given.categories == made.categories
        assert ((given.crops * made.crops).sum(axis=1) > 0.98).all()
        assert (given.whole_crop * made.whole_crop).sum() > 0.98


def test_a_projection_is_applied_to_objects_and_gives_another_version(
    visuals: list[PinVisual], extractor: VisualExtractor, images: list[Image]
) -> None:
    size = visuals[0].whole_crop.shape[0]
    matrix = np.random.default_rng(0).normal(size=(size, 8)).astype(np.float32)
    learned = Projection(np.zeros(size, np.float32), matrix, extractor.features)
    both = extractor.detector, extractor.embedder, extractor.settings
    projecting = VisualExtractor(*both, learned)
    assert projecting.plain_version == extractor.feature_version != projecting.feature_version
    for short, plain in zip(projecting.extract(images), visuals, strict=True):
        assert short.crops.shape == (len(plain.scores), 8)
        np.testing.assert_allclose(short.whole_crop, learned(plain.whole_crop[None])[0], atol=0.02)
        np.testing.assert_allclose(short.whole, plain.whole, atol=0.02)
    with pytest.raises(ValueError, match="learned on"):
        VisualExtractor(*both, dataclasses.replace(learned, learned_on="another"))
