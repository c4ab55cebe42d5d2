"""Pair shards: rows of pair_features and pair_interest of some pairs, in Parquet files.

They are written aside and renamed into place, and wait there until all of them are published.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.pairs.interest import expected_interest
from features.pairs.pairs import pair_features, pair_interest, pin_arrays
from features.visuals.columns import VisualColumns, joined
from features.visuals.shards import read_columns, written_aside
from sql.columns import PAIR_FEATURES, PAIR_INTEREST

KEYS = ("query_pin_id", "candidate_pin_id")
_TEXT = {name: pa.string() for name in ("feature_version", *KEYS)}
FEATURE_ROWS = pa.schema(
    _TEXT | dict.fromkeys(PAIR_FEATURES, pa.float32()) | {"inputs": pa.string()}
)
ROWS_AT_A_TIME = 32_768
INTEREST_ROWS = pa.schema(
    _TEXT | {"date": pa.date32()} | dict.fromkeys(PAIR_INTEREST, pa.float32())
)


@dataclass(frozen=True, eq=False)
class PairWork:
    """Some pairs, at least one, and everything that their rows are made from but the visual shards.

    name: hash of it all. pairs: one row per pair, with the content hash and the visual shard of its
    query pin (`query_content`, `query_shard`) and of its candidate pin, and `inputs`.
    with_features: whether rows of pair_features are wanted. usual: usual interest in each category
    by day, for the days whose pair_interest is wanted. interest: rows of object_interest on these
    days, of the query pins at least.
    """

    home: Path
    feature_version: str
    name: str
    pairs: pa.Table
    with_features: bool
    usual: Mapping[dt.date, Mapping[str, float]]
    interest: pa.Table

    @property
    def paths(self) -> dict[str, str]:
        """The shards to be written, relative to the home folder, by table."""
        wanted = {"pair_features": self.with_features, "pair_interest": bool(self.usual)}
        tables = [table for table in wanted if wanted[table]]
        return {t: f"pairs/{self.feature_version}/{t}-{self.name}.parquet" for t in tables}


@dataclass(frozen=True)
class MadePairs:
    """What was written of a PairWork of this name: paths and rows by table; pairs that it was
    about.
    """

    name: str
    paths: Mapping[str, str]
    rows: Mapping[str, int]
    n_pairs: int


def write_pairs(work: PairWork) -> MadePairs:
    """Writes the shards of some pairs. The same work gives the same bytes; memory is bounded by the
    number of pairs and days in it. Raises ValueError where a visual is gone.
    """
    block = _Block(work)
    rows = {}
    for table, path in work.paths.items():
        features = table == "pair_features"
        schema = FEATURE_ROWS if features else INTEREST_ROWS
        parts = block.feature_rows() if features else block.interest_rows()
        made = pa.concat_tables([part.select(schema.names).cast(schema) for part in parts])
        rows[table] = len(made)
        with written_aside(work.home / path) as aside:
            pq.write_table(made, aside, compression="zstd", row_group_size=ROWS_AT_A_TIME)
    return MadePairs(work.name, work.paths, rows, len(work.pairs))


class _Block:
    """The visuals of the pins of some pairs as arrays, and the rows that follow from them."""

    def __init__(self, work: PairWork) -> None:
        pins, visuals = _visuals(work)
        index = pd.Index(pins)
        self.work, self.index = work, index
        self.pins = pin_arrays(visuals)
        self.query, self.candidate = (
            index.get_indexer(pd.Index(work.pairs[key].to_pandas())) for key in KEYS
        )

    def feature_rows(self) -> Iterator[pa.Table]:
        """The rows of pair_features."""
        columns = pair_features(self.pins, self.query, self.candidate)
        rows = self._rows(columns, np.ones(len(self.query), dtype=bool))
        yield rows.append_column("inputs", self.work.pairs["inputs"])

    def interest_rows(self) -> Iterator[pa.Table]:
        """The rows of pair_interest, day by day. Query pins without objects have none."""
        share, croppers = self._interest()
        by_day = pair_interest(self.pins, self.query, self.candidate, share, croppers)
        has_objects = self.pins.objects[self.query, 0] != self.pins.none
        for number, day in enumerate(self.work.usual):
            rows = self._rows({name: v[number] for name, v in by_day.items()}, has_objects)
            yield rows.append_column("date", pa.array([day] * len(rows), pa.date32()))

    def _interest(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Interest `(T, P, K)` expected in the pins' objects and croppers `(T, P)`, for T days."""
        days = list(self.work.usual)
        rows = self.work.interest.to_pandas()
        rows["pin"] = self.index.get_indexer(pd.Index(rows["pin_id"]))
        rows = rows[rows["pin"] >= 0]
        day = pd.Index(days).get_indexer(pd.Index(rows["date"]))
        share = np.zeros((len(days), *self.pins.objects.shape), dtype=np.float32)
        croppers = np.zeros(share.shape[:2], dtype=np.int64)
        share[day, rows["pin"], rows["object_no"]] = rows["interest"]
        np.add.at(croppers, (day, rows["pin"]), rows["n_croppers"])
        by_code = [[seen.get(name, 1.0) for name in self.pins.names] + [0.0]
                   for seen in self.work.usual.values()]  # fmt: skip
        codes = self.pins.categories[self.pins.objects]  # -1, the last, for none
        # not by_code[:, codes]: in its order of memory, sums depend on the number of days
        prior = np.take(np.array(by_code, dtype=np.float32), codes, axis=1)
        return expected_interest(share, croppers, prior), croppers

    def _rows(
        self, columns: Mapping[str, NDArray[np.float32]], keep: NDArray[np.bool_]
    ) -> pa.Table:
        keys = self.work.pairs.select(KEYS).filter(pa.array(keep))
        values = [pa.array(column[keep], from_pandas=True) for column in columns.values()]
        version = pa.array([self.work.feature_version] * len(keys), pa.string())
        return pa.table(
            [version, *keys.columns, *values], names=["feature_version", *KEYS, *columns]
        )


def _visuals(work: PairWork) -> tuple[list[str], VisualColumns]:
    """Every pin in the pairs, and their visuals; each visual shard is opened once."""
    sides = [
        pa.table([work.pairs[name] for name in (key, f"{side}_content", f"{side}_shard")],
                 names=["pin", "content", "shard"])
        for key, side in zip(KEYS, ("query", "candidate"), strict=True)
    ]  # fmt: skip
    places = pa.concat_tables(sides).group_by(["shard", "pin", "content"]).aggregate([])
    places = places.sort_by([("shard", "ascending"), ("content", "ascending")])
    pins, contents = places["pin"].to_pylist(), places["content"].to_pylist()
    parts, start = list[VisualColumns](), 0
    for shard, same in groupby(places["shard"].to_pylist()):
        end = start + len(list(same))
        try:
            parts.append(read_columns(work.home / shard, contents[start:end]))
        except KeyError as gone:
            pin = pins[contents.index(gone.args[0])]
            raise ValueError(
                f"The visual shard {shard} lacks the image of pin {pin}; run "
                "`related-pins features` to make it again."
            ) from gone
        start = end
    return pins, joined(parts)
