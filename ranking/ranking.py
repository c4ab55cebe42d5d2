"""Rankings: each arm's ranker trained on the days before the cutoff, and the order that it gives.

Labels, like features, are point in time: an action counts for training only where it happened by
the last training day. Work whose inputs, columns, seed and settings are unchanged is not redone.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from ranking.labels import GRADES
from ranking.linear import SETTINGS as LINEAR_SETTINGS
from ranking.metrics import METRICS, MetricValue, evaluate, places
from ranking.ranker import N_TREES, SETTINGS, Ranker, load_ranker, train
from ranking.recipe import Linear
from ranking.rows import informative
from sql.database import Database, fingerprint
from sql.tables import feature_importances, manifest, models, ranking_metrics, rankings

SCHEMA = 1  # to be raised when the numbers that this module makes change

_GRADE = f"MAX(CASE action {' '.join(f'WHEN {a!r} THEN {g}' for a, g in GRADES.items())} END)"
_OF_INTEREST = ", ".join(repr(action) for action, grade in GRADES.items() if grade)
_TRAINING = f"""
SELECT t.request_id, t.candidate_pin_id, t.position, COALESCE((
    SELECT {_GRADE} FROM engagements e WHERE e.request_id = t.request_id
        AND e.candidate_pin_id = t.candidate_pin_id AND e.date <= :last), 0) AS grade, {{columns}}
FROM training_rows t
WHERE t.feature_version = :feature_version AND t.date BETWEEN :first AND :last
    AND t.request_id IN (
        SELECT request_id FROM engagements WHERE action IN ({_OF_INTEREST}) AND date <= :last)
"""
_CANDIDATES = """
SELECT c.query_pin_id, c.candidate_pin_id, {columns}
FROM candidates c
LEFT JOIN pair_features f ON f.feature_version = :feature_version
    AND f.query_pin_id = c.query_pin_id AND f.candidate_pin_id = c.candidate_pin_id
LEFT JOIN pair_interest i ON i.feature_version = :feature_version AND i.date = :cutoff
    AND i.query_pin_id = c.query_pin_id AND i.candidate_pin_id = c.candidate_pin_id
LEFT JOIN engagement_features e ON e.date = :cutoff
    AND e.query_pin_id = c.query_pin_id AND e.candidate_pin_id = c.candidate_pin_id
"""
_SHOWN = f"""
SELECT i.request_id, r.query_pin_id, i.candidate_pin_id, COALESCE(a.grade, 0) AS grade
FROM impressions i
JOIN requests r ON r.request_id = i.request_id
LEFT JOIN (
    SELECT request_id, candidate_pin_id, {_GRADE} AS grade FROM engagements
    WHERE date BETWEEN :cutoff AND :date GROUP BY request_id, candidate_pin_id
) a ON a.request_id = i.request_id AND a.candidate_pin_id = i.candidate_pin_id
WHERE i.date BETWEEN :cutoff AND :date
"""
_HELD_OUT = f"""
SELECT s.request_id, s.candidate_pin_id, k.rank, s.grade
FROM ({_SHOWN}) s
LEFT JOIN rankings k ON k.date = :date AND k.arm = :arm
    AND k.query_pin_id = s.query_pin_id AND k.candidate_pin_id = s.candidate_pin_id
