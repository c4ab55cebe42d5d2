import numpy as np
import pandas as pd
import pytest

from experiments.proof.conditions import Task
from experiments.proof.studies import run

OFFLINE = {
    "ips", "clipped_ips", "snips", "direct_method", "doubly_robust", "standard_ips",
    "reward_interaction_ips", "reward_interaction_ips, self-normalised",
}  # fmt: skip


def found(study: str, world: str, n_requests: int, n: int = 1) -> pd.DataFrame:
    return pd.DataFrame(
        [one for seed in range(n) for one in run(Task(study, world, n_requests, seed))]
    )


@pytest.mark.parametrize("study", ["intervals", "errors", "live", "sensitivity"])
def test_a_task_always_finds_the_same(study: str) -> None:
    one, other = (found(study, "position-based", 600) for _ in range(2))
    pd.testing.assert_frame_equal(one, other)
    later = pd.DataFrame(run(Task(study, "position-based", 600, 1)))
    assert not one["value"].equals(later["value"])


def test_studies_do_not_share_their_worlds() -> None:
    worlds = [
        Task(*names, 500, 0).draw()[0]
        for names in (("intervals", "no lift"), ("live", "no lift"), ("live", "cascade"))
    ]
    bases = {world.base.ravel()[0] for world in worlds}
    assert len(bases) == 3


def test_every_estimator_has_its_interval() -> None:
    rows = found("intervals", "position-based", 2_000)
    values, lifts = (rows[rows["quantity"] == of] for of in ("value", "lift"))
    assert set(values["estimator"]) == OFFLINE
    assert set(lifts["estimator"]) == {
        "snips_item_position", "snips_position_based", "snips_position_based, delta method",
        "snips_position_based, delta method, examination known",
    }  # fmt: skip
    assert (rows["low"] < rows["value"]).all()
    assert (rows["value"] < rows["high"]).all()
    assert lifts["p_value"].between(0, 1).all()
    assert (values["effective_sample_size"] > 1).all()


def test_logs_of_one_world_share_its_truth() -> None:
    rows = found("errors", "cascade", 500)
    assert (rows.groupby("estimator")["truth"].nunique() == 1).all()
    assert (rows.groupby("estimator")["value"].nunique() == 2).all()


def test_cuped_narrows_the_interval_of_an_a_b_test() -> None:
    rows = found("live", "position-based", 8_000, 10)
    width = (rows["high"] - rows["low"]).groupby(rows["estimator"]).mean()
    assert width["A/B with CUPED"] < 0.9 * width["A/B"]


def test_interleaving_sees_what_an_a_b_test_of_the_same_size_does_not() -> None:
    rows = found("sensitivity", "position-based", 8_000, 40)
    seen = (rows["p_value"] < 0.05).groupby(rows["estimator"]).mean()
    assert seen["interleaving"] > seen["A/B"] + 4 * np.sqrt(2 * 0.25 / 40)
