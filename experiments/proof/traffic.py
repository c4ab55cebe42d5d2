"""Live tests in a world: users split between arms, or both rankings on every page."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.estimators.rankings import Ints, Reals
from experiments.interleaving import credit, team_draft
from experiments.proof.logs import act
from experiments.proof.worlds import CONTROL, TREATMENT, Users, World


@dataclass(frozen=True)
class UserSums:
    """Per user of a live test: arm (U,), number of the arm that served them; actions (U,) and
    requests (U,) of the test; earlier_actions (U,) and earlier_requests (U,) of the days before,
    when everybody got the control. Users without a request in the test are left out."""

    arm: Ints
    actions: Reals
    requests: Reals
    earlier_actions: Reals
    earlier_requests: Reals

    def of(self, arm: int) -> Reals:
        """Returns actions, requests, earlier actions and earlier requests of an arm, (U, 4)."""
        columns = (self.actions, self.requests, self.earlier_actions, self.earlier_requests)
        return np.asarray(np.stack(columns, axis=1)[self.arm == arm])


def split(
    world: World,
    users: Users,
    n_requests: int,
    rng: np.random.Generator,
    arms: Sequence[str] = (CONTROL, TREATMENT),
    shares: Sequence[float] = (0.5, 0.5),
) -> UserSums:
    """Returns an A/B test: each user is served by one arm, drawn with the shares, throughout.

    Shares other than those stated to a sample-ratio check plant a mismatch. As many requests again
    come before the test.
    """
    n_users = len(users.taste)
    arm = rng.choice(len(arms), size=n_users, p=shares)
    serving = np.stack([world.orders[name] for name in arms])
    before, during = users.requests(n_requests, rng), users.requests(n_requests, rng)
    control = np.stack([world.orders[CONTROL]])
    earlier = _actions(world, users, before, control, np.zeros(n_requests, np.int64), rng)
    now = _actions(world, users, during, serving, arm[during], rng)
    weights = [(during, now), (during, None), (before, earlier), (before, None)]
    sums = np.stack([np.bincount(who, n, n_users) for who, n in weights]).astype(np.float64)
    came = sums[1] > 0
    return UserSums(arm[came], *sums[:, came])


def interleaved(
    world: World, users: Users, n_requests: int, rng: np.random.Generator
) -> tuple[Reals, Ints]:
    """Returns (credit, user), (R,) each, of requests that show both arms' pins by team-draft."""
    user = users.requests(n_requests, rng)
    query, day = _visits(world, n_requests, rng)
    top = slice(world.settings.n_positions)
    first, second = (world.orders[arm][query, top] for arm in (CONTROL, TREATMENT))
    shown, team = team_draft(first, second, rng)
    return credit(act(world, users.taste[user], query, day, shown, rng), team), user


def _visits(world: World, n_requests: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    query = rng.integers(world.settings.n_queries, size=n_requests)
    return query, rng.integers(world.settings.n_days, size=n_requests)


def _actions(
    world: World, users: Users, user: Ints, orders: Ints, arm: Ints, rng: np.random.Generator
) -> Ints:
    """Actions on each request (R,), served by orders (A, Q, C) of its arm (R,)."""
    query, day = _visits(world, len(user), rng)
    shown = orders[arm, query, : world.settings.n_positions]
    acted = act(world, users.taste[user], query, day, shown, rng)
    total: Ints = acted.sum(axis=1)
    return total
