"""The ranker: LightGBM's lambdarank on Arrow tables, one interface for every arm."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ranking.labels import LABEL_GAIN

N_TREES = 100
FEW_ROWS = 100_000  # fewer are not worth the threads waiting for each other
SETTINGS = {
    "objective": "lambdarank",  # Burges 2010, "From RankNet to LambdaRank to LambdaMART"
    "label_gain": list(LABEL_GAIN),
    "lambdarank_truncation_level": 15,
    "lambdarank_position_bias_regularization": 0.0,
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 100,
    "max_bin": 127,
    "bagging_fraction": 0.8,  # of rows, drawn by the seed: the A/A arm differs by it alone
    "feature_fraction": 0.6,
    "bagging_freq": 1,  # not by query: with several threads, LightGBM 4.7 draws those at random
    "deterministic": True,
    "force_col_wise": True,
    "verbosity": -1,
}


@dataclass(frozen=True)
class Ranker:
    """A trained ranker: its columns in order, and the vocabulary of each text column."""

    booster: lgb.Booster
    columns: tuple[str, ...]
    vocabulary: dict[str, tuple[str, ...]]
    seed: int

    def score(self, rows: pa.Table) -> npt.NDArray[np.float64]:
        """The score of each row, `(N,)` float64; only its order within a query pin means something.

        Null, nan and words that were not seen in training count as missing. Raises ValueError
        where a column is absent.
        """
        if len(rows) == 0:
            return np.zeros(0)
        matrix = _matrix(rows, self.columns, self.vocabulary)
        return np.asarray(self.booster.predict(matrix), dtype=np.float64)

    def importances(self) -> pa.Table:
        """One row per column: feature, gain_share (0 to 1, all 0 without a split), n_splits."""
        gain = self.booster.feature_importance("gain").astype(np.float64)
        return pa.table(
            {
                "feature": pa.array(self.columns, pa.string()),
                "gain_share": gain / gain.sum() if gain.sum() else gain,
                "n_splits": self.booster.feature_importance("split").astype(np.int64),
            }
        )

    def save(self, path: Path) -> None:
        """Write `path` (LightGBM's text) and, beside it, a JSON file with what else it needs."""
        header = {
            "columns": self.columns,
            "vocabulary": self.vocabulary,
            "seed": self.seed,
            "lightgbm": lgb.__version__,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_aside(path.with_suffix(".json"), json.dumps(header, indent=1) + "\n")
        _write_aside(path, self.booster.model_to_string())


def load_ranker(path: Path) -> Ranker:
    """The ranker that `Ranker.save` wrote; raises FileNotFoundError where either file is absent."""
    for file in (path, path.with_suffix(".json")):
        if not file.exists():
            raise FileNotFoundError(f"There is no ranker at {file}; train the arm again.")
    header = json.loads(path.with_suffix(".json").read_text())
    vocabulary = {name: tuple(words) for name, words in header["vocabulary"].items()}
    booster = lgb.Booster(model_str=path.read_text())
    return Ranker(booster, tuple(header["columns"]), vocabulary, header["seed"])


def train(rows: pa.Table, columns: Sequence[str], seed: int = 0, n_trees: int = N_TREES) -> Ranker:
    """A ranker that has learnt the order of `grade` within `request_id` from `columns`.

    `rows` has request_id, candidate_pin_id, position (from 1), grade (0 to 4) and the columns:
    numbers, where null and nan mean missing, or text, which is learnt as a category. How much a
    position earns by itself is estimated along the way, an additive term per position, and left
    out of the score (github.com/lightgbm-org/LightGBM/pull/5929). Requests in which nothing was
    acted on say nothing about order and are left out. Neither the order of the rows nor the number
    of threads (OMP_NUM_THREADS, else all cores) makes a difference. Raises ValueError where no
    request is left.
    """
    rows = informative(rows)
    vocabulary = {name: _words(rows[name]) for name in columns if _is_text(rows[name].type)}
    requests = pc.run_end_encode(rows["request_id"].combine_chunks())
    sizes = np.diff(np.concatenate([[0], np.asarray(requests.run_ends)]))
    n_threads = 1 if len(rows) < FEW_ROWS else 0  # 0: OpenMP's default
    settings = SETTINGS | {"seed": seed, "num_threads": n_threads}
    data = lgb.Dataset(
        _matrix(rows, columns, vocabulary),
        label=rows["grade"].cast(pa.float32()),
        group=pa.chunked_array([pa.array(sizes, pa.int32())]),
        position=rows["position"].to_numpy(),
        categorical_feature=list(vocabulary),
        params=settings,
    )
    booster = lgb.train(settings, data, num_boost_round=n_trees)
    return Ranker(booster, tuple(columns), vocabulary, seed)


def informative(rows: pa.Table) -> pa.Table:
    """The rows of requests with a grade above 0, ordered by request_id and candidate_pin_id.

    Rows that are so already are not copied. Raises ValueError where no request is left.
    """
    keys = ["request_id", "candidate_pin_id"]
    acted = pc.unique(rows["request_id"].filter(pc.greater(rows["grade"], 0)))
    kept = pc.indices_nonzero(pc.is_in(rows["request_id"], acted))
    if len(kept) == 0:
        raise ValueError("No request in the training days was acted on; give more days.")
    order = pc.sort_indices(rows.select(keys).take(kept), [(key, "ascending") for key in keys])
    indices = kept.take(order).to_numpy()
    return rows if np.array_equal(indices, np.arange(len(rows))) else rows.take(indices)


def _matrix(
    rows: pa.Table, columns: Sequence[str], vocabulary: dict[str, tuple[str, ...]]
) -> pa.Table:
    absent = [name for name in columns if name not in rows.column_names]
    if absent:
        raise ValueError(f"The rows lack the columns {', '.join(absent)} that the ranker sees.")
    values = [
        pc.index_in(rows[name].cast(pa.string()), pa.array(vocabulary[name], pa.string()))
        if name in vocabulary
        else rows[name]
        for name in columns
    ]
    return pa.table([v.cast(pa.float32()) for v in values], names=list(columns))


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _words(values: pa.ChunkedArray) -> tuple[str, ...]:
    return tuple(sorted(pc.unique(values.cast(pa.string()).drop_null()).to_pylist()))


def _write_aside(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text)
    aside.replace(path)
