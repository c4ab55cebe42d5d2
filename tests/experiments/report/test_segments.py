import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from statsmodels.stats.multitest import multipletests

from experiments.arms import AA, PRIMARY
from experiments.report.answer import Answer
from experiments.report.segments import (
    MOST_SEGMENTS,
    adjusted_p_values,
    segment_answers,
    segment_figures,
)
from experiments.statistics.bootstrap import N_REPLICATES, two_sided_p_value
from sql.database import Database
from tests.experiments.report.report_rows import DATE, add

SURE = {"lift": 0.05, "ci_low": 0.01, "ci_high": 0.09}


def row(segment: str, p: float | None, arm: str = PRIMARY, **other: Any) -> dict[str, Any]:
    return {
        "segment": segment, "arm": arm, "metric": "save", "n_requests": 500, "p_value": p,
        **SURE, **other,
    }  # fmt: skip


def answers(*rows: dict[str, Any]) -> dict[str, Answer]:
    return {"save": Answer("", rows)}


def readings(*rows: dict[str, Any]) -> list[str]:
    plot, _ = segment_figures(answers(*rows))
    assert plot
    return [estimate.reading for estimate in plot.estimates]


@given(st.lists(st.none() | st.floats(0, 1), max_size=20))
def test_p_values_are_adjusted_as_by_statsmodels(p_values: list[float | None]) -> None:
    found = adjusted_p_values([{"p_value": p} for p in p_values])
    known = [p for p in p_values if p is not None]
    expected = multipletests(known, method="fdr_bh")[1] if known else []
    assert [p for p in found if not math.isnan(p)] == pytest.approx(list(expected))
    assert [math.isnan(p) for p in found] == [p is None for p in p_values]


def test_a_row_that_stands_out_by_itself_may_not_among_many() -> None:
    assert readings(row("platform=ios", 0.01)) == ["better"]
    others = [row(f"platform={n}", 0.8) for n in range(9)]
    assert readings(row("platform=ios", 0.01), *others) == ["unclear"] * 10


def test_other_arms_and_unknown_rows_count_as_they_should() -> None:
    one = row("platform=ios", 0.01)
    assert readings(one, *[row("platform=ios", 0.9, f"arm {n}") for n in range(5)]) == ["unclear"]
    unknown = row("platform=web", None, lift=None, ci_low=None, ci_high=None)
    assert readings(one, unknown) == ["better", "unclear"]


def test_losses_are_marked_as_gains_are_and_fewer_hides_are_a_gain() -> None:
    loss = {"lift": -0.05, "ci_low": -0.09, "ci_high": -0.01}
    assert readings(row("platform=ios", 0.001, **loss)) == ["worse"]
    hides = {"hide": Answer("", (row("platform=ios", 0.001, metric="hide", **loss),))}
    plot, (grid,) = segment_figures(hides)
    assert plot is None
    assert [getattr(cell, "reading", None) for cell in grid.rows[0][2]] == ["better"]


def test_a_line_says_how_many_segments_remain() -> None:
    rows = (
        row("category=bag", 0.001), row("category=hat", 0.5), row("platform=ios", 0.04),
        row("platform=web", 0.001, "presence"), row("platform=web", None),
    )  # fmt: skip
    plot, (grid,) = segment_figures(answers(*rows))
    said = "Segments in which some arm differs from whole_image, with 4 p-values adjusted together"
    assert plot
    assert plot.note == grid.note == f"{said}: 2 of 4 (category=bag, platform=web)."
    _, (grid,) = segment_figures(answers(row("category=hat", 0.5)))
    assert grid.note.endswith("0 of 1.")


def test_a_row_that_more_replicates_might_mark_is_counted() -> None:
    least = two_sided_p_value(np.ones(N_REPLICATES))
    others = [row(f"platform={n}", 0.8) for n in range(30)]
    _, (grid,) = segment_figures(answers(row("platform=ios", least), *others))
    assert grid.note.endswith(
        "0 of 31. Rows that are not marked but have the least p-value that 1,000 replicates can "
        "give (0.002): 1; more replicates might mark them."
    )
    _, (grid,) = segment_figures(answers(row("platform=ios", least)))
    assert "replicates" not in grid.note


def test_where_nothing_differs_few_reports_mark_a_segment() -> None:
    rng, n_reports = np.random.default_rng(0), 2_000
    marked = 0
    for p_values in rng.uniform(size=(n_reports, 45)):
        marked += min(adjusted_p_values([{"p_value": p} for p in p_values])) < 0.05
    low, high = binom.interval(0.999, n_reports, 0.05)
    assert low <= marked <= high


def test_the_largest_segments_of_judged_arms_are_read(database: Database) -> None:
    sizes = {f"category={n:02}": 1_000 - n for n in range(MOST_SEGMENTS + 5)}
    add(database, "experiment_lift", [
        {"date": DATE, "estimator": "snips_position_based", **row(segment, 0.5, arm)}
        | {"n_requests": size}
        for segment, size in {**sizes, "all": 9_000}.items()
        for arm in (PRIMARY, AA, "with_look")
    ])  # fmt: skip
    found = segment_answers(database, DATE)
    assert [r["segment"] for r in found["save"].rows] == list(sizes)[:MOST_SEGMENTS]
    assert {r["arm"] for r in found["save"].rows} == {PRIMARY}
    assert not found["click"].rows
    assert len(segment_figures(found)[1]) == 1
