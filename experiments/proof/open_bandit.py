"""The estimators of one row per shown candidate, on the Open Bandit Dataset.

A fashion shop showed items by two policies in the same week, each on its own requests: at random,
and by Bernoulli Thompson sampling (BTS). From the log of one, every estimator says how often the
other is clicked, and the other's own log says how often it was (Saito, Aihara, Matsutani, Narita:
Open Bandit Dataset and Pipeline, NeurIPS 2021, https://arxiv.org/abs/2008.07146).

    python -m experiments.proof.open_bandit FOLDER --write docs/proof-open-bandit.md

Probabilities of the target. Random: one over the number of items. BTS: the logged probability of an
item moves within the week; what counts is its mean over the week, and the share of the impressions
of a position that showed the item is an unbiased estimate of that. The logged propensities are of
shown rows only, where they were high (size-biased), and say less. The share's own noise is that of
multinomial redraws of the BTS log, added to every standard error; the direct method's standard
error also holds that of its model, fitted anew to redraws of the rows. If clicks and probabilities
moved together within the week, the mean over the week misses it.

Clusters. There is no user: rows are taken as independent. Combinations of user features are market
segments of up to 800 rows, not people; what clustering by them would change is reported.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from scipy.sparse import vstack
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import OneHotEncoder

from experiments.checks import holm
from experiments.estimators import actions
from experiments.estimators.estimate import Estimate
from experiments.estimators.rankings import Ints, Reals
from experiments.estimators.support import NoSupport, Support, require, support

CAMPAIGNS = ("men", "women")
DIRECTIONS = (("random", "bts"), ("bts", "random"))  # logged, target
ESTIMATORS = ("ips", "clipped_ips", "snips", "direct_method", "doubly_robust")
CLIP = 5.0
N_FOLDS = 5
N_REDRAWS = 100
HEAD = f"""# The estimators on the Open Bandit Dataset

Written by `python -m experiments.proof.open_bandit`; its first lines say which probabilities, which
clusters and why. Clicks per 1,000 impressions [95 % interval]. The truth is the mean of the target
policy's own log; the difference is estimate - truth, with the noise of both logs. p is adjusted by
Holm over the rows; `clipped_ips` clips weights at {CLIP:g}.

| campaign | logged | target | estimator | estimate | truth | error | difference | p, adjusted | \
effective rows, weight of the heaviest 1 % |
|{"---|" * 10}"""
VALUES = (("estimate", "low", "high"), ("truth", "truth_low", "truth_high"))
COLUMNS = (
    "campaign", "logged", "target", "estimator", *VALUES[0], *VALUES[1], "relative_error",
    "difference_low", "difference_high", "p_value", "p_holm", "segment_error", "logged_mean",
    "n_clicks", "n_rows", "effective_sample_size", "top_share", "never_logged", "refused",
)  # fmt: skip
PLACE = ("position", "item")
FEATURES = [f"user_feature_{i}" for i in range(4)]


@dataclass(frozen=True)
class Log:
    """N impressions of one policy; items 0..M-1, positions 0..K-1, segments of user features."""

    item: Ints
    position: Ints
    click: Reals
    propensity: Reals
    segment: Ints


@dataclass(frozen=True)
class Model:
    """rates (F, K, M): by position and item, fitted without fold f; fold (N,): of each row."""

    rates: Reals
    fold: Ints


def evaluate(folder: Path) -> pd.DataFrame:
    """Returns one row per campaign, direction and estimator.

    campaign, logged, target, estimator; estimate, low, high: clicks per impression of the target
    with a 95 % interval; truth, truth_low, truth_high: of the target's own log; relative_error:
    estimate / truth - 1; difference_low, difference_high: 95 % interval of estimate - truth;
    p_value: of no difference, and p_holm, adjusted by Holm over all estimates; segment_error:
    standard error clustered by segment over that by row; logged_mean, n_clicks, n_rows,
    effective_sample_size, top_share, never_logged: of the log (see support.py); refused: why there
    is no estimate (its numbers are then NaN), or empty.
    Raises FileNotFoundError where one of the four files is absent.
    """
    found = []
    for campaign in CAMPAIGNS:
        logs = read(folder, campaign)
        for logged, target in DIRECTIONS:
            names = {"campaign": campaign, "logged": logged, "target": target}
            found += [names | row for row in _compare(logs[logged], logs[target], target)]
    table = pd.DataFrame(found, columns=list(COLUMNS))
    known = table["refused"] == ""
    table.loc[known, "p_holm"] = holm(list(table.loc[known, "p_value"]))
    return table


def read(folder: Path, campaign: str) -> dict[str, Log]:
    """Returns the Log of both policies, `random` and `bts`, items numbered alike."""
    rows = {
        name: pd.read_parquet(folder / f"{name}_{campaign}.parquet") for name in ("random", "bts")
    }
    items = np.unique(np.concatenate([log["item_id"] for log in rows.values()]))
    return {
        name: Log(
            np.searchsorted(items, log["item_id"]),
            log["position"].to_numpy() - 1,
            log["click"].to_numpy(np.float64),
            log["propensity_score"].to_numpy(np.float64),
            np.asarray(log.groupby(FEATURES).ngroup(), dtype=np.int64),
        )
        for name, log in rows.items()
    }


def counts(log: Log, shape: tuple[int, ...]) -> Reals:
    """Returns how often each item was shown at each position, (K, M) float64."""
    cell = log.position * shape[1] + log.item
    return np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)


def rates(item: Ints, position: Ints, click: Reals, shape: tuple[int, ...]) -> Reals:
    """Returns click rates (K, M) by logistic regression on position and item, with a ridge."""
    places = np.indices(shape).reshape(2, -1).T
    cell = position * shape[1] + item
    clicked = np.bincount(cell, click, minlength=len(places))
    missed = np.bincount(cell, 1 - click, minlength=len(places))
    encoded = OneHotEncoder().fit_transform(places)
    model = LogisticRegression().fit(
        vstack([encoded, encoded]), np.repeat([1, 0], len(places)),
        sample_weight=np.concatenate([clicked, missed]),
    )  # fmt: skip
    found: Reals = model.predict_proba(encoded)[:, 1].reshape(shape)
    return found


def fit(log: Log, shape: tuple[int, ...]) -> Model:
    """Returns the Model whose rates for a row were fitted without the row's own fold."""
    fold = np.empty(len(log.click), dtype=np.int64)
    found = []
    splits = StratifiedKFold(N_FOLDS, shuffle=True, random_state=0).split(log.item, log.click)
    for number, (others, own) in enumerate(splits):
        fold[own] = number
        found.append(rates(log.item[others], log.position[others], log.click[others], shape))
    return Model(np.array(found), fold)


