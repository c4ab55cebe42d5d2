"""Quality gates: what must hold before a day is published.

A gate is a name, what was measured, what would pass and one sentence. References are earlier dates
that passed or that an operator accepted, so a bad day never becomes the measure of the next one.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import pandas as pd
import pyarrow as pa

from experiments.statistics.stability import bin_shares, decile_edges, noise, psi
from experiments.thresholds import Thresholds
from experiments.wording import number
from sql.database import Database
from sql.tables import PAIR_FEATURES, PAIR_INTEREST, quality_gates

KINDS = ("rows", "objects", "nulls", "drift", "canary", "ranking")
LOGS = ("requests", "impressions", "engagements", "crops")
LISTS = ("pins", "candidates")
FEATURES = (*PAIR_FEATURES, *PAIR_INTEREST)
WEEK = 7
LEVEL = 1e-4  # how often chance alone may make one feature drift
LEAST_PAIRS = 30  # pairs below which a feature is too rare for its loss to say anything
FIRST = "Nothing to compare with yet."

_ACCEPTED = """
SELECT name, date, value FROM quality_gates
WHERE date < :date AND (passed = 1 OR skipped = 1) AND value IS NOT NULL ORDER BY date DESC
"""
_REFUSED = "SELECT name, date FROM quality_gates WHERE date < :date AND passed = 0 AND skipped = 0"
_OBJECTS = """
SELECT COUNT(*) AS n, SUM(CASE WHEN v.n_objects > 0 THEN 1.0 ELSE 0.0 END) / COUNT(*) AS share
FROM pins AS p
LEFT JOIN pin_visuals AS v ON v.pin_id = p.pin_id AND v.feature_version = :version
"""
_NULLS = """
SELECT COUNT(*) AS n, {shares} FROM candidates AS c
LEFT JOIN pair_features AS f ON f.feature_version = :version
    AND f.query_pin_id = c.query_pin_id AND f.candidate_pin_id = c.candidate_pin_id
LEFT JOIN pair_interest AS n ON n.feature_version = :version AND n.date = :date
    AND n.query_pin_id = c.query_pin_id AND n.candidate_pin_id = c.candidate_pin_id
"""
_SHOWN = """
SELECT r.date, r.query_pin_id, {columns}
FROM (
    SELECT request_id, date, query_pin_id, COUNT(*) OVER (PARTITION BY date) AS n,
        ROW_NUMBER() OVER (PARTITION BY date ORDER BY request_id) AS number
    FROM requests WHERE date IN :days
) AS r
JOIN impressions AS i ON i.request_id = r.request_id
LEFT JOIN pair_features AS f ON f.feature_version = :version
    AND f.query_pin_id = r.query_pin_id AND f.candidate_pin_id = i.candidate_pin_id
LEFT JOIN pair_interest AS n ON n.feature_version = :version AND n.date = r.date
    AND n.query_pin_id = r.query_pin_id AND n.candidate_pin_id = i.candidate_pin_id
