import numpy as np
import pandas as pd

from experiments.proof.conditions import Task
from experiments.proof.studies import run

N = 60


def rates(study: str, world: str, n_requests: int) -> pd.DataFrame:
    outcomes = [one for seed in range(N) for one in run(Task(study, world, n_requests, seed))]
    rows = pd.DataFrame(outcomes)
    return rows.groupby(["estimator", "world", "quantity"])["value"].mean().unstack()


def chance(share: float) -> float:
    """Four standard errors of a share of N."""
    return 4 * float(np.sqrt(share * (1 - share) / N))


def test_the_check_fires_on_a_planted_mismatch_and_else_does_not() -> None:
    fires = rates("sample ratio", "position-based", 100_000)["fires"]
    for counted in ("requests drawn, requests counted", "users drawn, users counted"):
        assert fires[counted, "50.0% / 50.0%"] <= 0.001 + chance(0.001)
    assert fires["requests drawn, requests counted", "51.0% / 49.0%"] >= 0.998 - chance(0.998)
    assert abs(fires["requests drawn, requests counted", "50.5% / 49.5%"] - 0.45) < chance(0.45)
    # requests of a user go together, so that counting them is wrong where users were drawn
    assert fires["users drawn, requests counted", "50.0% / 50.0%"] > 0.1


def test_holm_keeps_false_rejections_rare_and_no_correction_does_not() -> None:
    found = rates("families", "large lift", 10_000)
    for world in ("0 of 6 with a lift", "3 of 6 with a lift"):
        assert found.loc[("Holm", world), "any false"] <= 0.05 + chance(0.05)
        assert found.loc[("Benjamini-Hochberg", world), "share false"] <= 0.05 + chance(0.05)
        assert found.loc[("none", world), "any false"] >= found.loc[("Holm", world), "any false"]
    assert found.loc[("none", "0 of 6 with a lift"), "any false"] > 0.08
    some = found.xs("3 of 6 with a lift", level="world")["share found"]
    assert some["none"] >= some["Benjamini-Hochberg"] >= some["Holm"] > 0.1


def test_looking_often_costs_unless_the_p_value_allows_it() -> None:
    found = rates("peeking", "no lift", 5_000)["any alarm"].droplevel("world")
    assert found["p-value, last look only"] <= 0.05 + chance(0.05)
    assert found["always-valid p-value, at every look"] <= 0.05 + chance(0.05)
    assert found["p-value, at every look"] > 2 * found["p-value, last look only"]
