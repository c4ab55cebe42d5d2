"""The pair store: rows of pair_features and pair_interest, brought up to date pair by pair.

A row of pair_features says what it was made from (`inputs`), so that a query finds the pairs that
have changed. Only these are made again, and pair_interest of whole days whose crops have changed.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from features.pairs.changes import (
    SCHEMA,
    Pairs,
    Wanted,
    pages,
    pairs_gone,
    rows_gone,
    wanted_pairs,
)
from features.pairs.interest import usual_interest
from features.pairs.shards import MadePairs, PairWork
from sql.database import Change, Database, fingerprint
from sql.manifest import record, recording
from sql.tables import (
    manifest,
    object_interest,
    pair_features,
    pair_interest,
)

PAIRS_AT_A_TIME = 16_384
STEP = "pair_shard"
_USUAL = """
SELECT c.date, o.category, COALESCE(i.interest, 0) AS share
FROM (SELECT DISTINCT date, pin_id FROM object_interest WHERE feature_version = :version
    AND date IN :days) AS c
JOIN pin_objects AS o ON o.feature_version = :version AND o.pin_id = c.pin_id
LEFT JOIN object_interest AS i ON i.feature_version = :version AND i.date = c.date
    AND i.pin_id = o.pin_id AND i.object_no = o.object_no
ORDER BY c.date, o.pin_id, o.object_no
"""


@dataclass(frozen=True)
class PairSummary:
    """Rows that a refresh wrote to pair_features and, over all days, to pair_interest."""

    pairs: int
    interest: int


@dataclass(frozen=True)
class Todo:
    """What is to be made: pairs that changed, for all days; the others, for the stale days.

    moved: whether any pair has changed, come or gone. states: hash of the crops that count on each
    day, for all days. changed: the first of the changed pairs. gone: the pairs whose rows go; None
    where they are more than `PAIRS_AT_A_TIME`.
    """

    moved: bool
    changed: Pairs
    gone: Pairs | None
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
        """What should be there, and what of it is not."""
        return wanted_pairs(self.database, self.feature_version, PAIRS_AT_A_TIME)

    def todo(self, wanted: Wanted, states: Mapping[dt.date, str]) -> Todo:
        """What is to be made so that it is there, given the state of each day's crops."""
        version = self.feature_version
        before = self.database.made_from("pair_features", version)
        made = self.database.pieces("pair_interest", version)
        stale = [day for day, state in states.items()
                 if made.get(self._piece(day)) != fingerprint(before, state)]  # fmt: skip
        if before == wanted.inputs:
            return Todo(False, [], [], states, stale, 0, wanted.n_pairs)
        n_others = wanted.n_pairs - wanted.n_changed
        gone = pairs_gone(self.database, version, wanted, PAIRS_AT_A_TIME)
        return Todo(True, wanted.changed, gone, states, stale, wanted.n_changed, n_others)

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
        first, n_pairs = (todo.changed, todo.n_changed) if changed else ([], todo.n_others)
        for pairs in pages(self.database, self.feature_version, first, n_pairs, PAIRS_AT_A_TIME):
            hashes = pd.util.hash_pandas_object(pairs.to_pandas(), index=False)
            parts = (self.feature_version, changed, states, len(pairs), int(hashes.sum()))
            name = fingerprint(SCHEMA, *parts)
            interest = self._interest(pairs, list(usual))
            yield PairWork(self.home, self.feature_version, name, pairs, changed, usual, interest)

    def is_made(self, work: PairWork) -> bool:
        """Whether all the work's shards are there."""
        return all(
            self.database.is_done(STEP, path, work.name) and (self.home / path).exists()
            for path in work.paths.values()
        )

    def mark(self, made: MadePairs) -> None:
        """Records the shards that were made, all at once."""
        with self.database.engine.begin() as connection:
            for table, path in made.paths.items():
                record(connection, step=STEP, piece=path, fingerprint=made.name, path=path,
                       n_rows=made.rows[table], feature_version=self.feature_version)  # fmt: skip

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
        kept_days = [day for day in todo.states if day not in todo.stale]
        gone = rows_gone(version, todo.gone, kept_days)
        return [
            Change(pair_interest, files["pair_interest"], whole, gone["pair_interest"]),
            Change(pair_features, files["pair_features"], gone=gone["pair_features"]),
        ]

    def clear(self) -> None:
        """Deletes the shards that are not recorded: of a killed process, or published."""
        kept, folder = set(self._recorded()), self.home / "pairs" / self.feature_version
        for path in folder.glob("*.parquet"):
            if path.relative_to(self.home).as_posix() not in kept:
                path.unlink()
        if folder.exists() and not any(folder.iterdir()):
            folder.rmdir()

    def forget_shards(self) -> None:
        """Deletes all shards: what they were made for is there, or no longer wanted."""
        if self._recorded():
            with self.database.engine.begin() as connection:
                connection.execute(self._shards_forgotten)
        self.clear()

    def _usual(self, days: Sequence[dt.date]) -> dict[dt.date, dict[str, float]]:
        """Usual interest in each category by day; empty for a day before the first crop."""
        usual: dict[dt.date, dict[str, float]] = {day: {} for day in days}
        shares = self.database.batches(_USUAL, version=self.feature_version, days=list(days))
        for day, parts in groupby(_by_day(shares), key=itemgetter(0)):
            rows = pa.concat_tables([part for _, part in parts]).to_pandas()
            usual[day] = usual_interest(rows)
        return usual

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


def _by_day(shares: Iterable[pa.RecordBatch]) -> Iterator[tuple[dt.date, pa.Table]]:
    """Rows in the order of their date, cut by it, without it."""
    for batch in shares:
        rows = pa.table(
            {"category": batch["category"].dictionary_encode(), "share": batch["share"]}
        )
        for day in batch["date"].unique().to_pylist():
            yield day, rows.filter(pc.equal(batch["date"], day))
