"""Pair changes: which candidate pairs are to be made, again or for the first time, and whose rows
go.

One pass over the candidate pairs finds both. Where they are few they are named, so that nothing
else is looked at again; else they are asked for anew, page by page.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from features.pairs.shards import KEYS
from sql.database import Database, fingerprint
from sql.tables import pair_features, pair_interest

SCHEMA = 3  # to be raised when the pair features of the same visuals change
_INPUTS = f"'{SCHEMA} ' || substr(q.content_hash, 1, 16) || ' ' || substr(k.content_hash, 1, 16)"
# Candidate pairs whose pins have visuals. SQLite joins CROSS JOINs in the order given: it knows too
# little of the tables to keep from pairing all pins with all
# (https://www.sqlite.org/optoverview.html, "Manual Control Of Query Plans Using CROSS JOIN").
_PINS = "candidates AS c CROSS JOIN pin_visuals AS q CROSS JOIN pin_visuals AS k"
_JOINED = """
q.feature_version = :version AND q.pin_id = c.query_pin_id
AND k.feature_version = :version AND k.pin_id = c.candidate_pin_id
"""
_PAIRS = f"FROM {_PINS} WHERE {_JOINED}"
_WITH_ROWS = f"""
FROM {_PINS} LEFT JOIN pair_features AS f ON f.feature_version = :version
    AND f.query_pin_id = c.query_pin_id AND f.candidate_pin_id = c.candidate_pin_id