WHERE r.number % ((r.n + :most - 1) / :most) = 0
"""


@dataclass(frozen=True)
class Gate:
    """One gate of a day; its name is <kind>/<what>. value is NaN where nothing was measured."""

    name: str
    passed: bool
    value: float
    expected: str
    detail: str
    skipped: bool = False


class GateFailed(Exception):
    """A gate failed and nobody chose to skip it; the text says which, why and what to do."""


@dataclass(frozen=True)
class Past:
    """What the gates of earlier dates found: accepted values by name, newest first, and the dates
    that were refused by name."""

    accepted: Mapping[str, list[tuple[dt.date, float]]]
    refused: Mapping[str, set[dt.date]]

    def last(self, name: str) -> tuple[dt.date, float] | None:
        return next(iter(self.accepted.get(name, [])), None)


def past(database: Database, date: dt.date) -> Past:
    """What the gates of the dates before this one found."""
    accepted: dict[str, list[tuple[dt.date, float]]] = {}
    refused: dict[str, set[dt.date]] = {}
    for row in database.read(_ACCEPTED, date=date).to_pylist():
        accepted.setdefault(row["name"], []).append((row["date"], row["value"]))
    for row in database.read(_REFUSED, date=date).to_pylist():
        refused.setdefault(row["name"], set()).add(row["date"])
    return Past(accepted, refused)


def input_gates(
    database: Database,
    date: dt.date,
    feature_version: str,
    thresholds: Thresholds,
    canary: Callable[[], float] | None = None,
) -> list[Gate]:
    """The gates on what was read, seen and paired for a date; canary measures AP50 where one is
    configured."""  # fmt: skip
    before = past(database, date)
    return [
        *row_gates(database, date, thresholds, before),
        object_gate(database, feature_version, thresholds, before),
        *null_gates(database, date, feature_version, thresholds, before),
        *drift_gates(database, date, feature_version, thresholds, before),
        *([canary_gate(canary(), thresholds)] if canary else []),
    ]


def row_gates(
    database: Database, date: dt.date, thresholds: Thresholds, before: Past
) -> list[Gate]:
    """Rows of the date in each log against the last accepted day, and of each list against the
    last accepted run."""
    gates = []
    for table in (*LOGS, *LISTS):
        name = f"rows/{table}"
        if table in LOGS:
            query = f"SELECT date, COUNT(*) AS n FROM {table} WHERE date <= :date GROUP BY date"
            rows = database.read(query, date=date).to_pylist()
            by_day = {row["date"]: float(row["n"]) for row in rows}
            value = by_day.pop(date, 0.0)
            days = set(by_day) - before.refused.get(name, set())
            last = (max(days), by_day[max(days)]) if days else None
        else:
            value = float(database.read(f"SELECT COUNT(*) AS n FROM {table}")["n"][0].as_py())
            last = before.last(name)
        least = thresholds.rows_least_share * last[1] if last else 0.0
        since = f"{last[1]:,.0f} on {last[0]}." if last else FIRST
        detail = f"{value:,.0f} rows of {table} on {date}; {since}"
        gates.append(Gate(name, value >= least, value, f"at least {least:,.0f}", detail))
    return gates


def object_gate(
    database: Database, feature_version: str, thresholds: Thresholds, before: Past
) -> Gate:
    """The share of pins with an object; a pin whose image cannot be read has none."""
    name = "objects/share_of_pins"
    row = database.read(_OBJECTS, version=feature_version).to_pylist()[0]
    value, last = row["share"] if row["n"] else float("nan"), before.last(name)
    least = thresholds.objects_least_share
    if last:
        least = max(least, last[1] - thresholds.objects_most_drop)
    since = f"{last[1]:.1%} on {last[0]}." if last else FIRST
    detail = f"{value:.1%} of {row['n']:,} pins have an object; {since}"
    return Gate(name, value >= least, value, f"at least {least:.1%}", detail)


def null_gates(
    database: Database, date: dt.date, feature_version: str, thresholds: Thresholds, before: Past
) -> list[Gate]:
    """The share of candidate pairs without each feature, against the mean of seven runs before."""
    shares = ", ".join(
        f"AVG(CASE WHEN {_alias(c)}.{c} IS NULL THEN 1.0 ELSE 0.0 END) AS {c}" for c in FEATURES
    )
    query = _NULLS.format(shares=shares)
    found = database.read(query, version=feature_version, date=date).to_pylist()[0]
    n_pairs = found.pop("n")
    gates = []
    for feature, share in found.items():
        name = f"nulls/{feature}"
        value = float("nan") if share is None else float(share)
        runs = [v for _, v in before.accepted.get(name, [])[:WEEK]]
        most, since = 1.0, FIRST
        if runs:
            usual = sum(runs) / len(runs)
            most, since = _most_nulls(usual, n_pairs, thresholds), f"{usual:.1%} in earlier runs."
        detail = f"{value:.1%} of {n_pairs:,} candidate pairs have no {feature}; {since}"
        gates.append(Gate(name, value <= most, value, f"at most {most:.1%}", detail))
    return gates


def drift_gates(
    database: Database, date: dt.date, feature_version: str, thresholds: Thresholds, before: Past
) -> list[Gate]:
    """The PSI of each feature of what was shown on the date against the seven accepted days before
    it. Noise is that of as many observations as query pins, within which features are alike.
    Before the log has a week, what accumulates (interest) still settles: the gates pass.
    """
    bad = {d for name, days in before.refused.items() if name.startswith("drift/") for d in days}
    days = database.read("SELECT DISTINCT date FROM requests WHERE date < :date", date=date)
    week = sorted(set(days["date"].to_pylist()) - bad)[-WEEK:]
    columns = ", ".join(f"{_alias(c)}.{c}" for c in FEATURES)
    most = thresholds.drift_requests_a_day
    shown = database.read(
        _SHOWN.format(columns=columns), version=feature_version, most=most, days=[date, *week]
    ).to_pandas()
    is_new = shown["date"] == date
    reference, today = shown[~is_new] if len(week) == WEEK else shown[:0], shown[is_new]
    n_week, n_today = reference["query_pin_id"].nunique(), today["query_pin_id"].nunique()
    return [_drift(f, reference[f], today[f], n_week, n_today, thresholds) for f in FEATURES]


def canary_gate(ap50: float, thresholds: Thresholds) -> Gate:
    """Average precision at IoU 0.5 of the detector on the canary set."""
    least = thresholds.canary_least_ap50
    detail = f"The detector has AP50 {ap50:.3f} on the canary set {thresholds.canary_coco}."
    return Gate("canary/ap50", ap50 >= least, ap50, f"at least {least:.3f}", detail)


def ranking_gate(
    database: Database, date: dt.date, arm: str, ndcg: float, thresholds: Thresholds
) -> Gate:
    """Held-out nDCG@10 of the arm's order against that of its last published one."""
    query = """SELECT date, value FROM ranking_metrics
    WHERE arm = :arm AND metric = 'ndcg@10' AND date < :date ORDER BY date DESC LIMIT 1"""
    last = database.read(query, arm=arm, date=date).to_pylist()
    least = (1 - thresholds.ranking_most_drop) * last[0]["value"] if last else float("-inf")
    since = f"{last[0]['value']:.4f} on {last[0]['date']}." if last else FIRST
    detail = f"Held-out nDCG@10 of {arm} is {ndcg:.4f}; {since}"
    return Gate(
        "ranking/ndcg@10", ndcg >= least or not last, ndcg, f"at least {number(least)}", detail
    )


