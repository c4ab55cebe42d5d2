import pytest

from experiments.metrics import ENGAGEMENT, HEALTH, METRICS, known
from sql.tables import ACTIONS


def test_every_action_is_a_metric_and_hides_guard() -> None:
    assert set(ENGAGEMENT) == set(ACTIONS)
    guards = [metric.name for metric in METRICS.values() if metric.guardrail]
    assert guards == ["hide"]
    assert not METRICS["hide"].more_is_better


def test_names_are_the_keys_and_every_metric_says_what_it_is() -> None:
    for name, metric in METRICS.items():
        assert metric.name == name
        assert " / " in metric.meaning
        assert metric.unit
    assert METRICS["save_propensity"].meaning == "users who saved / users who saw"
    assert HEALTH == ("diversity", "new_pin_share")


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="no metric 'repin'; there are save, click"):
        known(["save", "repin"])
