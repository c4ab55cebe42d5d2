from datetime import date, datetime

import numpy as np
import pandas as pd
import pytest

from experiments.held_out import place, rank_among, segments

DAY = date(2026, 11, 8)
OLD, NEW = datetime(2026, 9, 1), datetime(2026, 11, 8, 0, 30)


def order(**created: datetime | None) -> pd.DataFrame:
    """The order a, b, c of query pin q, with when each was created."""
    pins = list(created)
    return pd.DataFrame({
        "query_pin_id": "q", "candidate_pin_id": pins, "rank": range(1, len(pins) + 1),
        "created_at": pd.to_datetime(list(created.values())),
    })  # fmt: skip


def shown(*candidates: str, query: str = "q", day: date = DAY) -> pd.DataFrame:
    return pd.DataFrame({"query_pin_id": query, "candidate_pin_id": candidates, "date": day})


def test_candidates_take_their_rank() -> None:
    places, known = place(shown("c", "a", "b"), order(a=OLD, b=OLD, c=OLD))
    assert places.tolist() == [3, 1, 2]
    assert known.all()


def test_a_pin_that_did_not_exist_that_day_takes_no_place() -> None:
    ranked = order(a=NEW, b=OLD, c=OLD)
    assert place(shown("a", "b", "c"), ranked)[0].tolist() == [0, 1, 2]
    assert place(shown("a", "b", "c", day=date(2026, 11, 9)), ranked)[0].tolist() == [1, 2, 3]


def test_a_pin_of_unknown_age_has_always_existed() -> None:
    assert place(shown("a", "b"), order(a=None, b=OLD))[0].tolist() == [1, 2]


def test_what_was_not_ranked_has_no_place() -> None:
    places, known = place(shown("z", "b"), order(a=OLD, b=OLD))
    assert (places.tolist(), known.tolist()) == ([0, 2], [True, True])
    places, known = place(shown("a", query="other"), order(a=OLD))
    assert (places.tolist(), known.tolist()) == ([0], [False])
    places, known = place(shown("a"), order(a=OLD).iloc[:0])
    assert (places.tolist(), known.tolist()) == ([0], [False])


def test_rank_among_counts_each_row_by_itself() -> None:
    available = np.random.default_rng(0).random((20, 7)) < 0.5
    for row, places in zip(available, rank_among(available), strict=True):
        assert places[row].tolist() == list(range(1, row.sum() + 1))
        assert not places[~row].any()


@pytest.fixture
def requests() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    kinds = np.array(["dress", "bag", "tie", None], dtype=object)
    return pd.DataFrame({
        "category": rng.choice(kinds, 1000, p=[0.4, 0.3, 0.1, 0.2]),
        "platform": rng.choice(["ios", "web"], 1000),
    })  # fmt: skip


def test_segments_divide_what_they_should(requests: pd.DataFrame) -> None:
    found = segments(requests)
    assert found["all"].all()

    def total(dimension: str) -> np.ndarray:
        return np.sum([m for name, m in found.items() if name.startswith(dimension)], axis=0)

    assert (total("query_has_object=") == 1).all()
    assert (total("platform=") == 1).all()
    assert (total("category=") == found["query_has_object=yes"]).all()


def test_small_categories_stand_together(requests: pd.DataFrame) -> None:
    found = segments(requests)
    names = {name for name in found if name.startswith("category")}
    assert names == {"category=bag", "category=dress", "category=other"}
    assert (found["category=other"] == (requests["category"] == "tie")).all()
    assert found["category=dress"].sum() >= 200


def test_without_objects_there_is_no_category() -> None:
    bare = pd.DataFrame({"category": [None, None], "platform": ["ios", "ios"]})
    assert set(segments(bare)) == {"all", "query_has_object=no", "platform=ios"}