def _compare(log: Log, other: Log, target: str) -> list[dict[str, object]]:
    """Rows of evaluate for one direction: the target's value from `log`, against its own log."""
    shape = tuple(1 + int(max(getattr(x, of).max() for x in (log, other))) for of in PLACE)
    seen = counts(other, shape)
    share = seen / seen.sum(axis=1, keepdims=True)
    table = np.full(shape, 1 / shape[1]) if target == "random" else share
    covered, own = _support(log, table), other.propensity
    truth = actions.ips(other.click, own, own, np.arange(len(own)))  # its own policy: weights of 1
    common = {
        "truth": truth.value, "truth_low": truth.low, "truth_high": truth.high,
        "logged_mean": float(log.click.mean()), "n_clicks": int(log.click.sum()), **asdict(covered),
    }  # fmt: skip
    try:
        require(covered)
    except NoSupport as why:
        return [common | {"estimator": e, "refused": str(why)} for e in ESTIMATORS]
    model = fit(log, shape)
    noise = _target_noise(log, model, seen) if target == "bts" else dict.fromkeys(ESTIMATORS, 0.0)
    noise["direct_method"] = float(np.hypot(noise["direct_method"], _model_noise(log, table)))
    by_row = _estimates(log, model, table, np.arange(len(log.click)))
    by_segment = _estimates(log, model, table, log.segment)
    return [
        common
        | _against(by_row[name], noise[name], truth)
        | {"estimator": name, "refused": ""}
        | {"segment_error": by_segment[name].standard_error / by_row[name].standard_error}
        for name in ESTIMATORS
    ]


def _estimates(log: Log, model: Model, table: Reals, user: Ints) -> dict[str, Estimate]:
    target, logged = table[log.position, log.item], log.propensity
    predicted = model.rates[model.fold, log.position, log.item]
    expected = (table * model.rates).sum(axis=2)[model.fold, log.position]
    found = (
        actions.ips(log.click, target, logged, user),
        actions.clipped_ips(log.click, target, logged, user, CLIP),
        actions.snips(log.click, target, logged, user),
        actions.direct_method(expected, user),
        actions.doubly_robust(log.click, target, logged, predicted, expected, user),
    )
    return dict(zip(ESTIMATORS, found, strict=True))


def _support(log: Log, table: Reals) -> Support:
    shown = counts(log, table.shape)
    often = shown.sum(axis=1, keepdims=True) / shown.sum()
    weights = actions.importance_weights(table[log.position, log.item], log.propensity)
    return support(weights, (table * often).ravel(), shown.ravel())


