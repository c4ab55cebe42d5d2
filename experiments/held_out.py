"""The held-out requests in random order, and what each arm would have shown on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd

from experiments.estimators.rankings import Bools, Reals, Sample
from experiments.orders import NEW_DAYS, health, place
from experiments.plan import DIMENSIONS, Plan
from sql.database import Database
from sql.tables import ACTIONS

MIN_CATEGORY_REQUESTS = 200

_FLAGS = ",\n       ".join(
    f"MAX(CASE WHEN e.action = '{action}' THEN 1 ELSE 0 END) AS {action}" for action in ACTIONS
)
_SHOWN = f"""
SELECT r.request_id, r.user_id, r.query_pin_id, r.date, COALESCE(r.platform, 'unknown') AS platform,
       i.candidate_pin_id, i.position, i.propensity,
       {_FLAGS}
FROM requests AS r
JOIN impressions AS i ON i.request_id = r.request_id AND i.date = r.date
LEFT JOIN engagements AS e ON e.request_id = i.request_id
    AND e.candidate_pin_id = i.candidate_pin_id AND e.date BETWEEN :first AND :last
WHERE r.policy = 'random' AND r.date BETWEEN :first AND :last AND r.user_id NOT IN (
    SELECT user_id FROM requests WHERE date BETWEEN :first AND :last
    GROUP BY user_id, date HAVING COUNT(*) > :most)
GROUP BY r.request_id, r.user_id, r.query_pin_id, r.date, r.platform,
         i.candidate_pin_id, i.position, i.propensity
"""
_BY_POSITION = f"""
SELECT platform, position, COUNT(*) AS shown, {", ".join(f"SUM({a}) AS {a}" for a in ACTIONS)},
       SUM(CASE WHEN {" + ".join(ACTIONS)} > 0 THEN 1 ELSE 0 END) AS acted
FROM ({_SHOWN}) AS impressions_in_random_order
GROUP BY platform, position
ORDER BY platform, position
"""
_ORDER = """
SELECT k.query_pin_id, k.candidate_pin_id, k.rank, p.created_at, v.dominant_category AS category
FROM rankings AS k LEFT JOIN pins AS p ON p.pin_id = k.candidate_pin_id
LEFT JOIN pin_visuals AS v ON v.pin_id = k.candidate_pin_id AND v.feature_version = :version
WHERE k.date = :date AND k.arm = :arm AND k.query_pin_id IN (
    SELECT query_pin_id FROM requests WHERE policy = 'random' AND date BETWEEN :first AND :date)
"""
_ROBOTS = """
SELECT COUNT(DISTINCT user_id) AS users, COUNT(*) AS requests FROM requests
WHERE policy = 'random' AND date BETWEEN :first AND :last AND user_id IN (
    SELECT user_id FROM requests WHERE date BETWEEN :first AND :last
    GROUP BY user_id, date HAVING COUNT(*) > :most)
