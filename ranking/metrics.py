"""Ranking metrics: a value per request first, then the mean over requests.

All take three arrays of length N, one entry per shown candidate: the request as a number, the
place in the order that is judged (from 1 within the request, see `places`), and the grade.
Requests without a relevant candidate have no value and are left out: they cannot tell two orders
apart.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ranking.labels import GRADES, gains

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

TOP = 10


@dataclass(frozen=True)
class Metric:
    """A named ranking metric; `per_request(requests, places, grades) -> (R,)`, each 0 to 1."""

    name: str
    source: str
    per_request: Callable[[Ints, Ints, Ints], Floats]


@dataclass(frozen=True)
class MetricValue:
    """The mean of a metric over `n_requests` requests; nan where there is none."""

    metric: str
    value: float
    n_requests: int


def places(requests: npt.ArrayLike, scores: npt.ArrayLike, ties: npt.ArrayLike) -> Ints:
    """The place of each candidate within its request, `(N,)` int64 from 1: highest score first.

    Equal scores are ordered by `ties` (text or numbers, ascending), nan scores come last; the
    order of the rows never matters as long as `ties` are distinct within a request.

    >>> places([7, 7, 7, 9], [0.1, 0.5, 0.1, 0.0], ["b", "c", "a", "d"])
    array([3, 1, 2, 1])
    """
    codes = np.unique(np.asarray(requests), return_inverse=True)[1]
    order = np.lexsort((np.asarray(ties), -np.asarray(scores, dtype=np.float64), codes))
    first = np.searchsorted(codes[order], codes[order])
    result = np.empty(len(codes), dtype=np.int64)
    result[order] = np.arange(len(codes)) - first + 1
    return result


def ndcg(requests: Ints, places: Ints, grades: Ints, top: int = TOP) -> Floats:
    """nDCG at `top` per request: discounted gain over that of the best order of the candidates.

    Gains 2^grade - 1, discount 1 / log2(1 + place). Järvelin & Kekäläinen 2002, "Cumulated
    gain-based evaluation of IR techniques", with the gains of Burges et al. 2005. `(R,)` float64,
    0 to 1, requests in ascending order, only those with a grade above 0.
    """
    unique, codes = np.unique(requests, return_inverse=True)
    best = _places_of_best(codes, grades)
    gained, ideal = (_discounted(codes, p, grades, len(unique), top) for p in (places, best))
    relevant = ideal > 0
    return gained[relevant] / ideal[relevant]


def reciprocal_rank(requests: Ints, places: Ints, grades: Ints) -> Floats:
    """1 / place of the first candidate that was clicked or better, per request.

    Voorhees 1999, "The TREC-8 question answering track report". Relevant: grade of a click or
    more. `(R,)` float64, above 0 to 1, only requests with a relevant candidate.
    """
    return 1.0 / _first_place(requests, places, np.asarray(grades) >= GRADES["click"])


def hit_rate(requests: Ints, places: Ints, grades: Ints, top: int = TOP) -> Floats:
    """1 where a saved candidate is among the first `top`, else 0, per request.

    Deshpande & Karypis 2004, "Item-based top-N recommendation algorithms". `(R,)` float64, only
    requests with a save.
    """
    first = _first_place(requests, places, np.asarray(grades) >= GRADES["save"])
    return (first <= top).astype(np.float64)


METRICS = (
    Metric(f"ndcg@{TOP}", "Järvelin & Kekäläinen 2002", ndcg),
    Metric("mrr", "Voorhees 1999", reciprocal_rank),
    Metric(f"hit_rate@{TOP}", "Deshpande & Karypis 2004", hit_rate),
)


def evaluate(requests: Ints, places: Ints, grades: Ints) -> list[MetricValue]:
    """Every metric's mean over its requests.

    >>> shown = np.array([1, 1, 2, 2]), np.array([1, 2, 1, 2]), np.array([4, 0, 0, 2])
    >>> [(m.metric, round(m.value, 3), m.n_requests) for m in evaluate(*shown)]
    [('ndcg@10', 0.815, 2), ('mrr', 0.75, 2), ('hit_rate@10', 1.0, 1)]
    """
    values = [(metric.name, metric.per_request(requests, places, grades)) for metric in METRICS]
    return [
        MetricValue(name, float(v.mean()) if len(v) else float("nan"), len(v)) for name, v in values
    ]


def _places_of_best(codes: Ints, grades: Ints) -> Ints:
    return places(codes, grades, np.arange(len(codes)))


def _discounted(codes: Ints, at: Ints, grades: Ints, n_requests: int, top: int) -> Floats:
    discount = np.where(np.asarray(at) <= top, 1.0 / np.log2(1.0 + np.asarray(at)), 0.0)
    gained = np.bincount(codes, gains(grades) * discount, minlength=n_requests)
    return gained.astype(np.float64, copy=False)


def _first_place(requests: Ints, at: Ints, relevant: npt.NDArray[np.bool_]) -> Floats:
    unique, codes = np.unique(np.asarray(requests)[relevant], return_inverse=True)
    first = np.full(len(unique), np.inf)
    np.minimum.at(first, codes, np.asarray(at, dtype=np.float64)[relevant])
    return first