def enforce(
    database: Database, date: dt.date, gates: Sequence[Gate], skip: Sequence[str]
) -> dict[str, object]:
    """Records the gates of a date; a summary of them where all passed or were skipped.

    skip: names or kinds of gates that may fail. Raises GateFailed where another one failed.
    """
    judged = [replace(g, skipped=not g.passed and _named(g, skip)) for g in gates]
    rows = [asdict(g) | {"date": date, "passed": int(g.passed), "skipped": int(g.skipped)}
            for g in judged]  # fmt: skip
    database.replace(quality_gates, pa.Table.from_pylist(rows), date=date,
                     name=[g.name for g in judged])  # fmt: skip
    failed = [g for g in judged if not g.passed and not g.skipped]
    if failed:
        reasons = " ".join(f"{g.name}: {g.detail} Expected {g.expected}." for g in failed[:5])
        more = f" And {len(failed) - 5} more." if len(failed) > 5 else ""
        raise GateFailed(
            f"{len(failed)} of {len(judged)} quality gates failed for {date}, so nothing was "
            f"published. {reasons}{more} See the table quality_gates; to publish nevertheless: "
            f"--skip-gates {failed[0].name}."
        )
    return {"passed": sum(g.passed for g in judged),
            "skipped": [g.name for g in judged if g.skipped]}  # fmt: skip


def known_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names of gates to skip; ValueError for one that is not of a known kind.

    >>> known_names(["drift", "rows/crops"])
    ('drift', 'rows/crops')
    """
    for name in names:
        if name.split("/")[0] not in KINDS:
            raise ValueError(
                f"There is no quality gate {name}; use a name of the table quality_gates or a "
                f"kind: {', '.join(KINDS)}."
            )
    return tuple(names)


def _drift(
    feature: str, week: pd.Series, today: pd.Series, n_week: int, n_today: int,
    thresholds: Thresholds,
) -> Gate:  # fmt: skip
    name = f"drift/{feature}"
    if not (n_week and n_today):
        return Gate(name, True, float("nan"), "", f"{feature}: no whole week to compare with yet.")
    reference = week.to_numpy(dtype=float)
    edges = decile_edges(reference)
    value = psi(bin_shares(reference, edges), bin_shares(today.to_numpy(dtype=float), edges))
    most = max(thresholds.drift_most_psi, noise(n_week, n_today, len(edges) + 2, LEVEL))
    detail = f"PSI {value:.3f} of {feature}: {n_today:,} query pins against {n_week:,} before."
    return Gate(name, value <= most, value, f"at most {most:.3f}", detail)


def _most_nulls(usual: float, n_pairs: int, thresholds: Thresholds) -> float:
    most = usual + thresholds.nulls_most_rise
    known = (1 - usual) * n_pairs
    if known >= LEAST_PAIRS:
        most = min(most, 1 - thresholds.nulls_least_known * (1 - usual))
    return min(most, 1.0)


def _alias(feature: str) -> str:
    return "f" if feature in PAIR_FEATURES else "n"


def _named(gate: Gate, names: Sequence[str]) -> bool:
    return gate.name in names or gate.name.split("/")[0] in names
