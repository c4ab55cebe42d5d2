"""A linear ranker learnt from pairs: what the better of two candidates of a page has more of.

RankSVM (Joachims 2002, "Optimizing search engines using clickthrough data") with squared hinge loss
in the primal (Chapelle and Keerthi 2010, "Efficient algorithms for ranking with SVMs"), pairs
weighted by how much more the better one is worth (Cao et al. 2006, "Adapting ranking SVM to
document retrieval"). It is what Related Pins was ranked by when objects came in: see
docs/decisions/linear.md.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ranking.labels import gains
from ranking.recipe import Linear
from ranking.rows import informative, is_text, of_columns, request_sizes, words, write_aside

N_PAIRS = 300_000  # drawn at most; those of equal grade are dropped
PAIRS_PER_ACTION = 10
SETTINGS = {"loss": "squared_hinge", "C": 1.0, "n_pairs": N_PAIRS}

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LinearRanker:
    """A sum of weights times columns.

    seen: columns that were learnt from, in order. vocabulary: words of the text columns.
    weights, means, spreads: one number per number column and word, in that order: weight per unit,
    what stands for a missing value, standard deviation in training.
    """

    seen: tuple[str, ...]
    vocabulary: dict[str, tuple[str, ...]]
    weights: tuple[float, ...]
    means: tuple[float, ...]
    spreads: tuple[float, ...]
    linear: Linear
    seed: int

    @property
    def columns(self) -> tuple[str, ...]:
        """Those seen, and the one that says where the weight is multiplied."""
        where = self.linear.where
        return self.seen if where is None or where in self.seen else (*self.seen, where)

    def score(self, rows: pa.Table) -> Floats:
        """The score of each row, `(N,)` float64; only its order within a query pin means something.

        Null and nan count as the mean, words that were not seen in training as none. Raises
        ValueError where a column is absent.
        """
        rows = of_columns(rows, self.columns)
        values = _filled(_encoded(rows, self.seen, self.vocabulary), np.array(self.means))
        terms = values * np.array(self.weights)
        if self.linear.boosted is not None and self.linear.where is not None:
            place = _encoded_names(self.seen, self.vocabulary).index(self.linear.boosted)
            there = _numbers(rows[self.linear.where]) == 1
            terms[:, place] *= np.where(there, self.linear.factor, 1.0)
        return np.asarray(terms.sum(axis=1))

    def importances(self) -> pa.Table:
        """One row per column: feature, gain_share (of the sum of weight times spread, 0 to 1) and
        n_splits, 0."""
        names = np.array([n.split("=")[0] for n in _encoded_names(self.seen, self.vocabulary)])
        size = np.abs(np.array(self.weights) * np.array(self.spreads))
        shares = [float(size[names == name].sum()) for name in self.columns]
        return pa.table(
            {
                "feature": pa.array(self.columns, pa.string()),
                "gain_share": np.array(shares) / (sum(shares) or 1.0),
                "n_splits": np.zeros(len(shares), dtype=np.int64),
            }
        )

    def save(self, path: Path) -> None:
        """Write `path`, a JSON file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_aside(path, json.dumps(asdict(self), indent=1) + "\n")


def load_linear(path: Path) -> LinearRanker:
    """The ranker that `LinearRanker.save` wrote; raises FileNotFoundError where it is absent."""
    if not path.exists():
        raise FileNotFoundError(f"There is no ranker at {path}; train the arm again.")
    known = json.loads(path.read_text())
    vocabulary = {name: tuple(some) for name, some in known["vocabulary"].items()}
    numbers = {name: tuple(known[name]) for name in ("weights", "means", "spreads")}
    linear = Linear(**known["linear"])
    return LinearRanker(tuple(known["seen"]), vocabulary, **numbers, linear=linear,
                        seed=known["seed"])  # fmt: skip


