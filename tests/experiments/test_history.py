from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from experiments.experiment import Setting, carry_out, run_mark, run_plan
from experiments.history import code_version, differences, past_runs, record, recorded
from experiments.plan import Plan
from sql.database import Database
from tests.experiments.test_experiment import LAST, VERSION, fill, rank, results

PLAN = Plan("mine", arms=("targeted",), segments=("platform",))
SETTING = Setting(LAST, VERSION)


@pytest.fixture
def filled(database: Database, world: Callable[..., Any], theta: np.ndarray) -> Database:
    fill(database, world(), theta)
    return database


def counts(database: Database) -> list[int]:
    tables = ("experiment_runs", "experiment_results", "experiment_run_checks")
    return [database.read(f"SELECT COUNT(*) AS n FROM {t}")["n"][0].as_py() for t in tables]


def test_what_was_recorded_is_read_back(filled: Database) -> None:
    run = run_plan(filled, PLAN, SETTING)
    again = recorded(filled, run.run_id[:6])
    assert (again.plan, again.date, again.sentence) == (PLAN, LAST, run.sentence)
    assert again.code_version == code_version()
    assert differences(again, run) == differences(run, again) == []
    assert len(again.lifts) == len(run.lifts) == 3 * (5 + 5 + 2)
    assert {c["name"] for c in again.checks} == {c["name"] for c in run.checks}


def test_the_daily_tables_are_left_alone(filled: Database) -> None:
    run_plan(filled, PLAN, SETTING)
    assert not any(results(filled).values())


def test_the_same_run_is_kept_once_another_is_added(
    filled: Database, world: Callable[..., Any]
) -> None:
    run = run_plan(filled, PLAN, SETTING)
    before = counts(filled)
    assert run_plan(filled, PLAN, SETTING).run_id == run.run_id
    assert not record(filled, run)
    assert counts(filled) == before
    other = run_plan(filled, replace(PLAN, name="other"), SETTING)
    rank(filled, "targeted", world().ranks["random"])
    changed = run_plan(filled, PLAN, SETTING)
    assert len({run.run_id, other.run_id, changed.run_id}) == 3
    assert counts(filled) == [3 * n for n in before]
    assert [row["name"] for row in past_runs(filled)] == ["mine", "other", "mine"]
    found = differences(run, changed)
    assert found[0] == "the decision was ship, is hold"
    assert "lifts differ, the first: targeted, " in found[1]


def test_made_anew_the_numbers_are_the_same(filled: Database) -> None:
    run = run_plan(filled, PLAN, SETTING)
    kept = recorded(filled, run.run_id)
    mark = run_mark(filled, kept.plan, SETTING)
    assert differences(kept, carry_out(filled, kept.plan, SETTING, mark)[0]) == []


def test_a_run_that_was_not_finished_is_not_there_and_is_made_whole(filled: Database) -> None:
    run = run_plan(filled, PLAN, SETTING)
    with filled.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM experiment_runs")
        connection.exec_driver_sql("DELETE FROM experiment_results WHERE metric = 'save'")
    with pytest.raises(ValueError, match="0 runs have an id that starts with"):
        recorded(filled, run.run_id)
    run_plan(filled, PLAN, SETTING)
    assert differences(recorded(filled, run.run_id), run) == []


def test_an_arm_can_be_compared_with_any_other(filled: Database) -> None:
    backwards = Plan("backwards", "whole_image", "targeted", arms=("whole_image",), segments=())
    forth, back = (run_plan(filled, plan, SETTING) for plan in (PLAN, backwards))
    one, other = (
        next(r for r in run.lifts if (r["segment"], r["metric"], r["estimator"])
             == ("all", "save", "snips_position_based"))
        for run in (forth, back)
    )  # fmt: skip
    assert (1 + one["lift"]) * (1 + other["lift"]) == pytest.approx(1)
    assert other["control"] == one["treatment"]