"""


@dataclass(frozen=True)
class Model:
    """A row of the table models: `columns` as a JSON list, `path` relative to the home folder."""

    date: dt.date
    arm: str
    feature_version: str
    model_version: str
    path: str
    columns: str
    train_from: dt.date
    train_to: dt.date
    n_rows: int
    n_requests: int
    seed: int


def training_table(
    database: Database, feature_version: str, columns: Sequence[str], first: dt.date, last: dt.date
) -> pa.Table:
    """The rows to train on: request_id, candidate_pin_id, position, grade, and the columns.

    Rows of training_rows from `first` to `last` in requests that were acted on by the end of
    `last`, ordered by request and candidate; numbers as float32, text as text. Read once, it serves
    every arm of the feature version. Raises ValueError where there is no such request.
    """
    query = _TRAINING.format(columns=", ".join(f"t.{name}" for name in columns))
    batches = database.batches(query, feature_version=feature_version, first=first, last=last)
    tables = [_narrowed(pa.table(batch), columns) for batch in batches]
    if not tables:
        raise ValueError(
            f"There is no training row from {first} to {last} for feature version "
            f"{feature_version}; make its pair features first."
        )
    return informative(pa.concat_tables(tables))


def train_arm(
    database: Database,
    home: Path,
    date: dt.date,
    arm: str,
    columns: Sequence[str],
    feature_version: str,
    train_from: dt.date,
    train_to: dt.date,
    seed: int,
    rows: Callable[[], pa.Table] | None = None,
    linear: Linear | None = None,
) -> Model:
    """Train an arm on the days from `train_from` to `train_to`: a model file and its rows in SQL.

    `rows` gives a `training_table` with at least the arm's columns where several arms share one;
    it is called only where the arm has to be trained. `linear`: for a linear ranker, not trees.
    Raises ValueError as `training_table` does.
    """
    piece, file = f"{date}/{arm}", f"{arm}.json" if linear else f"{arm}.txt"
    path = home / "models" / f"{date}" / file
    inputs = _input_states(database, feature_version, train_from, train_to)
    settings = (SETTINGS, N_TREES) if linear is None else (LINEAR_SETTINGS, asdict(linear))
    state = fingerprint(SCHEMA, *settings, columns, seed, train_from, train_to, inputs)
    known = _model(database, date, arm)
    if known and path.exists() and database.is_done("model", piece, state):
        return known
    if rows is None:
        table = training_table(database, feature_version, columns, train_from, train_to)
    else:
        table = rows()
    ranker = train(table, columns, seed, linear=linear)
    database.forget("model", piece)
    ranker.save(path)
    model = Model(
        date, arm, feature_version,
        model_version=hashlib.sha256(path.read_bytes()).hexdigest()[:12],
        path=path.relative_to(home).as_posix(),
        columns=json.dumps(list(ranker.columns)),
        train_from=train_from,
        train_to=train_to,
        n_rows=len(table),
        n_requests=pc.count_distinct(table["request_id"]).as_py(),
        seed=seed,
    )  # fmt: skip
    database.replace(models, pa.Table.from_pylist([asdict(model)]), date=date, arm=arm)
    importances = _keyed(ranker.importances(), date, arm)
    database.replace(feature_importances, importances, date=date, arm=arm)
    database.mark_done("model", piece, state, model.n_rows, model.path, feature_version)
    return model


def rank_candidates(
    database: Database, home: Path, date: dt.date, cutoff: dt.date, arm: str
) -> int:
    """Rank the candidates of every query pin as known at the start of `cutoff`; rows ranked.

    Every row of the table candidates gets a rank, from 1 without gaps within its query pin, equal
    scores by candidate_pin_id. Raises ValueError where the arm has no model for the date or there
    are no candidates.
    """
    model = _model(database, date, arm)
    if model is None:
        raise ValueError(f"The arm {arm} has no model for {date}; train it first.")
    piece, version = f"{date}/{arm}", model.feature_version
    inputs = _input_states(database, version, cutoff, cutoff)
    state = fingerprint(SCHEMA, model.model_version, cutoff, inputs)
    if database.is_done("rankings", piece, state):
        return int(_done(database, "rankings", piece)["n_rows"][0].as_py())
    ranked = _keyed(_ranked(database, home, model, cutoff), date, arm)
    database.forget("rankings", piece)
    database.replace(rankings, ranked, date=date, arm=arm)
    database.mark_done("rankings", piece, state, len(ranked), feature_version=version)
    return len(ranked)


def metrics_if_published(
    database: Database, home: Path, date: dt.date, cutoff: dt.date, arm: str
) -> list[MetricValue]:
    """What `holdout_metrics` will find once the arm's candidates are ranked; writes nothing.

    Raises ValueError as `rank_candidates` does.
    """
    model = _model(database, date, arm)
    if model is None:
        raise ValueError(f"The arm {arm} has no model for {date}; train it first.")
    ranked = _ranked(database, home, model, cutoff).to_pandas()
    shown = database.read(_SHOWN, date=date, cutoff=cutoff).to_pandas()
    found = shown.merge(ranked, "left", ["query_pin_id", "candidate_pin_id"])
    return _measured(pa.Table.from_pandas(found, preserve_index=False))


def holdout_metrics(
    database: Database, date: dt.date, arm: str, cutoff: dt.date
) -> list[MetricValue]:
    """Ranking metrics of an arm's order of what was shown from `cutoff` to `date`; also into SQL.

    The shown candidates of each held-out request, whichever its policy, are put in the order of the
    arm's rankings, those without a rank last; grades count what happened by the end of `date`.
    Most pages were ordered by the production policy, which chose what was shown and where: the
    values compare arms with each other and are no estimate of engagement.
    """
    piece = f"{date}/{arm}"
    order = _done(database, "rankings", piece)["fingerprint"].to_pylist()
    state = fingerprint(SCHEMA, cutoff, order, _input_states(database, "", cutoff, date))
    if database.is_done("ranking_metrics", piece, state):
        return _known_metrics(database, date, arm)
    shown = database.read(_HELD_OUT, date=date, cutoff=cutoff, arm=arm)
    values = _measured(shown)
    rows = _keyed(pa.Table.from_pylist([asdict(value) for value in values]), date, arm)
    database.forget("ranking_metrics", piece)
    database.replace(ranking_metrics, rows, date=date, arm=arm)
    database.mark_done("ranking_metrics", piece, state, len(rows))
    return values


def _ranked(database: Database, home: Path, model: Model, cutoff: dt.date) -> pa.Table:
    """query_pin_id, candidate_pin_id, score and rank of all candidates, by the model."""
    ranker = load_ranker(home / model.path)
    query = _CANDIDATES.format(columns=", ".join(ranker.columns))
    batches = database.batches(query, feature_version=model.feature_version, cutoff=cutoff)
    scored = [_scored(pa.table(batch), ranker) for batch in batches]
    if not scored:
        raise ValueError("There are no candidates to rank; ingest them first.")
    pairs = pa.concat_tables(scored)
    ranks = places(pairs["query_pin_id"], pairs["score"], pairs["candidate_pin_id"])
    return pairs.append_column("rank", pa.array(ranks))


def _measured(shown: pa.Table) -> list[MetricValue]:
    """The metrics of what was shown (request_id, candidate_pin_id, rank, grade) in order of rank,
    candidates without one last."""
    requests = shown["request_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    last = pc.fill_null(shown["rank"].cast(pa.int64()), 2**31 - 1).to_numpy()
    order_of_arm = places(requests, -last, shown["candidate_pin_id"])
    return evaluate(requests, order_of_arm, shown["grade"].to_numpy())


def _known_metrics(database: Database, date: dt.date, arm: str) -> list[MetricValue]:
    columns = ranking_metrics.c["metric", "value", "n_requests"]
    query = sa.select(*columns)
    rows = database.read(_of(query, ranking_metrics, date, arm)).to_pandas()
    values = [MetricValue(*row) for row in rows.itertuples(index=False)]
    names = [metric.name for metric in METRICS]
    return sorted(values, key=lambda value: names.index(value.metric))


def _narrowed(rows: pa.Table, columns: Sequence[str]) -> pa.Table:
    """A copy in small types; text that was not copied would keep the whole batch in memory."""
    types = {"position": pa.int32(), "grade": pa.int8()} | {
        name: pa.float32() for name in columns if not pa.types.is_string(rows[name].type)
    }
    schema = pa.schema([f.with_type(types.get(f.name, f.type)) for f in rows.schema])
    return rows.cast(schema).take(np.arange(len(rows)))


def _scored(rows: pa.Table, ranker: Ranker) -> pa.Table:
    keys = rows.select(["query_pin_id", "candidate_pin_id"])
    return keys.append_column("score", pa.array(ranker.score(rows)))


def _keyed(rows: pa.Table, date: dt.date, arm: str) -> pa.Table:
    dates, arms = pa.array([date] * len(rows), pa.date32()), pa.array([arm] * len(rows))
    return rows.append_column("date", dates).append_column("arm", arms)


def _of(query: sa.Select[Any], table: sa.Table, date: dt.date, arm: str) -> sa.Select[Any]:
    return query.where(table.c.date == date, table.c.arm == arm)


def _model(database: Database, date: dt.date, arm: str) -> Model | None:
    rows = database.read(_of(sa.select(models), models, date, arm)).to_pylist()
    return Model(**rows[0]) if rows else None


def _done(database: Database, step: str, piece: str) -> pa.Table:
    done = sa.select(manifest.c.fingerprint, manifest.c.n_rows)
    return database.read(done.where(manifest.c.step == step, manifest.c.piece == piece))


def _input_states(
    database: Database, feature_version: str, first: dt.date, last: dt.date
) -> list[dict[str, object]]:
    """What the features from `first` to `last` were made from, as the manifest has it."""
    step, piece = manifest.c.step, manifest.c.piece
    query = sa.select(step, piece, manifest.c.fingerprint).where(
        sa.or_(
            step.in_(["pin_pair_engagement", "engagement_features"])
            & piece.between(f"{first}", f"{last}"),
            (step == "pair_features") & (piece == feature_version),
            (step == "pair_interest")
            & piece.between(f"{feature_version}/{first}", f"{feature_version}/{last}"),
        )
    )
    states: list[dict[str, object]] = database.read(query.order_by(step, piece)).to_pylist()
    return states
