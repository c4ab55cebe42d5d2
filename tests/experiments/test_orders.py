from datetime import date, datetime

import numpy as np
import pandas as pd

from experiments.orders import health, place, rank_among

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


def page(n: int, day: date = DAY, query: str = "q") -> pd.DataFrame:
    return pd.DataFrame({"query_pin_id": [query], "date": [day], "page": [n]})


def test_diversity_and_new_pins_of_a_page_by_hand() -> None:
    ranked = order(a=OLD, b=datetime(2026, 11, 3), c=OLD, d=OLD)
    ranked["category"] = ["bag", "bag", "shoes", None]
    assert health(page(1), ranked).tolist() == [[0.0, 0.0]]
    assert health(page(2), ranked).tolist() == [[0.0, 0.5]]
    assert health(page(4), ranked).ravel().tolist() == [1 - (0.25 + 1 / 16 + 1 / 16), 0.25]
    assert health(page(9), ranked).tolist() == health(page(4), ranked).tolist()


def test_the_page_of_a_day_holds_only_pins_that_existed() -> None:
    ranked = order(a=NEW, b=OLD, c=OLD).assign(category=["bag", "shoes", "shoes"])
    assert health(page(2), ranked).tolist() == [[0.0, 0.0]]
    assert health(page(2, date(2026, 11, 9)), ranked).tolist() == [[0.5, 0.5]]


def test_a_pin_stops_being_new_after_seven_days() -> None:
    ranked = order(a=datetime(2026, 11, 1, 9)).assign(category="bag")
    shares = [health(page(1, date(2026, 11, day)), ranked)[0, 1] for day in (2, 8, 9)]
    assert shares == [1.0, 1.0, 0.0]


def test_a_page_without_candidates_is_nothing() -> None:
    ranked = order(a=NEW).assign(category="bag")
    assert health(page(3), ranked).tolist() == [[0.0, 0.0]]
    assert health(page(3, query="other"), ranked).tolist() == [[0.0, 0.0]]
    assert health(page(3), ranked.iloc[:0]).tolist() == [[0.0, 0.0]]
