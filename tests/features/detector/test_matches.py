from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from features.detector.evaluation import scored, summary
from features.detector.matches import (
    Matches,
    curves,
    interval,
    matches_of,
    reliability,
    resampled_ap50,
)

NAMES = ("bag", "hat", "scarf")


def random_scene(seed: int, photos: int = 12) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A COCO file of two categories, and detections that are near, wrong or missing."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for photo in range(1, photos + 1):
        for _ in range(rng.integers(0, 5)):
            box = [*rng.uniform(0, 60, 2), *rng.uniform(15, 40, 2)]
            row = {"image_id": photo, "category_id": int(rng.integers(1, 3))}
            truth.append({**row, "bbox": box, "area": box[2] * box[3], "iscrowd": 0})
            for _ in range(rng.integers(0, 3)):
                moved = (np.array(box) + rng.normal(0, 5, 4)).tolist()
                found.append({**row, "bbox": moved, "score": float(rng.random())})
        row = {"image_id": photo, "category_id": int(rng.integers(1, 4))}
        found.append({**row, "bbox": [1, 1, 30, 30], "score": float(rng.random())})
    return coco_file(range(1, photos + 1), truth), found


def coco_file(photos: Iterable[int], truth: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 99, "height": 99} for n in photos],
        "annotations": [{**row, "id": number} for number, row in enumerate(truth, start=1)],
        "categories": [{"id": n, "name": name} for n, name in enumerate(NAMES, start=1)],
    }


def matched(coco: dict[str, Any], found: list[dict[str, Any]]) -> Matches:
    return matches_of(scored(coco, found))


@pytest.mark.parametrize("seed", range(4))
def test_precision_is_that_of_pycocotools(seed: int) -> None:
    coco, found = random_scene(seed)
    scoring = scored(coco, found)
    samples = resampled_ap50(matches_of(scoring), replicates=3)
    by_category = summary(scoring).by_category
    assert samples.shape == (4, 3)
    for column, name in enumerate(NAMES[:2]):
        assert samples[0, column] == pytest.approx(by_category[name][1])
    assert np.isnan(samples[:, 2]).all()


@pytest.mark.parametrize("seed", range(4))
def test_a_sample_has_the_precision_of_the_photos_drawn(seed: int) -> None:
    coco, found = random_scene(seed)
    photos = len(coco["images"])
    samples = resampled_ap50(matched(coco, found), replicates=1, seed=seed)
    (drawn,) = np.random.default_rng(seed).multinomial(photos, np.full(photos, 1 / photos), 1)
    truth, again, copies = [], [], 0
    for photo, times in enumerate(drawn, start=1):
        for _ in range(times):
            copies += 1
            for kept, rows in ((truth, coco["annotations"]), (again, found)):
                kept += [{**row, "image_id": copies} for row in rows if row["image_id"] == photo]
    by_category = summary(scored(coco_file(range(1, copies + 1), truth), again)).by_category
    for column, name in enumerate(NAMES[:2]):
        assert samples[1, column] == pytest.approx(by_category[name][1])


def test_the_interval_holds_the_value_and_is_narrow_with_many_photos() -> None:
    widths = []
    for photos in (20, 200):
        samples = resampled_ap50(matched(*random_scene(5, photos)))[:, 0]
        low, high = interval(samples[1:])
        assert low < samples[0] < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2
    assert np.isnan(interval(np.array([np.nan]))).all()


def test_the_truth_is_always_right() -> None:
    coco, _ = random_scene(1)
    found = [{**row, "score": 1.0} for row in coco["annotations"]]
    matches = matched(coco, found)
    assert matches.found.matched.all()
    assert matches.true.matched.all()
    assert set(matches.true.score) == {1.0}
    assert np.allclose(resampled_ap50(matches, 5)[:, :2], 1)
    assert reliability(matches).error == pytest.approx(0)
    for curve in curves(matches).values():
        assert (curve.precision == 1).all()
        assert curve.recall[-1] == 1


def test_nothing_found() -> None:
    coco, _ = random_scene(1)
    matches = matched(coco, [])
    assert len(matches.found.score) == 0
    assert not matches.true.matched.any()
    assert (resampled_ap50(matches, 3)[0, :2] == 0).all()
    assert np.isnan(reliability(matches).error)
    assert len(reliability(matches).share) == 0
    assert all(len(curve.recall) == 0 for curve in curves(matches).values())


def test_a_crowd_is_neither_right_nor_wrong() -> None:
    box = {"image_id": 1, "category_id": 1, "bbox": [10, 10, 30, 30], "area": 900}
    coco = coco_file([1], [{**box, "iscrowd": 1}, {**box, "bbox": [60, 60, 30, 30], "iscrowd": 0}])
    matches = matched(coco, [{**box, "score": 0.9}])
    assert (len(matches.found.score), len(matches.true.score)) == (0, 1)


def test_reliability_of_constructed_detections() -> None:
    # Ten detections with score .75, six on a box; four with .15, none on a box.
    box = {"category_id": 1, "bbox": [10, 10, 30, 30], "area": 900, "iscrowd": 0}
    truth = [{**box, "image_id": photo} for photo in range(1, 7)]
    wrong = {**box, "bbox": [60, 60, 20, 20]}
    found = [{**box, "image_id": photo, "score": 0.75} for photo in range(1, 11)]
    found += [{**wrong, "image_id": photo, "score": 0.15} for photo in range(1, 5)]
    found += [{**wrong, "image_id": 1, "score": 0.99, "category_id": 3}]
    result = reliability(matched(coco_file(range(1, 11), truth), found))
    assert result.found.tolist() == [4, 10]
    assert result.score == pytest.approx([0.15, 0.75])
    assert result.share == pytest.approx([0, 0.6])
    assert result.error == pytest.approx((4 * 0.15 + 10 * 0.15) / 14)
    assert (result.low <= result.share).all()
    assert (result.high >= result.share).all()


def test_reliability_is_that_of_scikit_learn() -> None:
    matches = matched(*random_scene(3, 60))
    known = matches.found.category < 2
    share, score = calibration_curve(
        matches.found.matched[known], matches.found.score[known], n_bins=10
    )
    result = reliability(matches)
    assert result.share == pytest.approx(share)
    assert result.score == pytest.approx(score)
