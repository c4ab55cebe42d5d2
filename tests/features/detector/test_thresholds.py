import json
from pathlib import Path

import numpy as np
import pytest

from features.detector.detector import read_settings, save_detector
from features.detector.faster_rcnn import Settings, faster_rcnn
from features.detector.matches import Boxes, Matches
from features.detector.thresholds import lowest_score, thresholds, write_thresholds


def boxes(rows: list[tuple[int, float, bool]]) -> Boxes:
    """From (category, score, right)."""
    category, score, matched = (np.array(column) for column in zip(*rows, strict=True))
    n = len(rows)
    return Boxes(np.zeros(n, np.int64), category, np.zeros((n, 4)), score, matched.astype(bool))


def test_the_lowest_score_that_is_right_often_enough() -> None:
    score = np.array([0.5, 0.9, 0.8, 0.7, 0.6])
    right = np.array([True, True, True, False, False])
    # Sorted: right right wrong wrong right; precision 1, 1, .67, .5, .6.
    assert lowest_score(score, right, 1.0, 1) == 0.8
    assert lowest_score(score, right, 0.65, 1) == 0.7
    assert lowest_score(score, right, 0.6, 1) == 0.5
    assert lowest_score(score, right, 1.0, 3) is None
    assert lowest_score(score[:0], right[:0], 0.5, 1) is None


def test_equal_scores_are_kept_or_dropped_together() -> None:
    score = np.array([0.9, 0.8, 0.8, 0.8])
    assert lowest_score(score, np.array([True, True, False, False]), 0.7, 1) == 0.9
    assert lowest_score(score, np.array([True, False, True, True]), 0.7, 1) == 0.8


def test_rare_categories_take_the_threshold_of_all_together() -> None:
    found = [(0, 0.9 - row / 100, row < 8) for row in range(10)]  # 8 right, then 2 wrong
    found += [(1, 0.6, True)]
    found += [(2, 0.99, False)] * 50  # no true boxes of this one: not counted
    matches = Matches(("a.png",), ("bag", "hat", "lamp", "rug"), boxes(found),
                      boxes([(0, 0.5, True), (1, 0.6, True)]))  # fmt: skip
    chosen = thresholds(matches, precision=0.8, least=5)
    assert chosen == {"bag": pytest.approx(0.81), "hat": pytest.approx(0.6)}
    # A precision that nothing reaches leaves all out.
    assert thresholds(matches, precision=1.01, least=5) == {}


def test_thresholds_are_written_into_the_settings(tmp_path: Path) -> None:
    settings = Settings(("bag", "hat"), thresholds={"hat": 0.5})
    path = tmp_path / "d.safetensors"
    save_detector(faster_rcnn(settings), settings, path, {"epochs": 1})
    assert write_thresholds(path, {"bag": 0.123456}) == {"bag": 0.1235, "hat": 0.5}
    assert read_settings(path).thresholds == {"bag": 0.1235, "hat": 0.5}
    assert json.loads(path.with_suffix(".json").read_text())["recipe"] == {"epochs": 1}
    with pytest.raises(ValueError, match="does not know lamp"):
        write_thresholds(path, {"lamp": 0.5})
