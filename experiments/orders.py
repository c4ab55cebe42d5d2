"""Orders of candidates: the place a candidate takes on a day, and what the page is like."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from experiments.estimators.rankings import Bools, Ints, Reals

NEW_DAYS = 7  # a pin is new on the day it was created and the 7 days after it
_NEVER = np.iinfo(np.int64).max


def place(shown: pd.DataFrame, order: pd.DataFrame) -> tuple[Ints, Bools]:
    """Returns each shown candidate's place in an arm's order, and whether its query was ranked.

    shown: query_pin_id, candidate_pin_id, date; order: query_pin_id, candidate_pin_id, rank,
    created_at. Places count the candidates that existed when the day began; both results are
    (N,); place 0 means none.
    """
    keys = ["query_pin_id", "candidate_pin_id"]
    rank = shown[keys].merge(order, how="left", on=keys)["rank"].fillna(0).to_numpy(np.int64)
    queries = pd.Index(order["query_pin_id"].unique())
    query, known = queries.get_indexer(shown["query_pin_id"]), rank > 0
    if not len(queries):
        return rank, known
    created = _by_rank(order, queries, _created(order), _NEVER)
    pairs = np.stack([query, _days(shown["date"])], axis=1)
    pairs, number = np.unique(pairs, axis=0, return_inverse=True)
    places = rank_among(created[pairs[:, 0]] < pairs[:, 1, None])
    return np.where(known, places[number.ravel(), np.maximum(rank, 1) - 1], 0), query >= 0


def health(requests: pd.DataFrame, order: pd.DataFrame) -> Reals:
    """Returns diversity and share of new pins of the page that an order gives, (R, 2), 0 to 1.

    requests: query_pin_id, date, page (positions on it); order: as in `place`, and category (of
    the candidate's dominant object, null without one: a category of its own). Diversity is the
    chance that two pins of the page, drawn with replacement, are of different categories
    (Gini-Simpson index). A page without a candidate is 0 in both.
    """
    queries = pd.Index(order["query_pin_id"].unique())
    if not len(queries) or not len(requests):
        return np.zeros((len(requests), 2))
    created = _by_rank(order, queries, _created(order), _NEVER)
    codes, categories = pd.factorize(order["category"], use_na_sentinel=False)
    category = _by_rank(order, queries, codes, -1)
    columns = [
        queries.get_indexer(requests["query_pin_id"]),
        _days(requests["date"]),
        requests["page"].to_numpy(np.int64),
    ]
    pages, number = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
    query, day, length = pages[:, 0], pages[:, 1, None], pages[:, 2, None]
    places = rank_among(created[query] < day)
    on_page = (places >= 1) & (places <= length) & (query >= 0)[:, None]
    n = np.maximum(on_page.sum(axis=1), 1)
    new = (on_page & (created[query] >= day - NEW_DAYS)).sum(axis=1) / n
    kinds = [(on_page & (category[query] == k)).sum(axis=1) / n for k in range(len(categories))]
    diversity = np.where(on_page.any(axis=1), 1 - np.square(kinds).sum(axis=0), 0.0)
    per_request: Reals = np.stack([diversity, new], axis=1)[number.ravel()]
    return per_request


def rank_among(available: Bools) -> Ints:
    """Returns each rank's place among the available ones, (..., M) int64; 0 where not available.

    >>> rank_among(np.array([True, False, True])).tolist()
    [1, 0, 2]
    """
    return np.where(available, np.cumsum(available, axis=-1), 0)


def _by_rank(order: pd.DataFrame, queries: "pd.Index[str]", values: Ints, missing: int) -> Ints:
    """The values (N,) of the order's rows as a table of queries x ranks."""
    table = np.full((len(queries), int(order["rank"].max())), missing, dtype=np.int64)
    row = queries.get_indexer(pd.Index(order["query_pin_id"]))
    table[row, order["rank"].to_numpy(np.int64) - 1] = values
    return table


def _created(order: pd.DataFrame) -> Ints:
    """The day each candidate was created; a pin of unknown age has always existed."""
    return _days(order["created_at"].fillna(pd.Timestamp(0)))


def _days(values: "pd.Series[pd.Timestamp]") -> npt.NDArray[np.int64]:
    return values.to_numpy("datetime64[D]").astype(np.int64)
