"""The statistics on 78 real experiments: winners, what peeking adds, sample ratios.

python -m experiments.proof.asos PARQUET --write docs/proof-asos.md

Data: ASOS Digital Experiments Dataset, CC BY 4.0 (Liu, Cardoso, Couturier, McCoy: Datasets for
Online Controlled Experiments, NeurIPS 2021, https://osf.io/64jsb). A row is one look at one metric
of one variant against its control: running counts, means, sample variances.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from matplotlib.figure import Figure
from scipy.stats import chisquare, ttest_ind_from_stats

from experiments.estimators.rankings import Reals
from experiments.report.plots import COLOURS, FONT_SIZE, save_png
from experiments.statistics.comparison import means
from experiments.statistics.corrections import benjamini_hochberg, holm
from experiments.statistics.moments import Moments
from experiments.statistics.sequential import interval

LEVEL = 0.05
RATIO_ALARM = 0.001  # p-value of a sample-ratio mismatch
BY_DESIGN = 0.01  # a share further than this from one half was hardly meant to be one half
LABEL_HEIGHT = 9  # of the picture's labels, in percentage points
METRICS = {1: "1, binary", 2: "2, count", 3: "3, count", 4: "4, amount"}
KEYS = ["experiment_id", "variant_id", "metric_id"]
GROUPS = [f"{what}_{group}" for what in ("count", "mean", "variance") for group in "ct"]


def read(parquet: Path) -> pd.DataFrame:
    """Returns the dataset, sorted by comparison and time.

    Raises ValueError where a column is missing.
    """
    rows = pd.read_parquet(parquet)
    missing = {*KEYS, "time_since_start", *GROUPS} - set(rows.columns)
    if missing:
        raise ValueError(
            f"{parquet} lacks {', '.join(sorted(missing))}: give asos_digital_experiments.parquet."
        )
    return rows.sort_values([*KEYS, "time_since_start"], ignore_index=True)


def comparable(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows where both groups have two units and a variance, one variance above 0."""
    counted = (rows["count_c"] >= 2) & (rows["count_t"] >= 2)
    varied = rows[["variance_c", "variance_t"]].sum(axis=1, skipna=False) > 0
    return rows[counted & varied].reset_index(drop=True)