def train_linear(
    rows: pa.Table, columns: Sequence[str], seed: int = 0, linear: Linear | None = None
) -> LinearRanker:
    """A ranker that has learnt from pairs of a request's rows which of them has the higher `grade`.

    `rows` as for `ranking.ranker.train`. What a position earns by itself is a term per position,
    left out of the score. At most N_PAIRS pairs are drawn, by the seed; the order of the rows makes
    no difference. Raises ValueError where no pair of a request differs in grade.
    """
    from sklearn.svm import LinearSVC

    rows = informative(rows)
    vocabulary = {name: words(rows[name]) for name in columns if is_text(rows[name].type)}
    grades = rows["grade"].to_numpy().astype(np.int64)
    better, worse = drawn_pairs(request_sizes(rows), grades, seed)
    values = [_encoded(rows.take(some), columns, vocabulary) for some in (better, worse)]
    means, spreads = _means_and_spreads(np.concatenate(values))
    higher, lower = (_filled(some, means) for some in values)
    at = rows["position"].to_numpy()
    places = [at[some][:, None] == np.unique(at) for some in (better, worse)]
    differences = np.hstack([(higher - lower) / spreads, places[0].astype(float) - places[1]])
    signs = np.where(np.random.default_rng(seed).random(len(better)) < 0.5, 1.0, -1.0)
    worth = gains(grades[better]) - gains(grades[worse])
    model = LinearSVC(loss="squared_hinge", C=SETTINGS["C"], dual=False, fit_intercept=False)
    model.fit(differences * signs[:, None], signs, sample_weight=worth / worth.mean())
    weights = model.coef_[0][: len(means)] / spreads
    return LinearRanker(
        tuple(columns), vocabulary, tuple(weights.tolist()), tuple(means.tolist()),
        tuple(spreads.tolist()), linear or Linear(), seed,
    )  # fmt: skip


def drawn_pairs(sizes: Ints, grades: Ints, seed: int) -> tuple[Ints, Ints]:
    """Rows of the better and of the worse candidate of pairs of one request, `(P,)` each.

    sizes: `(R,)` rows per request. grades: `(N,)` of all rows. Raises ValueError where no pair
    differs in grade.
    """
    rng, acted = np.random.default_rng(seed), np.flatnonzero(grades > 0)
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    better = rng.choice(acted, min(N_PAIRS, PAIRS_PER_ACTION * len(acted)))
    worse = first[better] + rng.integers(np.repeat(sizes, sizes)[better])
    kept = grades[worse] < grades[better]
    if not kept.any():
        raise ValueError("No request has candidates of different grades; give more days.")
    return better[kept], worse[kept]


def _encoded_names(columns: Sequence[str], vocabulary: dict[str, tuple[str, ...]]) -> list[str]:
    """Name of each number: the column's, or column=word."""
    return [
        name if name not in vocabulary else f"{name}={word}"
        for name in columns
        for word in vocabulary.get(name, ("",))
    ]


def _encoded(
    rows: pa.Table, columns: Sequence[str], vocabulary: dict[str, tuple[str, ...]]
) -> Floats:
    """`(N, C)`: number columns with nan where missing, and one column of 0 and 1 per word."""
    parts = [np.zeros((len(rows), 0))]
    for name, values in zip(columns, of_columns(rows, columns).columns, strict=True):
        if name in vocabulary:
            known = pa.array(vocabulary[name], pa.string())
            code = pc.fill_null(pc.index_in(values.cast(pa.string()), known), -1).to_numpy()
            parts.append((code[:, None] == np.arange(len(known))).astype(float))
        else:
            parts.append(_numbers(values)[:, None])
    return np.hstack(parts)


def _numbers(values: pa.ChunkedArray) -> Floats:
    return np.asarray(pc.fill_null(values.cast(pa.float64()), np.nan), dtype=np.float64)


def _means_and_spreads(values: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each column without nan; 0 and 1 where there is nothing."""
    known = ~np.isnan(values)
    n = np.maximum(known.sum(axis=0), 1)
    means = np.where(known, values, 0).sum(axis=0) / n
    spreads = np.sqrt(np.where(known, (values - means) ** 2, 0).sum(axis=0) / n)
    return means, np.where(spreads > 0, spreads, 1.0)


def _filled(values: Floats, means: Floats) -> Floats:
    return np.where(np.isnan(values), means, values)
