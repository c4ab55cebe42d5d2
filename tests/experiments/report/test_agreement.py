from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from experiments.arms import ARMS, CONTROL
from experiments.report.agreement import (
    agreement_answer,
    agreement_figures,
    disagreement,
    metrics_grid,
)
from experiments.report.answer import Answer
from experiments.report.figures import Estimate
from experiments.verdict import Verdict
from sql.database import Database
from tests.experiments.report.report_rows import DATE, add_experiment, add_rankings

UNCORRECTED = Verdict("more data", "", {})


def estimate(lift: float, half: float = 0.01) -> Estimate:
    return Estimate("", lift, lift - half, lift + half, "unclear")


def row(arm: str, value: float, lift: float | None) -> dict[str, Any]:
    around = {"ci_low": None, "ci_high": None}
    if lift is not None:
        around = {"ci_low": lift - 0.01, "ci_high": lift + 0.01}
    return {"arm": arm, "value": value, "lift": lift, **around}


def test_pairs_in_the_other_order_are_named() -> None:
    values = {"a": 0.54, "b": 0.53, "c": 0.52, "d": 0.51}
    # by lift: b, d, a, c; so a is above b and d only by nDCG, and c above d
    lifts = {"a": 0.01, "b": 0.05, "c": 0.0, "d": 0.02}
    said = disagreement(values, {arm: estimate(lift) for arm, lift in lifts.items()})
    assert said == (
        "Kendall's tau between the two orders of 4 arms is 0.00: 3 of 6 pairs are ordered one way "
        "by nDCG@10 and the other by the lift. nDCG@10 puts a above b and d; c above d. The "
        "intervals of the two lifts overlap in 2 of these 3."
    )


def test_where_the_orders_agree_it_says_so() -> None:
    said = disagreement({"a": 0.2, "b": 0.1}, {"a": estimate(0.2), "b": estimate(0.1)})
    assert said.endswith("no pair of arms is ordered one way by nDCG@10 and the other by the lift.")
    assert "of 2 arms is 1.00" in said


def test_a_tie_is_no_disagreement() -> None:
    values = {"a": 0.2, "b": 0.2, "c": 0.1}
    said = disagreement(values, {"a": estimate(0.1), "b": estimate(0.2), "c": estimate(0.0)})
    assert "no pair of arms" in said
    assert "n/a" in disagreement({"a": 0.1, "b": 0.1}, {"a": estimate(0.1), "b": estimate(0.2)})


@given(st.permutations(range(6)))
def test_tau_counts_the_pairs(order: list[int]) -> None:
    arms = "abcdef"
    values = {arm: float(-n) for n, arm in enumerate(arms)}
    said = disagreement(values, {a: estimate(-float(n)) for a, n in zip(arms, order, strict=True)})
    tau = kendalltau(range(6), order).statistic
    n_opposite = round((1 - tau) / 2 * 15)
    expected = f"{n_opposite} of 15 pairs" if n_opposite else "no pair of arms"
    assert expected in said
    assert f" is {tau:.2f}".replace("-", "−") in said


def test_the_control_earns_nothing_over_itself(database: Database) -> None:
    add_rankings(database, {"q00": [], "c00": []}, ["q00"], ["c00"])
    add_experiment(database)
    answer = agreement_answer(database, DATE)
    (control,) = (r for r in answer.rows if r["arm"] == CONTROL)
    assert (control["lift"], control["ci_low"]) == (0.0, None)
    values = [r["value"] for r in answer.rows]
    assert values == sorted(values, reverse=True)
    assert len(values) == 7
    assert np.isfinite([r["lift"] for r in answer.rows]).all()
    assert len(metrics_grid(database, DATE).rows) == len(ARMS)


def test_arms_without_an_estimate_are_in_the_table_only() -> None:
    rows = (row("targeted", 0.5, 0.02), row("presence", 0.4, None), row(CONTROL, 0.3, 0.0))
    figures = agreement_figures(Answer("", rows), UNCORRECTED)
    assert figures
    panel, grid = figures
    assert [e.label for e in panel.estimates] == ["targeted", "whole_image (control)"]
    assert [name for name, _, _ in grid.rows] == ["targeted", "presence", "whole_image (control)"]
    assert "presence" not in panel.words


@pytest.mark.parametrize("lifts", [(), (0.02,), (0.02, None)])
def test_one_arm_has_no_order(lifts: tuple[float | None, ...]) -> None:
    rows = tuple(row(f"arm {n}", 0.5 - n / 10, lift) for n, lift in enumerate(lifts))
    assert agreement_figures(Answer("", rows), UNCORRECTED) is None


def test_a_lift_is_read_by_its_adjusted_p_value() -> None:
    rows = (row("targeted", 0.5, 0.02), row("presence", 0.4, 0.03))
    doubtful = Verdict("more data", "", {("targeted", "save"): 0.2, ("presence", "save"): 0.01})
    figures = agreement_figures(Answer("", rows), doubtful)
    assert figures
    assert [e.reading for e in figures[0].estimates] == ["unclear", "better"]
