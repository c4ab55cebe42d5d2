import pytest

from experiments.plan import Plan
from experiments.verdict import Row, verdict

GOOD = [{"name": "a_a", "passed": 1}, {"name": "heaviest_user", "passed": 0}]


def row(
    metric: str, lift: float, p_value: float | None, arm: str = "targeted", **kw: object
) -> Row:
    return {
        "arm": arm, "metric": metric, "segment": "all", "estimator": "snips_position_based",
        "control": 1.0, "treatment": 1 + lift, "lift": lift, "ci_low": lift - 0.03,
        "ci_high": lift + 0.03, "p_value": p_value, **kw,
    }  # fmt: skip


def test_a_gain_in_saves_ships() -> None:
    found = verdict([row("save", 0.05, 0.002), row("hide", 0.1, 0.5)], GOOD)
    assert found.decision == "ship"
    assert found.sentence == (
        "Ship targeted: saves per request +5.0% against whole_image "
        "(95% interval +2.0% to +8.0%, adjusted p 0.002)."
    )


def test_a_loss_holds() -> None:
    found = verdict([row("save", -0.05, 0.002)], GOOD)
    assert (found.decision, "it loses" in found.sentence) == ("hold", True)


def test_neither_asks_for_more_data() -> None:
    assert verdict([row("save", 0.02, 0.2)], GOOD).decision == "more data"


def test_a_gain_that_is_ruled_out_holds() -> None:
    found = verdict([row("save", -0.025, 0.2)], GOOD)
    assert (found.decision, "ruled out" in found.sentence) == ("hold", True)


def test_hides_guard() -> None:
    saves = row("save", 0.05, 0.002)
    assert verdict([saves, row("hide", 0.5, 0.01)], GOOD).decision == "hold"
    assert verdict([saves, row("hide", -0.5, 0.01)], GOOD).decision == "ship"


@pytest.mark.parametrize("name", ["sample_ratio_by_day", "random_order", "weights_average_one"])
def test_a_failed_critical_check_holds(name: str) -> None:
    found = verdict([row("save", 0.05, 0.002)], [*GOOD, {"name": name, "passed": 0}])
    assert found.decision == "hold"
    assert name in found.sentence


def test_other_arms_and_clicks_are_corrected_for() -> None:
    arms = ("targeted", "presence", "object_crop", "object_crop_padded")
    rows = [row(m, 0.05, 0.01, arm) for arm in arms for m in ("save", "click")]
    found = verdict(rows, GOOD)
    assert len(found.adjusted) == 8
    assert found.adjusted["targeted", "save"] == pytest.approx(0.08)
    assert found.decision == "more data"


def test_the_twin_the_oracle_segments_and_the_other_estimator_are_not_in_the_family() -> None:
    rows = [
        row("save", 0.05, 0.03),
        row("save", 0.05, 0.9, "oracle"),
        row("save", 0.0, 0.9, "whole_image_aa"),
        row("long_click", 0.0, 0.9),
        row("save", 0.0, 0.9, segment="platform=ios"),
        row("save", 0.0, 0.9, estimator="snips_item_position"),
    ]
    found = verdict(rows, GOOD)
    assert found.adjusted == {("targeted", "save"): pytest.approx(0.03)}
    assert found.decision == "ship"


@pytest.mark.parametrize("p_value", [None, float("nan")])
def test_nothing_known_asks_for_more_data(p_value: float | None) -> None:
    assert verdict([row("save", 0.05, p_value)], GOOD).decision == "more data"
    assert verdict([], GOOD).decision == "more data"
    unknown = row("save", 0.05, 0.002, ci_low=None, ci_high=None)
    assert verdict([unknown], GOOD).decision == "more data"


def test_an_arm_for_evaluation_only_is_never_shipped() -> None:
    found = verdict([row("save", 0.05, 0.0001, "oracle")], GOOD, Plan("best", "oracle"))
    assert found.decision == "hold"
    assert found.sentence == (
        "Hold: oracle is for evaluation only and cannot be shipped; saves per request +5.0% "
        "against whole_image (95% interval +2.0% to +8.0%, p 0.000)."
    )


def test_the_plan_says_what_decides_and_what_guards() -> None:
    clicks = Plan("mine", "presence", "object_crop", primary=("click",), guardrails=("closeup",),
                  level=0.2)  # fmt: skip
    rows = [row("click", 0.05, 0.15, "presence"), row("save", -0.5, 0.001, "presence")]
    found = verdict(rows, GOOD, clicks)
    assert found.sentence.startswith("Ship presence: clicks per request +5.0% against object_crop")
    fewer = row("closeup", -0.1, 0.01, "presence")
    assert verdict([*rows, fewer], GOOD, clicks).sentence.startswith(
        "Hold presence: people make fewer closeups (p 0.010); clicks per request +5.0%"
    )
    more = row("closeup", 0.1, 0.01, "presence")
    assert verdict([*rows, more], GOOD, clicks).decision == "ship"
    assert verdict([], GOOD, clicks).sentence == (
        "More data: the lift of presence in clicks cannot be estimated yet."
    )


def test_what_is_worth_shipping_is_the_plans() -> None:
    small = Plan("mine", worthwhile=0.1)
    found = verdict([row("save", 0.02, 0.2)], GOOD, small)
    assert "a gain of 10% is ruled out" in found.sentence
