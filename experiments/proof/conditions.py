"""The kinds of worlds that the calibration draws, and what an estimator found in one of them."""

from dataclasses import dataclass
from math import nan
from zlib import crc32

import numpy as np

from experiments.proof.clicks import Cascade, PositionBased
from experiments.proof.worlds import (
    POSITION_BASED,
    Settings,
    Users,
    World,
    draw_users,
    draw_world,
)
from experiments.statistics.bootstrap import Lift
from experiments.statistics.comparison import Comparison

PLAIN = Settings()
REQUESTS_PER_USER = 5


@dataclass(frozen=True)
class Condition:
    """A kind of world. sharpness: of the logging policy, 0 for random order; requests_per_user:
    on average."""

    settings: Settings = PLAIN
    sharpness: float = 0.0
    requests_per_user: float = REQUESTS_PER_USER


CASCADE = Settings(clicks=Cascade(stop=0.9, patience=0.8))
CANNIBALISATION = Settings(clicks=PositionBased(POSITION_BASED.examination, 0.7))
CONDITIONS = {
    "position-based": Condition(),
    "cascade": Condition(CASCADE),
    "cannibalisation": Condition(CANNIBALISATION),
    "sharp logging": Condition(sharpness=2.0),
    "no lift": Condition(Settings(mirrored=True)),
    "large lift": Condition(Settings(object_effect=0.2, boost=0.2)),
    "40 users": Condition(requests_per_user=50.0),
    "40 equal users": Condition(Settings(activity=0.0), requests_per_user=50.0),
    "very unequal users": Condition(Settings(activity=2.0, taste=0.8)),
    "rare actions": Condition(Settings(base=(0.003, 0.03), object_effect=0.01, noise=0.008)),
    "novelty": Condition(Settings(n_days=8, novelty=0.9, half_life=1.5)),
}


@dataclass(frozen=True)
class Outcome:
    """What one estimator found in one world. quantity: what truth, value, low and high are of;
    what the estimator does not say is NaN."""

    study: str
    world: str
    estimator: str
    quantity: str
    n_requests: int
    seed: int
    truth: float
    value: float
    low: float = nan
    high: float = nan
    p_value: float = nan
    effective_sample_size: float = nan


@dataclass(frozen=True)
class Task:
    """One drawn world of a study; the same task always finds the same."""

    study: str
    world: str
    n_requests: int
    seed: int

    @property
    def condition(self) -> Condition:
        return CONDITIONS[self.world]

    def rng(self) -> np.random.Generator:
        names = (crc32(name.encode()) for name in (self.study, self.world))
        return np.random.default_rng((*names, self.n_requests, self.seed))

    def draw(self) -> tuple[World, Users, np.random.Generator]:
        """Returns the world, its users, and what draws the rest."""
        rng, condition = self.rng(), self.condition
        n_users = max(2, round(self.n_requests / condition.requests_per_user))
        return (
            draw_world(condition.settings, rng),
            draw_users(condition.settings, n_users, rng),
            rng,
        )

    def found(
        self,
        estimator: str,
        quantity: str,
        truth: float,
        value: float,
        interval: tuple[float, float] = (nan, nan),
        p_value: float = nan,
        effective_sample_size: float = nan,
    ) -> Outcome:
        """Returns the Outcome of an estimator on this task."""
        place = self.study, self.world, estimator, quantity, self.n_requests, self.seed
        return Outcome(*place, truth, value, *interval, p_value, effective_sample_size)

    def of_lift(
        self, estimator: str, truth: float, found: Lift | Comparison, quantity: str = "lift"
    ) -> Outcome:
        """Returns the Outcome of a lift with its interval and p-value."""
        if isinstance(found, Lift):
            ends = found.low, found.high
        else:
            ends = found.lift_low, found.lift_high
        return self.found(estimator, quantity, truth, found.lift, ends, found.p_value)
