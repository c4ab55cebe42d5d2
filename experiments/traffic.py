"""The traffic that was shown, as it was: every metric of each policy's requests, no estimate."""

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd

from experiments.estimators.rankings import Reals
from experiments.metrics import ENGAGEMENT, METRICS
from experiments.orders import NEW_DAYS
from sql.database import Database

Z = 1.959964
_ACTIONS = """
SELECT r.policy, r.user_id, e.action, COUNT(*) AS n
FROM requests AS r
JOIN impressions AS i ON i.request_id = r.request_id AND i.date = r.date
JOIN engagements AS e ON e.request_id = i.request_id AND e.candidate_pin_id = i.candidate_pin_id
WHERE r.date = :day AND e.date BETWEEN :day AND :last
GROUP BY r.policy, r.user_id, e.action
"""
_PAGES = """
SELECT r.policy, r.user_id, r.request_id, COALESCE(v.dominant_category, '') AS category,
       COUNT(*) AS n, SUM(CASE WHEN p.created_at >= :new_from THEN 1 ELSE 0 END) AS n_new
FROM requests AS r
JOIN impressions AS i ON i.request_id = r.request_id AND i.date = r.date
LEFT JOIN pins AS p ON p.pin_id = i.candidate_pin_id
LEFT JOIN pin_visuals AS v ON v.pin_id = i.candidate_pin_id AND v.feature_version = :version
WHERE r.date = :day
GROUP BY r.policy, r.user_id, r.request_id, COALESCE(v.dominant_category, '')
"""


def traffic_rows(
    database: Database, first: dt.date, last: dt.date, feature_version: str
) -> list[dict[str, Any]]:
    """Returns one row per policy and metric on the requests of the days first to last.

    Each has value, ci_low and ci_high (95 %, clustered by user), n_requests and n_users (of those
    who were shown anything). Engagement counts if it is known by the end of `last`.
    """
    days = [first + dt.timedelta(days=n) for n in range((last - first).days + 1)]
    actions = pd.concat([database.read(_ACTIONS, day=day, last=last).to_pandas() for day in days])
    pages = pd.concat(
        [
            database.read(
                _PAGES, day=day, version=feature_version,
                new_from=dt.datetime.combine(day, dt.time()) - dt.timedelta(days=NEW_DAYS),
            ).to_pandas()
            for day in days
        ]
    )  # fmt: skip
    rows = []
    for policy, of_policy in pages.groupby("policy", sort=True):
        users = per_user(of_policy, actions[actions["policy"] == policy])
        for name in METRICS:
            over = "users" if name == "save_propensity" else "requests"
            value, error = ratio(users[name].to_numpy(float), users[over].to_numpy(float))
            rows.append({
                "policy": policy, "metric": name, "value": value, "ci_low": value - Z * error,
                "ci_high": value + Z * error, "n_requests": int(users["requests"].sum()),
                "n_users": len(users),
            })  # fmt: skip
    return rows


def per_user(pages: pd.DataFrame, actions: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per user who was shown a page: requests, users (1), every metric's sum.

    pages: user_id, request_id, category, n, n_new (impressions of a request by category); actions:
    user_id, action, n.
    """
    squares = pages.assign(n=pages["n"].astype(float), squared=pages["n"].astype(float) ** 2)
    by_request = squares.groupby(["user_id", "request_id"])[["n", "n_new", "squared"]].sum()
    by_request["diversity"] = 1 - by_request["squared"] / by_request["n"] ** 2
    by_request["new_pin_share"] = by_request["n_new"] / by_request["n"]
    users = by_request.groupby("user_id")[["diversity", "new_pin_share"]].sum()
    users["requests"] = by_request.groupby("user_id").size()
    users["users"] = 1
    counts = actions.pivot_table(index="user_id", columns="action", values="n", aggfunc="sum")
    counts = counts.reindex(index=users.index, columns=list(ENGAGEMENT)).fillna(0)
    users = users.join(counts)
    users["save_propensity"] = (users["save"] > 0).astype(int)
    return users


def ratio(numerator: Reals, denominator: Reals) -> tuple[float, float]:
    """Returns sum / sum of what users (U,) have, and its standard error by the delta method.

    (NaN, NaN) without users.

    >>> value, error = ratio(np.array([1.0, 0.0]), np.array([1.0, 1.0]))
    >>> value, round(error, 4)
    (0.5, 0.3536)
    """
    total = float(denominator.sum())
    if not total:
        return np.nan, np.nan
    value = float(numerator.sum()) / total
    return value, float(np.sqrt(np.square(numerator - value * denominator).sum())) / total
