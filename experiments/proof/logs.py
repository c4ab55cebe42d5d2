"""What a world's log holds under a logging policy, in the shapes that the estimators read."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.estimators.rankings import Bools, Ints, Reals, Sample
from experiments.proof import plackett_luce
from experiments.proof.worlds import CONTROL, TREATMENT, Users, World


@dataclass(frozen=True)
class Log:
    """R requests and the K candidates shown on each.

    user (R,), query (R,), day (R,) from 0; shown (R, K): candidates' columns, from position 1 down;
    acted (R, K); marginal (R, K): probability that the policy shows the candidate at its position;
    conditional (R, K): the same given the candidates above it.
    """

    world: World
    user: Ints
    query: Ints
    day: Ints
    shown: Ints
    acted: Bools
    marginal: Reals
    conditional: Reals

    def places(self, arm: str) -> Ints:
        """Returns the place from 1 that the arm gives each shown candidate, (R, K)."""
        return np.take_along_axis(self.world.ranks(arm)[self.query], self.shown, axis=1)

    def sample(self, arms: Sequence[str] = (CONTROL, TREATMENT)) -> Sample:
        """Returns the log as a Sample, users numbered anew."""
        n_requests, n_positions = self.shown.shape
        _, user = np.unique(self.user, return_inverse=True)
        return Sample(
            user=user.astype(np.int64),
            page=np.full(n_requests, n_positions),
            request=np.repeat(np.arange(n_requests), n_positions),
            position=np.tile(np.arange(1, n_positions + 1), n_requests),
            propensity=self.marginal.ravel(),
            actions=self.acted.reshape(-1, 1).astype(np.float64),
            ranks={arm: self.places(arm).ravel() for arm in arms},
        )

    def target(self, arm: str) -> Reals:
        """Returns 1 where the arm would show the candidate at its position, else 0; (R, K).

        The arm's order is fixed, so this is its probability of the candidate, marginal and, where
        the candidates above are the arm's, conditional.
        """
        here = np.arange(1, self.shown.shape[1] + 1)
        return np.asarray(self.places(arm) == here, dtype=np.float64)


def draw_log(
    world: World, users: Users, n_requests: int, sharpness: float, rng: np.random.Generator
) -> Log:
    """Returns a log of requests for uniformly drawn queries on uniformly drawn days.

    The policy is Plackett-Luce over the control's scores; sharpness 0 is random order.
    """
    n_queries, n_positions = world.settings.n_queries, world.settings.n_positions
    user = users.requests(n_requests, rng)
    query = rng.integers(n_queries, size=n_requests)
    day = rng.integers(world.settings.n_days, size=n_requests)
    weights = plackett_luce.weights(world.scores, sharpness)
    shown = plackett_luce.pages(weights[query], n_positions, rng)
    chance = plackett_luce.marginal(weights, n_positions)
    return Log(
        world, user, query, day, shown,
        act(world, users.taste[user], query, day, shown, rng),
        chance[query[:, None], shown, np.arange(n_positions)],
        plackett_luce.conditional(weights[query], shown),
    )  # fmt: skip


def act(
    world: World, taste: Reals, query: Ints, day: Ints, shown: Ints, rng: np.random.Generator
) -> Bools:
    """Returns what people of this taste (R,) do on the pages shown (R, K), (R, K) bool."""
    wear = world.settings.wear(day)[:, None]
    effect = world.settings.object_effect * world.matches[query[:, None], shown]
    appeal = world.base[query[:, None], shown] + wear * effect
    return world.settings.clicks.act(taste[:, None] * appeal, rng)