WHERE {_JOINED}
"""
_KEYS = "c.query_pin_id, c.candidate_pin_id"
_WANTED = f"""
SELECT {_KEYS}, {_INPUTS} AS inputs,
    COALESCE(f.inputs, '') AS made_from,
    CASE WHEN f.query_pin_id IS NULL THEN 0 ELSE 1 END AS is_there, q.n_objects
{_WITH_ROWS} ORDER BY {_KEYS}
"""
_CHANGED = f"(f.inputs IS NULL OR f.inputs <> {_INPUTS})"
_UNCHANGED = f"f.inputs = {_INPUTS}"
_PAGE = f"""
{_KEYS}, q.content_hash AS query_content,
q.shard AS query_shard, k.content_hash AS candidate_content, k.shard AS candidate_shard,
{_INPUTS} AS inputs
"""
_NEXT_PAGE = f"SELECT {_PAGE} {_WITH_ROWS} AND {{which}} AND {{rest}} ORDER BY {_KEYS} LIMIT :most"
_SAME_PAIR = """
c.query_pin_id = pair_features.query_pin_id AND c.candidate_pin_id = pair_features.candidate_pin_id
"""
_GONE = f"""
pair_features.feature_version = :version
AND NOT EXISTS (SELECT 1 {_PAIRS} AND {_SAME_PAIR} {{which}})
"""
_N_ROWS = "SELECT COUNT(*) AS n FROM pair_features WHERE feature_version = :version"
_UNWANTED = f"""
SELECT query_pin_id, candidate_pin_id FROM pair_features WHERE {_GONE.format(which="")}
"""
_FEATURES_GONE = _GONE.format(which=f"AND {_INPUTS} = pair_features.inputs")
_INTEREST_GONE = f"""
pair_interest.feature_version = :version AND pair_interest.date IN :days
AND (pair_interest.query_pin_id, pair_interest.candidate_pin_id) IN (
    SELECT query_pin_id, candidate_pin_id FROM pair_features WHERE {_FEATURES_GONE}
)
"""
Pairs = list[tuple[str, str]]
Condition = sa.ColumnElement[bool] | sa.TextClause


@dataclass(frozen=True)
class Wanted:
    """The candidate pairs whose pins have visuals: how many, how many of them with objects in the
    query pin, and a hash of the pairs and what they are made from.

    n_changed: those without a row that is made from this. changed: the first of them. outdated:
    those of the first that have a row. n_rows: how many of all have a row.
    """

    n_pairs: int
    n_with_objects: int
    inputs: str
    n_changed: int
    changed: Pairs
    outdated: Pairs
    n_rows: int


def wanted_pairs(database: Database, version: str, most: int) -> Wanted:
    """What should be there, and what of it is not: the first `most` of these pairs by name."""
    n_pairs, n_with_objects, n_changed, n_rows, total = 0, 0, 0, 0, 0
    changed, outdated = Pairs(), Pairs()
    for batch in database.batches(_WANTED, version=version):
        others = batch.filter(pc.not_equal(batch["made_from"], batch["inputs"]))
        some = others[: most - len(changed)]
        changed += _keys(some)
        outdated += _keys(some.filter(pc.equal(some["is_there"], 1)))
        n_pairs += len(batch)
        n_with_objects += pc.sum(pc.greater(batch["n_objects"], 0)).as_py()
        n_changed += len(others)
        n_rows += pc.sum(batch["is_there"]).as_py()
        rows = batch.select([*KEYS, "inputs"]).to_pandas()
        total += int(pd.util.hash_pandas_object(rows, index=False).sum())
    inputs = fingerprint(SCHEMA, version, n_pairs, total % 2**64)
    return Wanted(n_pairs, n_with_objects, inputs, n_changed, changed, outdated, n_rows)


def pairs_gone(database: Database, version: str, wanted: Wanted, most: int) -> Pairs | None:
    """The pairs that have a row that goes; None where they may be more than `most`."""
    n_rows = database.read(_N_ROWS, version=version)["n"][0].as_py()
    n_unwanted = n_rows - wanted.n_rows
    if wanted.n_changed + n_unwanted > most:
        return None
    if not n_unwanted:
        return wanted.outdated
    return wanted.outdated + _keys(database.read(_UNWANTED, version=version))


def rows_gone(
    version: str, pairs: Pairs | None, days: Sequence[dt.date]
) -> dict[str, Condition | None]:
    """The condition by table under which a row goes, on these days: that it is of these pairs or,
    where they are not named, that its pair has changed or is not wanted. None where no row goes.
    """
    if pairs is None:
        by_day: sa.BindParameter[object] = sa.bindparam("days", days, expanding=True)
        interest = sa.text(_INTEREST_GONE).bindparams(by_day, version=version)
        features = sa.text(_FEATURES_GONE).bindparams(version=version)
        return {"pair_interest": interest, "pair_features": features}
    if not pairs:
        return {"pair_interest": None, "pair_features": None}
    of_days = pair_interest.c.date.in_(days)
    return {
        "pair_interest": sa.and_(_of(pair_interest, version, pairs), of_days),
        "pair_features": _of(pair_features, version, pairs),
    }


def pages(
    database: Database, version: str, first: Pairs, n_pairs: int, most: int
) -> Iterator[pa.Table]:
    """So many pairs in order, `most` at a time: those that changed, of which the first `most` are
    given, or the others where none is given.
    """
    which, rest, last = _CHANGED if first else _UNCHANGED, "1 = 1", dict[str, str]()
    while n_pairs:
        if first and not last:
            page = database.read(_page_of(version, first))
        else:
            query = _NEXT_PAGE.format(which=which, rest=rest)
            page = database.read(query, version=version, most=most, **last)
        yield page
        n_pairs -= len(page)
        last = {key: page[key][-1].as_py() for key in KEYS}
        rest = f"({_KEYS}) > (:query_pin_id, :candidate_pin_id)"


def _page_of(version: str, pairs: Pairs) -> sa.Select[Any]:
    keys = (sa.literal_column(f"c.{key}", sa.String) for key in KEYS)
    return (
        sa.select(sa.text(_PAGE))
        .select_from(sa.text(_PINS))
        .where(sa.text(_JOINED).bindparams(version=version), _among(pairs, *keys))
        .order_by(sa.text(_KEYS))
    )


def _keys(rows: pa.Table | pa.RecordBatch) -> Pairs:
    first, second = (rows[key].to_pylist() for key in KEYS)
    return list(zip(first, second, strict=True))


def _of(table: sa.Table, version: str, pairs: Pairs) -> sa.ColumnElement[bool]:
    """Whether a row of a feature version is of one of the pairs."""
    return sa.and_(table.c.feature_version == version, _among(pairs, *(table.c[k] for k in KEYS)))


def _among(pairs: Pairs, *pair: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Whether the pair is one of these. As VALUES, which are joined: PostgreSQL compares with each
    member of a plain list in turn, and fails on some thousand of them."""
    listed = sa.values(*(sa.column(key, sa.String) for key in KEYS)).data(pairs)
    return sa.tuple_(*pair).in_(listed.scalar_values())
