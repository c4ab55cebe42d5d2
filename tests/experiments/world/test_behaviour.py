import numpy as np
import pytest
import statsmodels.api as sm

from experiments.world import behaviour
from experiments.world.behaviour import Effects
from experiments.world.pins import fit, plan_corpus
from experiments.world.sample import POSITIONS, draw_world, show_pages


def live(effects, seed=11):
    """A world whose requests are all in random order, with what was shown and done."""
    world = draw_world(seed=seed, pins=160, requests=12_000, random_share=1.0, effects=effects)
    rng = np.random.default_rng(seed)
    shown = show_pages(world, rng)
    steps = behaviour.step_probabilities(
        world.corpus, world.people, world.visits, shown.columns, world.appeal, world.effects
    )
    theta = behaviour.examination(world.effects, POSITIONS)
    theta = theta[world.people.platform[world.visits.user]]
    acted = behaviour.act(steps, rng.random(theta.shape) < theta, rng)
    return world, shown, steps, theta, acted


@pytest.fixture(scope="module")
def planted():
    return live(Effects())


@pytest.fixture(scope="module")
def null():
    return live(Effects(object_effect=0))


def match_z(case, action):
    """The z value of the wanted object in a logistic regression on what people did."""
    world, shown, _, theta, acted = case
    rows = world.visits.query[:, None], world.visits.wish[:, None], shown.columns
    match = world.corpus.match[rows].ravel()
    alike = world.corpus.alike[world.visits.query[:, None], shown.columns].ravel()
    design = sm.add_constant(np.column_stack([match, alike, np.log(theta.ravel())]))
    fitted = sm.GLM(acted[action].ravel(), design, family=sm.families.Binomial()).fit()
    return fitted.tvalues[1]


@pytest.mark.parametrize("action", ["closeup", "click", "save"])
def test_the_wanted_object_moves_people_where_planted_and_not_where_null(planted, null, action):
    assert match_z(planted, action) > 10
    assert abs(match_z(null, action)) < 3


def test_in_a_null_world_the_wish_changes_no_probability(null):
    world, shown, steps, _, _ = null
    looks = np.array([len(world.corpus.pins[i].looks) for i in world.corpus.queries])
    visits = behaviour.Visits(**{**vars(world.visits), "wish": looks[world.visits.query] - 1})
    other = behaviour.step_probabilities(
        world.corpus, world.people, visits, shown.columns, world.appeal, world.effects
    )
    for action, value in steps.items():
        np.testing.assert_array_equal(other[action], value)


def test_people_examine_less_further_down_as_the_decay_says(planted):
    world, _, _, theta, acted = planted
    for platform in (0, 1):
        rows = world.people.platform[world.visits.user] == platform
        rate = acted["closeup"][rows].mean(0)
        error = np.sqrt(rate * (1 - rate) / rows.sum())
        # the order is random: what is shown is equally good at every position
        flat = rate / theta[rows][0]
        assert (np.abs(flat - flat.mean()) < 4 * error / theta[rows][0]).all()
        assert rate[0] > 2 * rate[-1]


def test_people_act_as_often_as_the_model_says(planted):
    _, _, steps, theta, acted = planted
    for action, probability in behaviour.action_probabilities(steps).items():
        p = probability * theta
        error = np.sqrt((p * (1 - p)).sum())
        assert abs(acted[action].sum() - p.sum()) < 4 * error


def test_actions_follow_the_funnel(planted):
    *_, acted = planted
    assert (acted["click"] <= acted["closeup"]).all()
    assert (acted["long_click"] <= acted["click"]).all()
    assert (acted["save"] <= acted["closeup"]).all()
    assert not (acted["hide"] & acted["closeup"]).any()


def test_some_people_are_far_more_active_than_most(planted):
    world = planted[0]
    count = np.bincount(world.visits.user)
    assert np.sort(count)[::-1][: len(count) // 10].sum() > 0.35 * count.sum()


def test_candidates_hold_lookalikes_without_the_object_and_matches_without_the_look():
    corpus = plan_corpus(200, np.random.default_rng(2))
    there = corpus.candidates >= 0
    best = corpus.match.max(1)
    assert ((corpus.alike == 1) & (best < 1) & there).sum(1).mean() > 3
    assert ((corpus.alike == 0) & (best == 1) & there).sum(1).mean() > 3
    assert (there.sum(1) >= 24).all()
    assert (there.sum(1) <= 32).all()
    for q, number in enumerate(corpus.queries):
        chosen = corpus.candidates[q][there[q]]
        assert number not in chosen
        assert len(set(chosen.tolist())) == len(chosen)
        assert {corpus.pins[i].is_room for i in chosen} == {corpus.pins[number].is_room}


def test_fit_is_whole_for_category_and_colour_and_part_for_category():
    corpus = plan_corpus(100, np.random.default_rng(0))
    for pin in corpus.pins:
        assert all(fit(look, pin) == 1 for look in pin.looks)
    with pytest.raises(ValueError, match="at least 100 pins"):
        plan_corpus(20, np.random.default_rng(0))
