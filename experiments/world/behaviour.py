"""People of the simulated world: what they wish for, what they look at and what they do.

A person opens the Related Pins page of a query pin because of one of its objects. They examine
a position with a probability that decays (the position-based model, Craswell et al. 2008,
https://doi.org/10.1145/1341531.1341545) and act on what they examine: closeup, then perhaps
click, long_click or save; or hide. Each step is a logistic model whose strongest term is how
well the candidate's best object fits the wanted one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.world.appearance import CATEGORIES
from experiments.world.pins import Corpus

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

PLATFORMS = ("ios", "web")
ACTIONS = ("closeup", "click", "long_click", "save", "hide")
_BASE = {"closeup": -1.25, "click": -1.2, "long_click": 0.1, "save": -2.1, "hide": -4.4}
_OBJECT = {"closeup": 1.8, "click": 1.5, "long_click": 0.8, "save": 2.6, "hide": -1.5}
_SCENE = {"closeup": 0.35, "click": 0.15, "long_click": 0.0, "save": 0.1, "hide": -0.2}
_QUALITY = {"closeup": 0.25, "click": 0.2, "long_click": 0.15, "save": 0.25, "hide": -0.3}
_IOS = {"closeup": 0.15, "click": -0.1, "long_click": 0.0, "save": 0.2, "hide": 0.0}


@dataclass(frozen=True)
class Effects:
    """What moves people. Effects multiply log-odds: 0 switches one off, 1 is its usual size.

    `decay` is the exponent d of examination, position ** -d, per platform. `novelty` is the
    extra log-odds of a closeup on a pin's first day, fading by a factor e every three days.
    """

    object_effect: float = 1.0
    scene_effect: float = 1.0
    taste_effect: float = 1.0
    novelty: float = 0.6
    decay: tuple[tuple[str, float], ...] = (("ios", 0.8), ("web", 0.6))


@dataclass(frozen=True)
class People:
    """U users: share of all requests (U,), platform number, taste per category (U, 22), mood."""

    activity: Floats
    platform: Ints
    taste: Floats
    mood: Floats


@dataclass(frozen=True)
class Visits:
    """R requests: user, query pin, day of the log, second of the day, policy, wanted object."""

    user: Ints
    query: Ints
    day: Ints
    second: Ints
    randomised: NDArray[np.bool_]
    wish: Ints


def draw_people(users: int, rng: np.random.Generator) -> People:
    """Returns users whose activity is heavy-tailed (log-normal)."""
    activity = rng.lognormal(0, 1.3, users)
    taste = rng.normal(0, 0.6, (users, len(CATEGORIES)))
    platform = (rng.random(users) < 0.45).astype(np.int64)
    return People(activity / activity.sum(), platform, taste, rng.normal(0, 0.5, users))


def draw_visits(
    corpus: Corpus,
    people: People,
    requests: int,
    days: int,
    random_share: float,
    rng: np.random.Generator,
) -> Visits:
    """Returns requests in order of time; query pins differ in popularity, evenings are busy."""
    user = rng.choice(len(people.activity), requests, p=people.activity)
    popularity = rng.permutation(1 / np.arange(8, 8 + len(corpus.queries)) ** 0.8)
    query = rng.choice(len(corpus.queries), requests, p=popularity / popularity.sum())
    weekly = 1 + 0.18 * np.cos(2 * np.pi * (np.arange(days) - 6) / 7)
    day = rng.choice(days, requests, p=weekly / weekly.sum())
    hours = np.where(rng.random(requests) < 0.6, 20.0, 12.5) + rng.normal(0, 2.8, requests)
    second = (hours % 23.7 * 3600).astype(np.int64)
    order = np.lexsort((second, day))
    user, query, day, second = user[order], query[order], day[order], second[order]
    randomised = rng.random(requests) < random_share
    wish = draw_wishes(corpus, people, user, query, rng)
    return Visits(user, query, day, second, randomised, wish)


def draw_wishes(
    corpus: Corpus, people: People, user: Ints, query: Ints, rng: np.random.Generator
) -> Ints:
    """Returns the number of the object of the query pin each user wants, (R,)."""
    objects = corpus.match.shape[1]
    weight = np.full((len(corpus.queries), objects), -np.inf)
    category = np.zeros((len(corpus.queries), objects), np.int64)
    for q, pin in enumerate(corpus.pins[i] for i in corpus.queries):
        weight[q, : len(pin.looks)] = np.log(pin.wanted)
        category[q, : len(pin.looks)] = [CATEGORIES.index(look.category) for look in pin.looks]
    utility = weight[query] + people.taste[user[:, None], category[query]]
    return np.asarray((utility + rng.gumbel(size=utility.shape)).argmax(1))


def examination(effects: Effects, positions: int) -> Floats:
    """Returns the probability that a position is examined, (platforms, positions), 1 at the top.

    >>> examination(Effects(decay=(("ios", 1.0), ("web", 0.0))), 2).tolist()
    [[1.0, 0.5], [1.0, 1.0]]
    """
    decay = dict(effects.decay)
    place = np.arange(1, positions + 1)
    return np.stack([place ** -decay[platform] for platform in PLATFORMS])


def quality(corpus: Corpus, rng: np.random.Generator) -> Floats:
    """Returns how appealing each pin is by itself, (P,), standard normal."""
    return rng.standard_normal(len(corpus.pins))


def step_probabilities(
    corpus: Corpus,
    people: People,
    visits: Visits,
    columns: Ints,
    appeal: Floats,
    effects: Effects,
) -> dict[str, Floats]:
    """Returns, for examined candidates, the probability of each step given the one before it.

    `columns` (R, K) are places among the query's candidates, `appeal` (P,) the pins' quality.
    closeup is given examination; click and save given a closeup; long_click given a click; hide
    given no closeup. Each is (R, K).
    """
    query, user = visits.query[:, None], visits.user[:, None]
    pin = corpus.candidates[query, columns]
    match = corpus.match[query, visits.wish[:, None], columns]
    alike = corpus.alike[query, columns]
    main = np.array([CATEGORIES.index(p.looks[0].category) for p in corpus.pins])
    created = np.array([p.created_day for p in corpus.pins])
    age = np.maximum(visits.day[:, None] - created[pin], 0)
    fresh = effects.novelty * np.exp(-age / 3) * (created[pin] >= 0)
    person = people.mood[user] + 0.4 * effects.taste_effect * people.taste[user, main[pin]]
    ios = people.platform[user] == 0
    steps = {}
    for action in ACTIONS:
        logit = _BASE[action] + _QUALITY[action] * appeal[pin] + _IOS[action] * ios
        logit = logit + effects.object_effect * _OBJECT[action] * match
        logit = logit + effects.scene_effect * _SCENE[action] * alike
        logit = logit + (0.6 * person if action != "hide" else 0.0)
        steps[action] = 1 / (1 + np.exp(-(logit + fresh * (action == "closeup"))))
    return steps


def action_probabilities(steps: dict[str, Floats]) -> dict[str, Floats]:
    """Returns the probability of each action given examination, from the steps."""
    closeup, click = steps["closeup"], steps["closeup"] * steps["click"]
    return {
        "closeup": closeup,
        "click": click,
        "long_click": click * steps["long_click"],
        "save": closeup * steps["save"],
        "hide": (1 - closeup) * steps["hide"],
    }


def act(
    steps: dict[str, Floats], examined: NDArray[np.bool_], rng: np.random.Generator
) -> dict[str, NDArray[np.bool_]]:
    """Returns who did what, (R, K) per action."""
    luck = {action: rng.random(examined.shape) < steps[action] for action in ACTIONS}
    closeup = examined & luck["closeup"]
    click = closeup & luck["click"]
    return {
        "closeup": closeup,
        "click": click,
        "long_click": click & luck["long_click"],
        "save": closeup & luck["save"],
        "hide": examined & ~closeup & luck["hide"],
    }