def _target_noise(log: Log, model: Model, seen: Reals) -> dict[str, float]:
    """Standard deviation of each estimate over redraws of the log that the target is known from."""
    rng, user = np.random.default_rng(0), np.arange(len(log.click))
    total = seen.sum(axis=1)
    values = []
    for _ in range(N_REDRAWS):
        drawn = rng.multinomial(total.astype(np.int64), seen / total[:, None]) / total[:, None]
        values.append([e.value for e in _estimates(log, model, drawn, user).values()])
    return dict(zip(ESTIMATORS, np.std(values, axis=0, ddof=1), strict=True))


def _model_noise(log: Log, table: Reals) -> float:
    """Standard deviation of the direct method over redraws of the rows, the model fitted anew."""
    rng = np.random.default_rng(1)
    values = []
    for _ in range(N_REDRAWS):
        drawn = rng.integers(len(log.click), size=len(log.click))
        position = log.position[drawn]
        found = rates(log.item[drawn], position, log.click[drawn], table.shape)
        values.append(float((table * found).sum(axis=1)[position].mean()))
    return float(np.std(values, ddof=1))


def _against(estimate: Estimate, noise: float, truth: Estimate) -> dict[str, float]:
    error = float(np.hypot(estimate.standard_error, noise))
    apart = float(np.hypot(error, truth.standard_error))
    difference, value, z = estimate.value - truth.value, estimate.value, float(norm.ppf(0.975))
    return {
        "estimate": value, "low": value - z * error, "high": value + z * error,
        "relative_error": value / truth.value - 1,
        "difference_low": difference - z * apart, "difference_high": difference + z * apart,
        "p_value": float(2 * norm.sf(abs(difference) / apart)),
    }  # fmt: skip


def page(table: pd.DataFrame) -> str:
    """Returns the Markdown page of what evaluate returned: table, refusals, how to read them."""
    given = table[table["refused"] == ""]
    lines = [_line(row) for row in given.to_dict("records")]
    refused = table[table["refused"] != ""].drop_duplicates(["campaign", "logged"])
    refusals = "- " + refused["campaign"] + ", from the log of " + refused["logged"] + ": "
    reading = "\n\n".join(_reading(table, given))
    return "\n".join([HEAD, *lines, "", *(refusals + refused["refused"]), "", reading, ""])


def _line(row: dict[Any, Any]) -> str:
    value = "{:.1f} [{:.1f}, {:.1f}]"
    cells = (
        *(row[name] for name in COLUMNS[:4]),
        *(value.format(*(1000 * row[name] for name in names)) for names in VALUES),
        f"{row['relative_error']:+.0%}",
        f"[{1000 * row['difference_low']:+.1f}, {1000 * row['difference_high']:+.1f}]",
        f"{row['p_value']:.2f}, {row['p_holm']:.2f}",
        f"{row['effective_sample_size']:,.0f} of {row['n_rows']:,}, {row['top_share']:.1%}",
    )
    return f"| {' | '.join(cells)} |"


def _reading(table: pd.DataFrame, given: pd.DataFrame) -> list[str]:
    apart = int((given["p_holm"] < 0.05).sum())
    unseen = (given["difference_high"] - given["difference_low"]) / 2 / given["truth"]
    plain = given.drop_duplicates("campaign")
    off = zip(plain["logged_mean"] / plain["truth"] - 1, plain["campaign"], strict=True)
    segment = given.loc[given["estimator"] != "direct_method", "segment_error"] - 1
    return [
        f"Of {len(table)} estimates asked for, {len(table) - len(given)} were refused for want of "
        f"support; of the {len(given)} given, {apart} differ from the target's own log by more "
        "than chance (adjusted p below 0.05).",
        f"There were {table['n_clicks'].min()} to {table['n_clicks'].max()} clicks in a log: an "
        f"error under {unseen.min():.0%} to {unseen.max():.0%} of the truth, by estimator and "
        "campaign, would pass unnoticed, and the log's own mean, with no correction at all, is off "
        f"by {' and '.join(f'{error:+.0%} ({campaign})' for error, campaign in off)}.",
        "Clustered by combination of user features in place of rows, the standard errors of the "
        f"weighted estimators would change by {segment.min():+.0%} to {segment.max():+.0%}.",
    ]


def main(
    folder: Annotated[Path, typer.Argument(help="Holds {random,bts}_{men,women}.parquet.")],
    write: Annotated[Path, typer.Option(help="Markdown file to write.")],
) -> None:
    """Estimate each policy from the other's log, and write the page."""
    write.write_text(page(evaluate(folder)), encoding="utf-8")
    typer.echo(f"Wrote {write}.")


if __name__ == "__main__":
    typer.run(main)
