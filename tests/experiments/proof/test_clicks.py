from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.proof.clicks import Cascade, ClickModel, PositionBased

MODELS: list[ClickModel] = [
    PositionBased((1.0, 0.6, 0.4)),
    PositionBased((1.0, 0.6, 0.4), cannibalisation=0.7),
    PositionBased((1.0, 0.6, 0.4), cannibalisation=1.0),
    Cascade(),
    Cascade(stop=0.5, patience=0.8),
]
appeals = st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3).map(np.array)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_chances_are_those_of_many_draws(model: ClickModel) -> None:
    appeal, n = np.array([0.7, 0.5, 0.6]), 200_000
    drawn = model.act(np.tile(appeal, (n, 1)), np.random.default_rng(0)).mean(axis=0)
    chances = model.chances(appeal)
    assert (np.abs(drawn - chances) < 4 * np.sqrt(chances * (1 - chances) / n)).all()


def test_cannibalisation_by_hand() -> None:
    # seen 0.5, 0.4, 0.2; each action halves what is left
    chances = PositionBased((1.0, 0.8, 0.4), 0.5).chances(np.array([0.5, 0.5, 0.5]))
    second = 0.4 * (0.5 + 0.5 * 0.5)
    neither, one, both = 0.5 * 0.6, 0.5 * 0.4 + 0.5 * 0.8, 0.5 * 0.2
    assert chances == pytest.approx([0.5, second, 0.2 * (neither + one / 2 + both / 4)])


def test_cascade_by_hand() -> None:
    chances = Cascade(stop=0.5, patience=0.8).chances(np.array([0.5, 0.4, 1.0]))
    read = [1.0, 0.8 * 0.75, 0.8 * 0.75 * 0.8 * 0.8]
    assert chances == pytest.approx([0.5 * read[0], 0.4 * read[1], read[2]])


@given(appeals)
def test_paper_cascade_acts_at_most_once(appeal: np.ndarray) -> None:
    assert Cascade().chances(appeal).sum() == pytest.approx(1 - np.prod(1 - appeal))
    acted = Cascade().act(np.tile(appeal, (50, 1)), np.random.default_rng(0))
    assert acted.sum(axis=1).max() <= 1


@given(appeals, st.floats(0.0, 1.0))
def test_cannibalisation_is_the_sum_over_what_may_happen(appeal: np.ndarray, by: float) -> None:
    theta = (1.0, 0.6, 0.4)
    expected = np.zeros(3)
    for outcome in product((0, 1), repeat=3):
        so_far = np.concatenate([[0], np.cumsum(outcome)[:-1]])
        chance = appeal * theta * (1 - by) ** so_far
        expected += np.prod(np.where(outcome, chance, 1 - chance)) * np.array(outcome)
    assert PositionBased(theta, by).chances(appeal) == pytest.approx(expected)


@given(appeals)
def test_the_first_pin_is_alone_whatever_the_model(appeal: np.ndarray) -> None:
    for model in MODELS:
        assert model.chances(appeal)[0] == appeal[0]


def test_pages_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="3 positions, not 2"):
        PositionBased((1.0, 0.6, 0.4)).chances(np.array([0.1, 0.2]))
