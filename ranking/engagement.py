"""What engagement says about a pair, point in time: clicks over expected clicks, and so on.

The first place on a page is looked at more than the last, so plain click rates say more about where
a pin was shown than about the pin. Expected clicks are the clicks that an average pin would have
had at the same positions, on the same platforms, on the same day; clicks over expected clicks
(COEC) is then 1 for an average pin (Zhang & Jones 2007, "Comparing click logs and editorial labels
for training query rewriting"; the same for every other action).

A day's counts hold what was known when the day ended: actions that came after midnight are left
out of both the counts and the expected counts. The features for a date are made from the days
before it only, so nothing of the date itself or later can move them.
"""

from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from sql.database import Database, fingerprint
from sql.tables import ACTIONS, engagement_features, manifest, pin_pair_engagement

SCHEMA = 1  # to be raised when the numbers that this module makes change
PRIOR_ACTIONS = 3.0
LOGS = ("requests", "impressions", "engagements")

_DAY = f"""
WITH acted AS (
    SELECT request_id, candidate_pin_id,
        {", ".join(f"MAX(CASE WHEN action = '{a}' THEN 1 ELSE 0 END) AS {a}" for a in ACTIONS)}
    FROM engagements WHERE date = :day GROUP BY request_id, candidate_pin_id
),
shown AS (
    SELECT r.query_pin_id, i.candidate_pin_id, i.position, r.platform,
        {", ".join(f"COALESCE(a.{a}, 0) AS {a}" for a in ACTIONS)}
    FROM impressions i
    JOIN requests r ON r.request_id = i.request_id
    LEFT JOIN acted a
        ON a.request_id = i.request_id AND a.candidate_pin_id = i.candidate_pin_id
    WHERE i.date = :day
),
rates AS (
    SELECT position, platform,
        {", ".join(f"AVG(CAST({a} AS DOUBLE PRECISION)) AS {a}_rate" for a in ACTIONS)}
    FROM shown GROUP BY position, platform
)
SELECT s.query_pin_id, s.candidate_pin_id, COUNT(*) AS n_impressions,
    {", ".join(f"SUM(s.{a}) AS n_{a}, SUM(r.{a}_rate) AS expected_{a}" for a in ACTIONS)}
FROM shown s
JOIN rates r ON r.position IS NOT DISTINCT FROM s.position
    AND r.platform IS NOT DISTINCT FROM s.platform
GROUP BY s.query_pin_id, s.candidate_pin_id
"""

_TOTALS = ["n_impressions"] + [
    f"{kind}_{action}" for action in ("click", "save", "hide") for kind in ("n", "expected")
]
_BEFORE = f"""
WITH wanted AS (
    SELECT query_pin_id, candidate_pin_id FROM pin_pair_engagement WHERE date = :day
    UNION
    SELECT query_pin_id, candidate_pin_id FROM candidates WHERE :all_candidates = 1
),
pair AS (
    SELECT query_pin_id, candidate_pin_id, {", ".join(f"SUM({t}) AS {t}" for t in _TOTALS)}
    FROM pin_pair_engagement WHERE date < :day GROUP BY query_pin_id, candidate_pin_id
),
candidate AS (
    SELECT candidate_pin_id, {", ".join(f"SUM({t}) AS {t}" for t in _TOTALS)}
    FROM pair GROUP BY candidate_pin_id
)
SELECT w.query_pin_id, w.candidate_pin_id, p.created_at,
    {", ".join(f"COALESCE(pair.{t}, 0) AS pair_{t}" for t in _TOTALS)},
    {", ".join(f"COALESCE(candidate.{t}, 0) AS candidate_{t}" for t in _TOTALS)}
FROM wanted w
LEFT JOIN pair
    ON pair.query_pin_id = w.query_pin_id AND pair.candidate_pin_id = w.candidate_pin_id
LEFT JOIN candidate ON candidate.candidate_pin_id = w.candidate_pin_id
LEFT JOIN pins p ON p.pin_id = w.candidate_pin_id
ORDER BY w.query_pin_id, w.candidate_pin_id
"""

_CREATED = """
SELECT DISTINCT e.candidate_pin_id, p.created_at
FROM pin_pair_engagement e LEFT JOIN pins p ON p.pin_id = e.candidate_pin_id
WHERE e.date = :day
"""


