import numpy as np

from ranking.labels import GRADES, LABEL_GAIN, gains
from sql.tables import ACTIONS


def test_every_action_has_a_grade_and_a_hide_has_none_of_interest() -> None:
    assert set(GRADES) == set(ACTIONS)
    assert GRADES["hide"] == 0
    assert GRADES["closeup"] < GRADES["click"] < GRADES["long_click"] < GRADES["save"]


def test_a_save_is_worth_more_than_all_lesser_actions_together() -> None:
    assert LABEL_GAIN[GRADES["save"]] > sum(LABEL_GAIN[: GRADES["save"]])
    assert np.array_equal(gains(range(5)), LABEL_GAIN)
