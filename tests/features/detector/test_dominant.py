import numpy as np
import pandas as pd

from features.detector.detector import Detections
from features.detector.dominant import favourites, picks

BOXES = [[10, 10, 30, 30], [0, 50, 100, 100], [40, 40, 60, 60]]
FOUND = Detections(
    np.array(BOXES, np.float32), np.array([0.9, 0.6, 0.8], np.float32), ("hat", "rug", "bag"),
    100, 100,
)  # fmt: skip


def crops(*rows: tuple[str, int]) -> pd.DataFrame:
    """Crops of one user on one box each."""
    edges = ["x1", "y1", "x2", "y2"]
    return pd.DataFrame([{"user_id": u, **dict(zip(edges, BOXES[box], strict=True))}
                         for u, box in rows])  # fmt: skip


def test_each_rule_picks_its_object() -> None:
    assert picks(FOUND) == {
        "score": 0, "area": 1, "score x sqrt(area)": 1, "score x centre closeness": 2
    }  # fmt: skip


def test_the_favourite_has_most_users_not_most_crops() -> None:
    assert favourites(crops(("a", 2), ("b", 2), ("c", 0), ("c", 0), ("c", 0)), FOUND) == 2
    assert favourites(crops(("a", 2), ("b", 0)), FOUND) is None
    elsewhere = crops(("a", 0)).assign(x1=80, x2=95, y1=0, y2=10)
    assert favourites(elsewhere, FOUND) is None
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), (), 100, 100)
    assert favourites(crops(("a", 0)), nothing) is None
