"""Small Related Pins worlds: users, query pins, candidates, and what every order of them is worth.

A candidate's relevance is its base relevance, plus the object effect where it shows the object that
the query pin is about. The control orders candidates by a whole-image score that sees the base with
noise; the treatment's score sees the object as well. Values are exact, not simulated.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import roots_jacobi

from experiments.estimators.rankings import Ints, Reals
from experiments.proof.clicks import ClickModel, PositionBased

CONTROL, TREATMENT = "control", "treatment"
POSITION_BASED = PositionBased((1.0, 0.6, 0.4))


@dataclass(frozen=True)
class Settings:
    """What a world is drawn from.

    clicks: the click model; n_queries, n_candidates (of each query), n_positions (of a page).
    base: lowest and highest base relevance; object_effect: added to it for a matching object, any
    size; object_share: part of the candidates that have one. noise: standard deviation of the
    whole-image score around base relevance; boost: what the treatment adds to the score of a
    matching object, whether or not people care. taste: coefficient of variation, below 1, of how
    prone users are to act; activity: standard deviation of the logarithm of how often they come.
    n_days: days of the log; novelty: part of the object effect that wears off; half_life: days in
    which half of that part has gone. mirrored: the second half of the queries repeats the first
    with the two orders exchanged, so that both arms are worth exactly the same.
    """

    clicks: ClickModel = POSITION_BASED
    n_queries: int = 20
    n_candidates: int = 6
    n_positions: int = 3
    base: tuple[float, float] = (0.05, 0.3)
    object_effect: float = 0.1
    object_share: float = 0.4
    noise: float = 0.08
    boost: float = 0.1
    taste: float = 0.5
    activity: float = 1.0
    n_days: int = 1
    novelty: float = 0.0
    half_life: float = 2.0
    mirrored: bool = False

    def __post_init__(self) -> None:
        ends = [b + e for b in self.base for e in (0.0, self.object_effect)]
        if min(ends) < 0 or max(ends) > 0.5:
            raise ValueError(f"Keep relevance between 0 and 0.5; these settings reach {ends}.")
        if not 0 <= self.taste < 1:
            raise ValueError(f"Give taste as a coefficient of variation below 1, not {self.taste}.")
        if self.mirrored and self.n_queries % 2:
            raise ValueError("Give a mirrored world an even number of queries.")
        if self.n_positions > self.n_candidates:
            raise ValueError("Give at least as many candidates as positions.")

    def wear(self, day: Reals | Ints) -> Reals:
        """Returns the part of the object effect that is left on a day, from 0; (...) float64.

        >>> Settings(novelty=0.5, half_life=1.0).wear(np.array([0, 1, 2])).tolist()
        [1.0, 0.75, 0.625]
        """
        decay = np.exp2(-np.asarray(day, dtype=np.float64) / self.half_life)
        return np.asarray(1.0 - self.novelty * (1.0 - decay))


@dataclass(frozen=True)
class World:
    """One world. base (Q, C); matches (Q, C), 1 where the candidate shows the object, else 0;
    scores (Q, C): the control's; orders: for each arm (Q, C), candidates from best to worst."""

    settings: Settings
    base: Reals
    matches: Reals
    scores: Reals
    orders: Mapping[str, Ints]

    def relevance(self, wear: float | Reals = 1.0) -> Reals:
        """Returns the probability of an action, once looked at, at average taste; (Q, C)."""
        return self.base + wear * self.settings.object_effect * self.matches

    def ranks(self, arm: str) -> Ints:
        """Returns the place from 1 that the arm gives each candidate, (Q, C)."""
        return np.argsort(self.orders[arm], axis=1) + 1

    def value(self, arm: str, day: float | None = None) -> float:
        """Returns the arm's exact actions per request: of one day, of them all where it is None.

        day inf is what is left once novelty has worn off. An expectation over queries, and over
        taste, in which a page's chances are a polynomial of degree K or less: Gauss-Jacobi
        quadrature with K // 2 + 1 nodes is exact.
        """
        n_positions = self.settings.n_positions
        shown = self.orders[arm][:, :n_positions]
        nodes, share = tastes(self.settings.taste, n_positions // 2 + 1)
        days = np.arange(self.settings.n_days) if day is None else np.array([day])
        values = []
        for wear in self.settings.wear(days):
            appeal = np.take_along_axis(self.relevance(wear), shown, axis=1)
            chances = self.settings.clicks.chances(nodes[:, None, None] * appeal)
            values.append(share @ chances.sum(axis=2).mean(axis=1))
        return float(np.mean(values))

    def lift(self, day: float | None = None) -> float:
        """Returns the treatment's exact lift over the control (see value)."""
        return self.value(TREATMENT, day) / self.value(CONTROL, day) - 1


def draw_world(settings: Settings, rng: np.random.Generator) -> World:
    """Returns a world drawn from the settings."""
    halves = 2 if settings.mirrored else 1
    shape = settings.n_queries // halves, settings.n_candidates
    base = rng.uniform(*settings.base, shape)
    matches = (rng.random(shape) < settings.object_share).astype(np.float64)
    scores = base + rng.normal(0.0, settings.noise, shape)
    control = np.argsort(-scores, axis=1)
    treatment = np.argsort(-(scores + settings.boost * matches), axis=1)
    orders = {
        CONTROL: np.concatenate([control, treatment][:halves]),
        TREATMENT: np.concatenate([treatment, control][:halves]),
    }
    base, matches, scores = (np.concatenate([x] * halves) for x in (base, matches, scores))
    return World(settings, base, matches, scores, orders)


def tastes(variation: float, n_nodes: int) -> tuple[Reals, Reals]:
    """Returns nodes and weights, (n_nodes,) each, of the distribution of users' taste.

    Taste is 2 Beta(a, a): mean 1, between 0 and 2, coefficient of variation 1 / sqrt(2 a + 1).

    >>> nodes, weights = tastes(0.5, 3)
    >>> [round(float(weights @ nodes**power), 3) for power in (0, 1, 2)]
    [1.0, 1.0, 1.25]
    """
    if not variation:
        return np.ones(1), np.ones(1)
    a = (1 / variation**2 - 1) / 2
    nodes, weights = roots_jacobi(n_nodes, a - 1, a - 1)
    return 1.0 + nodes, weights / weights.sum()


@dataclass(frozen=True)
class Users:
    """taste (U,): how prone each user is to act, mean 1; activity (U,): how often they come."""

    taste: Reals
    activity: Reals

    def requests(self, n_requests: int, rng: np.random.Generator) -> Ints:
        """Returns who makes each request, (n_requests,) in order of user: u with share
        activity[u]."""
        n_each = rng.multinomial(n_requests, self.activity / self.activity.sum())
        return np.repeat(np.arange(len(n_each)), n_each)


def draw_users(settings: Settings, n_users: int, rng: np.random.Generator) -> Users:
    """Returns users drawn from the settings: taste 2 Beta(a, a), activity log-normal."""
    activity = rng.lognormal(0.0, settings.activity, n_users)
    if not settings.taste:
        return Users(np.ones(n_users), activity)
    a = (1 / settings.taste**2 - 1) / 2
    return Users(2.0 * rng.beta(a, a, n_users), activity)