def looks(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per look: KEYS, progress, the fields of Comparison, fixed and always_valid.

    progress: share of the comparison's length, up to 1; fixed: the 95 % interval of that look
    alone excludes 0; always_valid: that of all looks together does. It is tuned for the units of
    the last look: how long an experiment would run was taken as planned.
    """
    usable = comparable(rows)
    found = pd.DataFrame(
        vars(means(Moments.of_summary(*control), Moments.of_summary(*treatment), 1 - LEVEL))
        for control, treatment in zip(_group(usable, "c"), _group(usable, "t"), strict=True)
    )
    by = usable.groupby(KEYS)
    units = (found["n_control"] + found["n_treatment"]).to_numpy(dtype=np.float64)
    last = by["count_c"].transform("last") + by["count_t"].transform("last")
    low, high = interval(
        found["effect"].to_numpy(), units * found["standard_error"].to_numpy() ** 2, units,
        1 - LEVEL, tuned_for=last.to_numpy(),
    )  # fmt: skip
    return usable[KEYS].assign(
        progress=usable["time_since_start"] / by["time_since_start"].transform("last"),
        **found, fixed=found["p_value"] < LEVEL, always_valid=(low > 0) | (high < 0),
    )  # fmt: skip


def _group(rows: pd.DataFrame, name: str) -> Iterator[tuple[int, float, float]]:
    columns = (rows[f"{what}_{name}"] for what in ("count", "mean", "variance"))
    return ((int(n), mean, variance) for n, mean, variance in zip(*columns, strict=True))


def outcomes(seen: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per comparison: its last look, p-values adjusted over all, and its history.

    Adds holm and benjamini_hochberg (adjusted p-values), ever_fixed and ever_always_valid (at any
    look), n_looks.
    """
    by = seen.groupby(KEYS)
    last = by.last()
    return last.assign(
        holm=holm(last["p_value"].tolist()),
        benjamini_hochberg=benjamini_hochberg(last["p_value"].tolist()),
        ever_fixed=by["fixed"].any(), ever_always_valid=by["always_valid"].any(),
        n_looks=by.size(),
    ).reset_index()  # fmt: skip


def difference_from_scipy(rows: pd.DataFrame, found: pd.DataFrame) -> tuple[float, float]:
    """Returns how far t statistics and p-values of the outcomes are from scipy's at most.

    rows: the dataset, whose last looks scipy.stats.ttest_ind_from_stats compares by Welch's test.
    """
    last = comparable(rows).groupby(KEYS).last()
    n_c, n_t, mean_c, mean_t, variance_c, variance_t = last[GROUPS].to_numpy().T
    expected = ttest_ind_from_stats(
        mean_t, np.sqrt(variance_t), n_t, mean_c, np.sqrt(variance_c), n_c, equal_var=False
    )
    statistic = (found["effect"] / found["standard_error"]).to_numpy()
    p_value = found["p_value"].to_numpy()
    return (
        float(np.abs(statistic - expected.statistic).max()),
        float(np.abs(p_value - expected.pvalue).max()),
    )


def sample_ratios(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per experiment and variant at its last look: share of units in treatment,
    and the chi-square p-value of 50:50."""
    last = rows.groupby(KEYS[:2])[["count_c", "count_t"]].last()
    return pd.DataFrame(
        {
            "share": last["count_t"] / last.sum(axis=1),
            "p_value": chisquare(last.to_numpy(), axis=1).pvalue,
        },
        index=last.index,
    )


def by_metric(found: pd.DataFrame) -> pd.DataFrame:
    """Returns numbers of comparisons, one row per metric and one for all of them."""
    counted = pd.DataFrame(
        {
            "metric": found["metric_id"].map(METRICS),
            "comparisons": 1,
            "significant at the end": found["fixed"],
            "up": found["fixed"] & (found["effect"] > 0),
            "down": found["fixed"] & (found["effect"] < 0),
            "after Benjamini-Hochberg": found["benjamini_hochberg"] < LEVEL,
            "after Holm": found["holm"] < LEVEL,
            "at some look, fixed interval": found["ever_fixed"],
            "of these not at the end": found["ever_fixed"] & ~found["fixed"],
            "at some look, always-valid": found["ever_always_valid"],
        }
    )
    table = counted.groupby("metric").sum()
    return pd.concat([table, table.sum().to_frame("all").T]).astype(int)


def called(seen: pd.DataFrame, progress: Reals) -> dict[str, Reals]:
    """Returns shares of comparisons (P,) at each progress (P,), by rule: peeking with the fixed
    interval, with the always-valid one, and the fixed interval of the latest look alone."""
    first = {
        rule: seen[seen[rule]].groupby(KEYS)["progress"].min().to_numpy()
        for rule in ("fixed", "always_valid")
    }
    n = seen.groupby(KEYS).ngroups
    ever = {rule: (x[:, None] <= progress).sum(axis=0) / n for rule, x in first.items()}
    past = (seen[seen["progress"] <= p].groupby(KEYS)["fixed"].last() for p in progress)
    return {**ever, "latest": np.array([fixed.sum() / n for fixed in past])}


def figure(seen: pd.DataFrame) -> Figure:
    """Shares of comparisons called a difference so far, as the experiments run."""
    progress = np.arange(1, 101) / 100
    shares = {rule: 100 * share for rule, share in called(seen, progress).items()}
    styles = {
        "fixed": ("at any look so far,\nfixed 95 % interval", COLOURS["worse"], "-"),
        "latest": ("at the latest look only,\nfixed 95 % interval", COLOURS["ink"], "--"),
        "always_valid": ("at any look so far,\nalways-valid interval", COLOURS["better"], "-"),
    }
    drawn = Figure(figsize=(5.625, 3.3), facecolor=COLOURS["card"])
    axes = drawn.add_axes((0.08, 0.14, 0.60, 0.72), facecolor=COLOURS["card"])
    free = 0.0  # labels are two lines high: none starts below where the last one ends
    for rule in sorted(styles, key=lambda rule: shares[rule][-1]):
        label, colour, style = styles[rule]
        end = shares[rule][-1]
        axes.plot(100 * progress, shares[rule], style, color=colour, linewidth=1.6)
        free = max(end, free) + LABEL_HEIGHT
        axes.annotate(
            f"{end:.0f} % {label}", (100, free - LABEL_HEIGHT), (6, 0),
            textcoords="offset points", color=colour, fontsize=FONT_SIZE, va="center",
            annotation_clip=False,
        )  # fmt: skip
    axes.set_xlim(0, 100)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("% of the experiment's length", fontsize=FONT_SIZE, color=COLOURS["muted"])
    axes.tick_params(length=0, colors=COLOURS["muted"], labelsize=FONT_SIZE)
    axes.grid(axis="y", color=COLOURS["line"], linewidth=0.6)
    axes.spines[:].set_visible(False)
    drawn.text(
        0.02, 0.93, "% of comparisons said to differ from the control", color=COLOURS["ink"],
        fontsize=FONT_SIZE + 1, weight="bold",
    )  # fmt: skip
    return drawn


def page(rows: pd.DataFrame, seen: pd.DataFrame, picture: str) -> str:
    """Returns the Markdown page; seen: the looks; picture: its path from the page."""
    found = outcomes(seen)
    ended, always = found["fixed"], found["ever_always_valid"]
    by_t, by_p = difference_from_scipy(rows, found)
    numbers = {
        "n_kept": len(found), "by_t": by_t, "by_p": by_p, "chance": LEVEL * len(found),
        "end": ended.sum(), "bh": (found["benjamini_hochberg"] < LEVEL).sum(),
        "holm": (found["holm"] < LEVEL).sum(),
        "peeked": found["ever_fixed"].sum(), "gone": (found["ever_fixed"] & ~ended).sum(),
        "always": always.sum(), "always_gone": (always & ~ended).sum(),
        "not_always": (ended & ~always).sum(), "n_looks": found["n_looks"].median(),
        "n_units": (found["n_control"] + found["n_treatment"]).median(), "n_usable": len(seen),
    }  # fmt: skip
    table = _markdown(by_metric(found))
    return PAGE.format(picture=picture, table=table, **numbers, **_quality(rows))


def _quality(rows: pd.DataFrame) -> dict[str, float]:
    by, ratios = rows.groupby(KEYS), sample_ratios(rows)
    at_once = rows.groupby([*KEYS[:2], "time_since_start"])[["count_c", "count_t"]].nunique()
    counts = comparable(rows[rows["metric_id"].isin([2, 3])])
    sums = (counts["mean_c"] * counts["count_c"]).to_numpy()
    return {
        "n_rows": len(rows), "n_experiments": rows["experiment_id"].nunique(),
        "n_comparisons": by.ngroups, "n_differ": (at_once > 1).any(axis=1).sum(),
        "n_fall": (by[["count_c", "count_t"]].diff() < 0).any(axis=1).sum(),
        "whole": float((np.abs(sums - sums.round()) < 1e-3).mean()), "n_ratios": len(ratios),
        "n_off": (ratios["p_value"] < RATIO_ALARM).sum(),
        "n_uneven": ((ratios["share"] - 0.5).abs() > BY_DESIGN).sum(),
    }  # fmt: skip


def _markdown(table: pd.DataFrame) -> str:
    head = ["metric", *map(str, table.index)]
    lines = [head, ["---", *["--:"] * len(table)]]
    lines += [[str(name), *map(str, numbers)] for name, numbers in table.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(
    parquet: Annotated[Path, typer.Argument(help="asos_digital_experiments.parquet")],
    write: Annotated[Path, typer.Option(help="Page to write; its picture goes to images/.")],
) -> None:
    """Writes the page and its picture."""
    rows = read(parquet)
    seen = looks(rows)
    picture = Path("images") / "asos.png"
    (write.parent / picture.parent).mkdir(parents=True, exist_ok=True)
    save_png(figure(seen), write.parent / picture)
    write.write_text(page(rows, seen, picture.as_posix()), encoding="utf-8")


PAGE = """\
# The statistics on {n_experiments} real experiments

Written by `python -m experiments.proof.asos PARQUET --write docs/proof-asos.md` from the [ASOS \
Digital Experiments Dataset](https://osf.io/64jsb) (CC BY 4.0; Liu, Cardoso, Couturier, McCoy, \
NeurIPS 2021). A comparison is one metric of one variant against its control. What variants and \
metrics are is not published, so up is not said to be better.

{table}

![Comparisons said to differ, as the experiments run]({picture})

- **Welch's test from moments is scipy's**: over {n_kept} comparisons at their last look, t \
differs by at most {by_t:.0e} and p by {by_p:.0e} from `scipy.stats.ttest_ind_from_stats`.
- **Many comparisons**: {end} are significant at the end, each by itself; {bh} after \
Benjamini-Hochberg and {holm} after Holm over all {n_kept}. If none had an effect, about \
{chance:.0f} would be before correction.
- **Peeking**: over a median of {n_looks:.0f} looks, the fixed 95 % interval excludes 0 at some \
look in {peeked}; {gone} of them are not significant at the end.
- **Always-valid interval**: it excludes 0 at some look in {always}; {always_gone} of them are not \
significant at the end by the fixed interval, and {not_always} that are it never calls. Were \
there no effects and its assumptions true, about {chance:.0f} at most would be called.
- **Sample ratio**: {n_off} of {n_ratios} variants differ from 50:50 with chi-square p < 0.001. In \
{n_uneven} variants the share is over 1 point off, perhaps by design; the planned shares are not \
published. All are counted above like the others.

## The data
{n_rows:,} rows, {n_comparisons} comparisons, a median of {n_units:,.0f} units at the end. \
{n_usable:,} rows can be compared; the others lack a variance or hold no units, among them all \
rows of the comparisons missing from the {n_kept}. The publisher calls units samples, without \
saying whether they are users or visits. In {n_differ} looks the counts differ between metrics; in \
{n_fall} rows a count is smaller than at the look before. Sums of metrics 2 and 3, which are \
counts, are whole numbers in {whole:.1%} of the rows: some units must have been left out of mean \
and variance, but not out of the count.

## What this does not show
The always-valid interval assumes that each unit comes once, with its final outcome, and that the \
effect stays. Here a unit's total grows from look to look, and effects may fade, so its guarantee \
is approximate, and a difference called early and gone at the end need not have been false. It is \
tuned for the units each comparison ended with, as if its length had been planned. Metrics of one \
variant and variants of one experiment share units, so comparisons are not independent.
"""

if __name__ == "__main__":
    typer.run(main)
