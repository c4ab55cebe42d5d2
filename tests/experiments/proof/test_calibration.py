from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from experiments.proof.calibration import PLAN, outcomes, tasks
from experiments.proof.calibration_page import page
from experiments.proof.conditions import CONDITIONS
from experiments.proof.measures import alarms, coverage, groups
from experiments.proof.pictures import errors_plot, power_plot

N = 60


@pytest.fixture(scope="module")
def found() -> pd.DataFrame:
    """All studies on a few worlds each, and false alarms and coverage on more."""
    some = [task for task in tasks(2) if task.n_requests <= 2_000 or task.study not in _LARGE]
    more = [
        task
        for task in tasks(N)
        if task.world in ("no lift", "position-based")
        and task.study in ("intervals", "live")
        and task.seed < N
    ]
    return outcomes(list(dict.fromkeys(some + more)), 1)


_LARGE = ("errors", "sensitivity")


def chance(share: float) -> float:
    """Four standard errors of a share of N."""
    return 4 * float(np.sqrt(share * (1 - share) / N))


def test_false_alarms_and_coverage_are_as_claimed(found: pd.DataFrame) -> None:
    rows = found[found["study"].isin(("intervals", "live")) & (found["quantity"] == "lift")]
    for (world, name), some in groups(rows, "world", "estimator"):
        if world == "no lift":
            assert alarms(some).n == N
            assert abs(alarms(some).value - 0.05) < chance(0.05), name
        if world in ("no lift", "position-based"):
            assert abs(coverage(some).share.value - 0.95) < chance(0.05), name


def test_the_page_has_every_section_world_and_estimator(found: pd.DataFrame) -> None:
    text = page(found, "A few worlds.")
    for heading in (
        "False alarms", "Coverage of 95 % intervals of the lift", "actions per request, offline",
        "Bias and error", "Sample-ratio mismatch", "Many arms", "Looking before the end",
        "Interleaving against A/B",
    ):  # fmt: skip
        assert sum(heading in line for line in text.splitlines() if line[:2] == "##") == 1, heading
    for name in {*CONDITIONS, *found["estimator"]}:
        assert f"| {name} |" in text
    assert "nan" not in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    for one, other in pairwise(tables):
        if other.startswith("|---"):
            assert one.count("|") == other.count("|")


def test_the_pictures_draw_every_world_and_test(found: pd.DataFrame) -> None:
    titles = [axes.get_title(loc="left") for axes in errors_plot(found).axes]
    assert sorted(titles) == sorted({world for study, world, *_ in PLAN if study == "errors"})
    (axes,) = power_plot(found).axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert len(labels) == 5
    assert labels[0].startswith("interleaving")


def test_the_plan_names_known_worlds_and_grows_with_the_worlds() -> None:
    assert {world for _, world, *_ in PLAN} <= set(CONDITIONS)
    assert len(set(tasks(100))) == len(tasks(100)) > 4 * len(tasks(20))
