import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from ranking.labels import gains
from ranking.metrics import METRICS, evaluate, hit_rate, ndcg, places, reciprocal_rank

pages = st.lists(
    st.tuples(st.integers(0, 5), st.floats(-3, 3), st.integers(0, 4)), min_size=1, max_size=60
)


def columns(page: list[tuple[int, float, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    requests, scores, grades = (np.array(column) for column in zip(*page, strict=True))
    return requests, scores, grades


@pytest.mark.parametrize(
    ("grades", "expected"),
    [
        # the order of places is the order of the list; gains 0, 1, 3, 7, 15
        ([4, 0, 0], {"ndcg@10": 1.0, "mrr": 1.0, "hit_rate@10": 1.0}),
        ([0, 4, 0], {"ndcg@10": 1 / np.log2(3), "mrr": 1 / 2, "hit_rate@10": 1.0}),
        ([1, 0, 2], {"ndcg@10": (1 + 3 / 2) / (3 + 1 / np.log2(3)), "mrr": 1 / 3}),
        ([0] * 10 + [4], {"ndcg@10": 0.0, "mrr": 1 / 11, "hit_rate@10": 0.0}),
        ([1, 0], {"ndcg@10": 1.0}),
    ],
)
def test_one_request_worked_by_hand(grades: list[int], expected: dict[str, float]) -> None:
    at = np.arange(1, len(grades) + 1)
    values = evaluate(np.zeros(len(grades), dtype=int), at, np.array(grades))
    measured = {v.metric: v.value for v in values if v.n_requests}
    assert measured == pytest.approx(expected)


def test_per_request_first_then_the_mean_over_requests_with_something_relevant() -> None:
    requests = np.array([1, 1, 2, 2, 3, 3])
    at = np.array([1, 2, 1, 2, 1, 2])
    grades = np.array([4, 0, 0, 2, 0, 0])  # request 2 has no save, request 3 nothing at all
    by_name = {v.metric: v for v in evaluate(requests, at, grades)}
    assert by_name["mrr"].value == pytest.approx((1 + 1 / 2) / 2)
    assert by_name["mrr"].n_requests == 2
    assert by_name["hit_rate@10"].n_requests == 1
    assert by_name["ndcg@10"].value == pytest.approx((1 + 1 / np.log2(3)) / 2)


def test_ndcg_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    for size in (2, 5, 12, 30):
        grades = rng.integers(0, 5, size=(40, size))
        scores = rng.normal(size=(40, size))
        requests = np.repeat(np.arange(40), size)
        at = places(requests, scores.ravel(), np.arange(40 * size))
        ours = ndcg(requests, at, grades.ravel()).mean()
        relevant = grades.max(axis=1) > 0
        theirs = ndcg_score(gains(grades)[relevant], scores[relevant], k=10)
        assert ours == pytest.approx(theirs, abs=1e-12)


@given(pages)
@settings(max_examples=60, deadline=None)
def test_values_lie_between_0_and_1_and_the_best_order_has_1(page: list) -> None:
    requests, scores, grades = columns(page)
    for metric in METRICS:
        value = metric.per_request(requests, places(requests, scores, range(len(page))), grades)
        assert np.all((value >= 0) & (value <= 1 + 1e-12))
    best = places(requests, grades, range(len(page)))
    assert ndcg(requests, best, grades) == pytest.approx(1.0)
    assert np.all(reciprocal_rank(requests, best, grades) == 1)
    assert np.all(hit_rate(requests, best, grades) == 1)


@given(pages, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_order_of_the_rows_makes_no_difference(page: list, random: object) -> None:
    rows = [(*row, tie) for tie, row in enumerate(page)]
    shuffled = rows.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    results = []
    for requests, scores, grades, ties in (
        tuple(np.array(c) for c in zip(*r, strict=True)) for r in (rows, shuffled)
    ):
        scores = np.round(scores)  # many equal scores
        at = places(requests, scores, ties)
        results.append([m.per_request(requests, at, grades) for m in METRICS])
    for one, other in zip(*results, strict=True):
        assert one == pytest.approx(other)


def test_places_run_from_1_without_gaps_and_equal_scores_follow_the_ties() -> None:
    at = places(["a", "a", "b", "a"], [0.0, 0.0, 5.0, np.nan], ["p2", "p1", "p1", "p0"])
    assert at.tolist() == [2, 1, 1, 3]


def test_nothing_shown_gives_no_value() -> None:
    nothing = np.zeros(0, dtype=int)
    assert all(v.n_requests == 0 and np.isnan(v.value) for v in evaluate(*[nothing] * 3))
