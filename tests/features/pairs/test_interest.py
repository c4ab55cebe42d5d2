import datetime as dt

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from features.pairs.interest import expected_interest, interest, interest_before, match_crops

BOXES = np.zeros((2, 3, 4), dtype=np.float32)
BOXES[0, 0] = (0, 0, 10, 10)
BOXES[0, 1] = (20, 20, 40, 40)


def test_a_crop_falls_on_the_box_it_overlaps_most_or_on_none() -> None:
    crops = np.array([[1.0, 1, 10, 10], [21, 19, 41, 39], [100, 100, 120, 120], [0, 0, 10, 10]])
    pins = np.array([0, 0, 0, 1])
    assert match_crops(crops, pins, BOXES).tolist() == [0, 1, -1, -1]
    assert match_crops(np.zeros((0, 4)), np.zeros(0, dtype=np.int64), BOXES).shape == (0,)


def test_every_user_has_one_vote() -> None:
    users = np.array(["busy"] * 8 + ["other"], dtype=object)
    matched = np.array([0] * 6 + [1] * 2 + [1])
    found = interest(users, np.zeros(9, dtype=np.int64), matched, (1, 2))
    np.testing.assert_allclose(found.share, [[0.375, 0.625]])
    assert found.croppers.tolist() == [[1, 1]]
    assert found.n_croppers.tolist() == [2]


def test_crops_that_fell_on_nothing_lower_every_share() -> None:
    users = np.array(["a", "b"], dtype=object)
    found = interest(users, np.zeros(2, dtype=np.int64), np.array([0, -1]), (1, 2))
    np.testing.assert_allclose(found.share, [[0.5, 0]])
    assert found.n_croppers.tolist() == [2]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.integers(-1, 2)), max_size=30)
)
def test_shares_sum_to_at_most_one_whatever_the_order(rows: list) -> None:
    def found(rows: list) -> np.ndarray:
        users, pins, objects = ([row[i] for row in rows] for i in range(3))
        return interest(
            np.array(users, dtype=object),
            np.array(pins, dtype=np.int64),
            np.array(objects, dtype=np.int64),
            (3, 3),
        ).share

    share = found(rows)
    assert (share >= 0).all()
    assert (share.sum(axis=1) <= 1 + 1e-6).all()
    np.testing.assert_allclose(share, found(rows[::-1]), atol=1e-6)


def test_only_earlier_days_count() -> None:
    crops = pd.DataFrame(
        {
            "date": [dt.date(2026, 11, 1), dt.date(2026, 11, 2), dt.date(2026, 11, 3)],
            "user_id": ["a", "b", "c"],
            "pin": [0, 0, 0],
        }
    )
    matched = np.array([0, 1, 1])
    planted = crops.assign(user_id=["a", "x", "y"])
    for frame in (crops, planted):
        found = interest_before(frame, matched, dt.date(2026, 11, 2), (1, 2))
        np.testing.assert_allclose(found.share, [[1, 0]])
    after = interest_before(crops, matched, dt.date(2026, 11, 4), (1, 2))
    np.testing.assert_allclose(after.share, [[1 / 3, 2 / 3]])


@given(st.lists(st.integers(0, 30), min_size=3, max_size=3), st.integers(0, 3))
def test_expected_interest_lies_between_the_usual_and_the_pins_own(
    votes: list[int], n_objects: int
) -> None:
    there = np.arange(3) < n_objects
    counts = np.array(votes) * there
    n = np.array(counts.sum())
    share = (counts / max(n, 1)).astype(np.float32)
    usual = (np.array([0.5, 0.3, 0.2]) * there).astype(np.float32)
    found = expected_interest(share, n, usual)
    np.testing.assert_allclose(found.sum(), float(n_objects > 0), atol=1e-5)
    assert (found[~there] == 0).all()
    if n and n_objects:
        low, high = np.minimum(share, usual / usual.sum()), np.maximum(share, usual / usual.sum())
        assert ((low - 1e-5 <= found) & (found <= high + 1e-5)).all()