"""
_QUERY_PINS = """
SELECT p.pin_id AS query_pin_id, p.created_at, v.n_objects, v.dominant_category
FROM pins AS p LEFT JOIN pin_visuals AS v ON v.pin_id = p.pin_id AND v.feature_version = :version
"""


@dataclass(frozen=True)
class HeldOut:
    """The sample of the held-out days; `requests` has one row per request of it, in its order.

    requests: request_id, user_id, query_pin_id, date, platform, page, category (of the query pin's
    dominant object; null without object), query_pin_age (new: created on the day of the request or
    the 7 days before it; else old). health: for each arm (R, 2), diversity and share of new pins of
    the page it would show. Left out: n_robots users with n_robot_requests requests, who
    opened more pages on a day than people do; n_missing of n_impressions impressions without usable
    propensity; n_unranked of n_shown requests whose query pin an arm did not rank.
    """

    sample: Sample
    requests: pd.DataFrame
    health: Mapping[str, Reals]
    n_impressions: int
    n_missing: int
    n_shown: int
    n_unranked: int
    n_robots: int
    n_robot_requests: int


def read_held_out(
    database: Database, plan: Plan, day: date, feature_version: str, arms: Sequence[str]
) -> HeldOut:
    """Returns the requests in random order of the plan's days up to and including `day`.

    Only engagement known by the end of `day` counts. A candidate is placed among those that
    existed when the request's day began, so that an arm is not asked for a pin nobody could show.
    """
    first = day - timedelta(days=plan.days - 1)
    window = {"first": first, "last": day, "most": plan.most_pages_a_day}
    robots = database.read(_ROBOTS, **window).to_pylist()[0]
    shown = database.read(_SHOWN, **window).to_pandas()
    shown = shown.sort_values(["request_id", "position", "candidate_pin_id"], ignore_index=True)
    shown["page"] = shown.groupby("request_id")["position"].transform("max")
    ranked, orders = np.ones(len(shown), bool), {}
    for arm in arms:
        orders[arm] = database.read(
            _ORDER, date=day, first=first, arm=arm, version=feature_version
        ).to_pandas()
        shown[f"rank {arm}"], known = place(shown, orders[arm])
        ranked &= known
    usable = shown["propensity"].between(0, 1, inclusive="right").to_numpy()
    kept = shown[ranked & usable].reset_index(drop=True)
    sample, requests = _sample(kept, arms)
    pins = database.read(_QUERY_PINS, version=feature_version).to_pandas()
    requests = requests.merge(pins, how="left", on="query_pin_id")
    requests["category"] = requests["dominant_category"].where(requests["n_objects"] > 0)
    days_old = (pd.to_datetime(requests["date"]) - requests["created_at"].dt.normalize()).dt.days
    requests["query_pin_age"] = np.where(days_old <= NEW_DAYS, "new", "old")
    return HeldOut(
        sample, requests, {arm: health(requests, orders[arm]) for arm in arms},
        len(shown), int((~usable).sum()),
        shown["request_id"].nunique(), shown["request_id"][~ranked].nunique(),
        robots["users"], robots["requests"],
    )  # fmt: skip


def read_by_position(
    database: Database, first: date, last: date, most_pages_a_day: int
) -> pd.DataFrame:
    """Returns counts of impressions in random order, requested and acted on in the given days.

    Requests of robots are left out. One row per platform and position: shown, each action, acted
    (any action).
    """
    window = {"first": first, "last": last, "most": most_pages_a_day}
    counts: pd.DataFrame = database.read(_BY_POSITION, **window).to_pandas()
    return counts


def segments(requests: pd.DataFrame, dimensions: Sequence[str] = DIMENSIONS) -> dict[str, Bools]:
    """Returns which of the requests (R,) each segment holds; empty segments are left out.

    `all`; query_has_object=yes/no, platform=... and query_pin_age=new/old each divide `all`;
    category=... divides query_has_object=yes, with categories of fewer than 200 requests together
    as category=other.
    """
    has_object = requests["category"].notna()
    sizes = requests["category"].map(requests["category"].value_counts())
    small = (sizes < MIN_CATEGORY_REQUESTS).to_numpy()
    columns = {
        "query_has_object": has_object.map({True: "yes", False: "no"}),
        "category": requests["category"].mask(small, "other"),
        "platform": requests["platform"],
        "query_pin_age": requests["query_pin_age"],
    }
    found = {"all": np.ones(len(requests), bool)}
    for dimension in dimensions:
        values = columns[dimension]
        for value in sorted(values.dropna().unique()):
            found[f"{dimension}={value}"] = (values == value).to_numpy(bool)
    return found


def _sample(kept: pd.DataFrame, arms: Sequence[str]) -> tuple[Sample, pd.DataFrame]:
    requests = kept.drop_duplicates("request_id").reset_index(drop=True)
    users, _ = pd.factorize(requests["user_id"], sort=True)
    rows = pd.factorize(kept["request_id"])[0]
    sample = Sample(
        user=users.astype(np.int64),
        page=requests["page"].to_numpy(np.int64),
        request=rows.astype(np.int64),
        position=kept["position"].to_numpy(np.int64),
        propensity=kept["propensity"].to_numpy(np.float64),
        actions=_reals(kept, ACTIONS),
        ranks={arm: kept[f"rank {arm}"].to_numpy(np.int64) for arm in arms},
    )
    columns = ["request_id", "user_id", "query_pin_id", "date", "platform", "page"]
    return sample, requests[columns]


def _reals(frame: pd.DataFrame, columns: Sequence[str]) -> Reals:
    return frame[list(columns)].to_numpy(np.float64)