def smoothed_ratio(actions: npt.ArrayLike, expected: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Actions over expected actions, drawn towards 1 by 3 actions as expected; `(N,)` float64.

    The posterior mean of a rate relative to the average under a Gamma(3, 3) prior and Poisson
    counts; 3 is about what the spread of real clicks and saves between pairs asks for.

    >>> smoothed_ratio([0, 6, 0], [0.0, 1.5, 6.0])
    array([1.        , 2.        , 0.33333333])
    """
    counts, means = (np.asarray(x, dtype=np.float64) for x in (actions, expected))
    return (counts + PRIOR_ACTIONS) / (means + PRIOR_ACTIONS)


def refresh_engagement(database: Database, first: date, last: date, cutoff: date) -> int:
    """Bring pin_pair_engagement and engagement_features up to date; the number of rows written.

    Counts are made for every day from `first` to `last`; features for the pairs shown on each of
    them and, at `cutoff`, for all candidates too. Days whose input has not changed are skipped;
    later days that were counted before and are no longer in the log lose their rows.
    Raises ValueError where `cutoff` is not one of the days.
    """
    if not first <= cutoff <= last:
        raise ValueError(f"The ranking date {cutoff} must lie between {first} and {last}.")
    days = list(_days(first, max([last, *_counted_days(database)])))
    written = 0
    for day in days:
        state = fingerprint(SCHEMA, _ingested(database, *(f"{log}/{day}" for log in LOGS)))
        if not database.is_done("pin_pair_engagement", f"{day}", state):
            database.forget("pin_pair_engagement", f"{day}")
            rows = day_engagement(database, day)
            written += database.replace(pin_pair_engagement, rows, date=day)
            database.mark_done("pin_pair_engagement", f"{day}", state, len(rows))
    pairs = _ingested(database, "candidates: rows", "pins: rows")
    for day in days:
        shown = _history_state(database, day)
        everything = fingerprint(shown, pairs)
        done = database.is_done("engagement_features", f"{day}", everything)
        if done or (day != cutoff and database.is_done("engagement_features", f"{day}", shown)):
            continue
        database.forget("engagement_features", f"{day}")
        rows = features_before(database, day, all_candidates=day == cutoff)
        written += database.replace(engagement_features, rows, date=day)
        state = everything if day == cutoff else shown
        database.mark_done("engagement_features", f"{day}", state, len(rows))
    return written


def day_engagement(database: Database, day: date) -> pa.Table:
    """The rows of pin_pair_engagement for one day, from that day's impressions and actions."""
    rows = database.read(_DAY, day=day)
    return rows.append_column("date", pa.array([day] * len(rows), pa.date32()))


def features_before(database: Database, day: date, *, all_candidates: bool) -> pa.Table:
    """The rows of engagement_features at the start of `day`, from days before it only.

    For the pairs shown on the day and, with `all_candidates`, for every pair of candidates. A
    pair without history has ratios of 1; a pin created on the day or later has age 0, one whose
    creation is unknown has none.
    """
    rows = database.read(_BEFORE, day=day, all_candidates=int(all_candidates))
    age = np.datetime64(day, "us") - rows["created_at"].to_numpy().astype("datetime64[us]")
    features: dict[str, npt.ArrayLike] = {
        "pair_n_impressions": rows["pair_n_impressions"],
        "candidate_n_impressions": rows["candidate_n_impressions"],
        "candidate_age_days": np.maximum(age / np.timedelta64(1, "D"), 0.0),
    }
    for side, action in (
        ("pair", "click"), ("pair", "save"),
        ("candidate", "click"), ("candidate", "save"), ("candidate", "hide"),
    ):  # fmt: skip
        actions, expected = rows[f"{side}_n_{action}"], rows[f"{side}_expected_{action}"]
        features[f"{side}_{action}_ratio"] = smoothed_ratio(actions, expected)
    keys = {
        "date": pa.array([day] * len(rows), pa.date32()),
        "query_pin_id": rows["query_pin_id"],
        "candidate_pin_id": rows["candidate_pin_id"],
    }
    return pa.table(keys | features)


def _days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=n) for n in range((last - first).days + 1))


def _counted_days(database: Database) -> list[date]:
    counted = database.read("SELECT piece FROM manifest WHERE step = 'pin_pair_engagement'")
    return [date.fromisoformat(piece) for piece in counted["piece"].to_pylist()]


def _ingested(database: Database, *pieces: str) -> list[dict[str, str]]:
    """The pieces of the input and their content hashes, as ingest recorded them."""
    query = sa.select(manifest.c.piece, manifest.c.fingerprint).where(
        manifest.c.step == "ingest", manifest.c.piece.in_(pieces)
    )
    states: list[dict[str, str]] = database.read(query.order_by(manifest.c.piece)).to_pylist()
    return states


def _history_state(database: Database, day: date) -> str:
    """A hash of the counts up to the day and of when the pins that it showed were created."""
    days = database.read(
        "SELECT piece, fingerprint FROM manifest "
        "WHERE step = 'pin_pair_engagement' AND piece <= :day ORDER BY piece",
        day=f"{day}",
    )
    created = database.read(_CREATED, day=day).to_pandas()
    ages = int(pd.util.hash_pandas_object(created, index=False).sum())
    return fingerprint(SCHEMA, PRIOR_ACTIONS, days.to_pylist(), ages)
