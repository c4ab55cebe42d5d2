"""Worlds of every kind that the calibration uses."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.proof.clicks import Cascade, ClickModel, PositionBased
from experiments.proof.worlds import Settings, Users, World, draw_users, draw_world

CLICKS: dict[str, ClickModel] = {
    "position-based": PositionBased((1.0, 0.6, 0.4)),
    "cannibalisation": PositionBased((1.0, 0.6, 0.4), cannibalisation=0.8),
    "cascade": Cascade(stop=0.9, patience=0.8),
}


@pytest.fixture(params=CLICKS)
def world(request: pytest.FixtureRequest) -> World:
    settings = Settings(clicks=CLICKS[request.param], n_days=3, novelty=0.6)
    return draw_world(settings, np.random.default_rng(0))


@pytest.fixture
def mirrored(world: World) -> World:
    return draw_world(replace(world.settings, mirrored=True), np.random.default_rng(1))


@pytest.fixture
def crowd(world: World) -> Users:
    """So many users that what they are like on average is what they are drawn from."""
    return draw_users(replace(world.settings, activity=0.3), 200_000, np.random.default_rng(2))
