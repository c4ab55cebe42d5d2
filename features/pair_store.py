"""The pair store: rows of pair_features and pair_interest, brought up to date pair by pair.

A row of pair_features says what it was made from (`inputs`), so that a query finds the pairs that
have changed. Only these are made again, and pair_interest of whole days whose crops have changed.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from features.interest import usual_interest
from features.pair_shards import KEYS, MadePairs, PairWork
from sql.database import Change, Database, fingerprint
from sql.manifest import recording
from sql.tables import (
    candidates,
    manifest,
    object_interest,
    pair_features,
    pair_interest,
    pin_visuals,
)

SCHEMA = 3  # to be raised when the pair features of the same visuals change
PAIRS_AT_A_TIME = 16_384
STEP = "pair_shard"
_USUAL = """
SELECT o.category, COALESCE(i.interest, 0) AS share
FROM (SELECT DISTINCT pin_id FROM object_interest WHERE feature_version = :version
    AND date = :day) AS c
JOIN pin_objects AS o ON o.feature_version = :version AND o.pin_id = c.pin_id
LEFT JOIN object_interest AS i ON i.feature_version = :version AND i.date = :day
    AND i.pin_id = o.pin_id AND i.object_no = o.object_no
"""
_QUERY, _CANDIDATE = pin_visuals.alias("q"), pin_visuals.alias("k")
_CONTENTS = [sa.func.substr(side.c.content_hash, 1, 16, type_=sa.Text())
             for side in (_QUERY, _CANDIDATE)]  # fmt: skip
_INPUTS = (sa.literal(f"{SCHEMA} ") + _CONTENTS[0] + " " + _CONTENTS[1]).label("inputs")
_CHANGED = pair_features.c.inputs.is_(None) | (pair_features.c.inputs != _INPUTS.element)


@dataclass(frozen=True)
class PairSummary:
    """Rows that a refresh wrote to pair_features and, over all days, to pair_interest."""

    pairs: int
    interest: int


@dataclass(frozen=True)
class Wanted:
    """The candidate pairs whose pins have visuals: how many, how many of them with objects in the
    query pin, and a hash of the pairs and what they are made from.
    """

    n_pairs: int
    n_with_objects: int
    inputs: str


@dataclass(frozen=True)
class Todo:
    """What is to be made: pairs that changed, for all days; the others, for the stale days.

    moved: whether any pair has changed, come or gone. states: hash of the crops that count on each
    day, for all days.
    """

    moved: bool
    states: Mapping[dt.date, str]
    stale: Sequence[dt.date]
    n_changed: int
    n_others: int

    @property
    def n_pairs(self) -> int:
        """Pairs of which anything is to be made."""
        return self.n_changed + (self.n_others if self.stale else 0)


class PairStore:
    """The pairs of one feature version: rows in SQL, and shards under home until they are there."""

    def __init__(self, database: Database, home: Path, feature_version: str) -> None:
        self.database = database
        self.home = home.absolute()
        self.feature_version = feature_version

    def wanted(self) -> Wanted:
        """What should be there."""
        self.database.analyze(candidates, pin_visuals, pair_features)
        columns = (*(candidates.c[key] for key in KEYS), _INPUTS, _QUERY.c.n_objects)
        n_pairs, n_with_objects, total = 0, 0, 0
        for batch in self.database.batches(sa.select(*columns).select_from(self._pairs)):
            rows = batch.to_pandas()
            n_pairs += len(rows)
            n_with_objects += int((rows.pop("n_objects") > 0).sum())
            total += int(pd.util.hash_pandas_object(rows, index=False).sum())
        inputs = fingerprint(SCHEMA, self.feature_version, n_pairs, total % 2**64)
        return Wanted(n_pairs, n_with_objects, inputs)

    def todo(self, wanted: Wanted, states: Mapping[dt.date, str]) -> Todo:
        """What is to be made so that it is there, given the state of each day's crops."""
        before = self.database.made_from("pair_features", self.feature_version)
        stale = [
            day for day, state in states.items()
            if self.database.made_from("pair_interest", self._piece(day))
            != fingerprint(before, state)
        ]  # fmt: skip
        n_changed = 0
        if moved := before != wanted.inputs:
            count = sa.select(sa.func.count().label("n")).select_from(self._pairs_and_rows)
            n_changed = int(self.database.read(count.where(_CHANGED))["n"][0].as_py())
        return Todo(moved, states, stale, n_changed, wanted.n_pairs - n_changed)

    def works(self, todo: Todo) -> Iterator[PairWork]:
        """The work that is to be done, cut into shards; the same until it is published."""
        usual = self._usual(list(todo.states) if todo.n_changed else todo.stale)
        if todo.n_changed:
            yield from self._works(todo, usual, changed=True)
        if todo.n_others and todo.stale:
            yield from self._works(todo, {day: usual[day] for day in todo.stale}, changed=False)

    def _works(
        self, todo: Todo, usual: Mapping[dt.date, Mapping[str, float]], *, changed: bool
    ) -> Iterator[PairWork]:
        states = {str(day): todo.states[day] for day in usual}
        for pairs in self._pages(changed):
            hashes = pd.util.hash_pandas_object(pairs.to_pandas(), index=False)
            name = fingerprint(SCHEMA, changed, states, len(pairs), int(hashes.sum()))
            interest = self._interest(pairs, list(usual))
            yield PairWork(self.home, self.feature_version, name, pairs, changed, usual, interest)

    def is_made(self, work: PairWork) -> bool:
        """Whether all the work's shards are there."""
        return all(
            self.database.is_done(STEP, path, work.name) and (self.home / path).exists()
            for path in work.paths.values()
        )

    def mark(self, made: MadePairs) -> None:
        """Records the shards that were made."""
        for table, path in made.paths.items():
            self.database.mark_done(
                STEP, path, made.name, made.rows[table], path, self.feature_version
            )

    def publish(self, wanted: Wanted, todo: Todo, paths: Sequence[str]) -> PairSummary:
        """Puts the rows of the shards at these paths into the tables, and what was made into the
        manifest, in one transaction. Rows of pairs that are no longer wanted go.
        """
        days = list(todo.states) if todo.moved else todo.stale
        done: list[sa.Delete | sa.Insert] = [self._shards_forgotten]
        for day in days:
            done += recording(
                step="pair_interest", piece=self._piece(day), n_rows=wanted.n_with_objects,
                fingerprint=fingerprint(wanted.inputs, todo.states[day]),
                feature_version=self.feature_version,
            )  # fmt: skip
        if todo.moved:
            done += recording(
                step="pair_features", piece=self.feature_version, n_rows=wanted.n_pairs,
                fingerprint=wanted.inputs, feature_version=self.feature_version,
            )  # fmt: skip
        changes = self._changes(todo, paths)
        n_rows = {change.table.name: change.n_rows for change in changes}
        self.database.publish(changes, done)
        self.clear()
        return PairSummary(n_rows.get("pair_features", 0), n_rows["pair_interest"])

    def _changes(self, todo: Todo, paths: Sequence[str]) -> list[Change]:
        """First of pair_interest, of which those rows go whose row of pair_features will go."""
        version = self.feature_version
        files = {
            name: [self.home / path for path in paths if Path(path).name.startswith(name)]
            for name in ("pair_features", "pair_interest")
        }
        if todo.moved and not todo.n_others:
            whole = [(version, day) for day in todo.states]
            return [Change(pair_interest, files["pair_interest"], whole),
                    Change(pair_features, files["pair_features"], [(version,)])]  # fmt: skip
        whole = [(version, day) for day in todo.stale]
        if not todo.moved:
            return [Change(pair_interest, files["pair_interest"], whole)]
        wanted = sa.select(sa.literal(1)).select_from(self._pairs).where(
            *(candidates.c[key] == pair_features.c[key] for key in KEYS),
            pair_features.c.inputs == _INPUTS.element,
        )  # fmt: skip
        gone = sa.and_(pair_features.c.feature_version == version, ~wanted.exists())
        pairs_gone = sa.select(*(pair_features.c[key] for key in KEYS)).where(gone)
        interest_gone = sa.and_(
            pair_interest.c.feature_version == version,
            pair_interest.c.date.in_([day for day in todo.states if day not in todo.stale]),
            sa.tuple_(*(pair_interest.c[key] for key in KEYS)).in_(pairs_gone),
        )
        return [Change(pair_interest, files["pair_interest"], whole, interest_gone),
                Change(pair_features, files["pair_features"], gone=gone)]  # fmt: skip

    def clear(self) -> None:
        """Deletes the shards that are not recorded: of a killed process, or published."""
        kept = set(self._recorded())
        for path in (self.home / "pairs" / self.feature_version).glob("*.parquet"):
            if path.relative_to(self.home).as_posix() not in kept:
                path.unlink()

    def forget_shards(self) -> None:
        """Deletes all shards: what they were made for is there, or no longer wanted."""
        if self._recorded():
            with self.database.engine.begin() as connection:
                connection.execute(self._shards_forgotten)
        self.clear()

    @property
    def _pairs(self) -> sa.FromClause:
        """Candidate pairs whose pins have visuals."""
        joined: sa.FromClause = candidates
        for key, visuals in zip(KEYS, (_QUERY, _CANDIDATE), strict=True):
            mine = visuals.c.feature_version == self.feature_version
            joined = joined.join(visuals, mine & (visuals.c.pin_id == candidates.c[key]))
        return joined

    @property
    def _pairs_and_rows(self) -> sa.FromClause:
        """Each with its row of pair_features, where there is one."""
        same = (pair_features.c[key] == candidates.c[key] for key in KEYS)
        mine = pair_features.c.feature_version == self.feature_version
        return self._pairs.outerjoin(pair_features, sa.and_(mine, *same))

    def _pages(self, changed: bool) -> Iterator[pa.Table]:
        """The changed pairs, or the others, in order, `PAIRS_AT_A_TIME` at a time."""
        keys = [candidates.c[key] for key in KEYS]
        places = [
            visuals.c[column].label(f"{side}_{name}")
            for side, visuals in (("query", _QUERY), ("candidate", _CANDIDATE))
            for column, name in (("content_hash", "content"), ("shard", "shard"))
        ]
        query = (
            sa.select(*keys, *places, _INPUTS)
            .select_from(self._pairs_and_rows)
            .where(_CHANGED if changed else ~_CHANGED)
            .order_by(*keys)
            .limit(PAIRS_AT_A_TIME)
        )
        page = query
        while len(pairs := self.database.read(page)):
            yield pairs
            last = [pairs[key][-1].as_py() for key in KEYS]
            page = query.where(sa.tuple_(*keys) > sa.tuple_(*last))

    def _usual(self, days: Sequence[dt.date]) -> dict[dt.date, dict[str, float]]:
        """Usual interest in each category by day; empty for a day before the first crop."""
        rows = (
            self.database.read(_USUAL, version=self.feature_version, day=day).to_pandas()
            for day in days
        )
        return {day: usual_interest(shares) for day, shares in zip(days, rows, strict=True)}

    def _interest(self, pairs: pa.Table, days: Sequence[dt.date]) -> pa.Table:
        first, last = (pairs["query_pin_id"][row].as_py() for row in (0, -1))
        return self.database.read(
            sa.select(object_interest).where(
                object_interest.c.feature_version == self.feature_version,
                object_interest.c.date.in_(days),
                object_interest.c.pin_id.between(first, last),
            )
        )

    def _recorded(self) -> list[str]:
        query = sa.select(manifest.c.path).where(*self._shards)
        paths: list[str] = self.database.read(query)["path"].to_pylist()
        return paths

    @property
    def _shards(self) -> tuple[sa.ColumnElement[bool], ...]:
        return manifest.c.step == STEP, manifest.c.feature_version == self.feature_version

    @property
    def _shards_forgotten(self) -> sa.Delete:
        return sa.delete(manifest).where(*self._shards)

    def _piece(self, day: dt.date) -> str:
        return f"{self.feature_version}/{day}"
