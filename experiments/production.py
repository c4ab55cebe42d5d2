"""Examination of production traffic beside that of random order: does the curve hold there too?"""

import datetime as dt

import numpy as np
import pandas as pd

from experiments.estimators.examination import measure
from experiments.estimators.rankings import Ints, Reals
from experiments.estimators.regression_em import adjacent_chain, regression_em
from experiments.held_out import read_by_position
from sql.database import Database

_PAIRS = """
SELECT COALESCE(r.platform, 'unknown') AS platform, r.query_pin_id, i.candidate_pin_id, i.position,
       COUNT(*) AS shown, SUM(CASE WHEN EXISTS (
           SELECT 1 FROM engagements AS e WHERE e.request_id = i.request_id
           AND e.candidate_pin_id = i.candidate_pin_id AND e.date <= :last) THEN 1 ELSE 0 END
       ) AS acted
FROM requests AS r JOIN impressions AS i ON i.request_id = r.request_id AND i.date = r.date
WHERE r.policy = 'production' AND r.date <= :last AND r.user_id NOT IN (
    SELECT user_id FROM requests WHERE date <= :last GROUP BY user_id, date
    HAVING COUNT(*) > :most)
GROUP BY COALESCE(r.platform, 'unknown'), r.query_pin_id, i.candidate_pin_id, i.position
"""


def examination_curves(database: Database, last: dt.date, most_pages_a_day: int) -> pd.DataFrame:
    """Returns examination relative to position 1, from the traffic up to and including a day.

    One row per platform and position: random_order (isotonic), regression_em and adjacent_chain
    (both from production traffic), n_production (impressions). Requests of robots are left out.
    Raises ValueError where there is no action in random order, or production traffic cannot tell.
    """
    random = measure(read_by_position(database, dt.date.min, last, most_pages_a_day))
    pairs = database.read(_PAIRS, last=last, most=most_pages_a_day).to_pandas()
    if pairs.empty:
        raise ValueError(f"There is no production traffic up to {last}.")
    tables = []
    for platform, rows in pairs.groupby("platform"):
        pair, position, acted = impressions(rows)
        n_positions = int(position.max())
        tables.append(pd.DataFrame({
            "platform": platform, "position": np.arange(1, n_positions + 1),
            "random_order": random.of(np.array([platform]), n_positions)[0],
            "regression_em": regression_em(pair, position, acted).examination,
            "adjacent_chain": adjacent_chain(pair, position, acted),
            "n_production": np.bincount(position)[1:],
        }))  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def impressions(rows: pd.DataFrame) -> tuple[Ints, Ints, Reals]:
    """Returns pair, position and acted (0 or 1) of every impression counted in the rows.

    >>> rows = pd.DataFrame({"query_pin_id": ["q"], "candidate_pin_id": ["c"], "position": [2],
    ...                      "shown": [3], "acted": [1]})
    >>> [values.tolist() for values in impressions(rows)]
    [[0, 0, 0], [2, 2, 2], [1.0, 0.0, 0.0]]
    """
    pair = rows.groupby(["query_pin_id", "candidate_pin_id"], sort=False).ngroup().to_numpy()
    acted, missed = rows["acted"].to_numpy(np.int64), (rows["shown"] - rows["acted"]).to_numpy()
    times = np.concatenate([acted, missed])
    return (
        np.repeat(np.tile(pair, 2), times),
        np.repeat(np.tile(rows["position"].to_numpy(np.int64), 2), times),
        np.repeat([1.0, 0.0], [acted.sum(), missed.sum()]),
    )
