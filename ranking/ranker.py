"""The ranker: one interface for every arm, and LightGBM's lambdarank on Arrow tables behind it.

The other kind, linear, is in `ranking/linear.py`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ranking.labels import LABEL_GAIN
from ranking.linear import load_linear, train_linear
from ranking.recipe import Linear
from ranking.rows import informative, is_text, of_columns, request_sizes, words, write_aside

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


class Ranker(Protocol):
    """A trained ranker: gives rows with its columns a score, of which only the order within a query
    pin means something."""

    @property
    def columns(self) -> tuple[str, ...]: ...

    def score(self, rows: pa.Table) -> npt.NDArray[np.float64]: ...

    def importances(self) -> pa.Table: ...

    def save(self, path: Path) -> None: ...


@dataclass(frozen=True)
class TreeRanker:
    """Trees of LightGBM: their columns in order, and the vocabulary of each text column."""

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
        write_aside(path.with_suffix(".json"), json.dumps(header, indent=1) + "\n")
        write_aside(path, self.booster.model_to_string())


def load_ranker(path: Path) -> Ranker:
    """The ranker that was saved at `path`: trees in .txt, a linear one in .json.

    Raises FileNotFoundError where it, or the header beside trees, is absent.
    """
    if path.suffix == ".json":
        return load_linear(path)
    for file in (path, path.with_suffix(".json")):
        if not file.exists():
            raise FileNotFoundError(f"There is no ranker at {file}; train the arm again.")
    header = json.loads(path.with_suffix(".json").read_text())
    vocabulary = {name: tuple(words) for name, words in header["vocabulary"].items()}
    booster = lgb.Booster(model_str=path.read_text())
    return TreeRanker(booster, tuple(header["columns"]), vocabulary, header["seed"])


def train(
    rows: pa.Table,
    columns: Sequence[str],
    seed: int = 0,
    n_trees: int = N_TREES,
    linear: Linear | None = None,
) -> Ranker:
    """A ranker that has learnt the order of `grade` within `request_id` from `columns`.

    `rows` has request_id, candidate_pin_id, position (from 1), grade (0 to 4) and the columns:
    numbers, where null and nan mean missing, or text, which is learnt as a category. How much a
    position earns by itself is estimated along the way, an additive term per position, and left
    out of the score (github.com/lightgbm-org/LightGBM/pull/5929). Requests in which nothing was
    acted on say nothing about order and are left out. Neither the order of the rows nor the number
    of threads (OMP_NUM_THREADS, else all cores) makes a difference. Raises ValueError where no
    request is left. `linear`: for a linear ranker in place of trees, by `train_linear`.
    """
    if linear is not None:
        return train_linear(rows, columns, seed, linear)
    rows = informative(rows)
    vocabulary = {name: words(rows[name]) for name in columns if is_text(rows[name].type)}
    sizes = request_sizes(rows)
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
    return TreeRanker(booster, tuple(columns), vocabulary, seed)


def _matrix(
    rows: pa.Table, columns: Sequence[str], vocabulary: dict[str, tuple[str, ...]]
) -> pa.Table:
    rows = of_columns(rows, columns)
    values = [
        pc.index_in(rows[name].cast(pa.string()), pa.array(vocabulary[name], pa.string()))
        if name in vocabulary
        else rows[name]
        for name in columns
    ]
    return pa.table([v.cast(pa.float32()) for v in values], names=list(columns))
