"""Small position-based worlds whose truth is known."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from experiments.estimators.rankings import Sample

THETA = np.array([1.0, 0.7, 0.45, 0.3])


@dataclass(frozen=True)
class PositionBasedWorld:
    """Q query pins with M candidates each: attraction (Q, M, A); a request shows 4 of them.

    `clutter` adds an interaction of candidate and position that the position-based model denies.
    """

    attraction: np.ndarray
    ranks: dict[str, np.ndarray]
    clutter: float = 0.0

    def rates(self) -> np.ndarray:
        """Action rate of every candidate at every position, (Q, M, K, A)."""
        rates = self.attraction[:, :, None, :] * THETA[None, None, :, None]
        odd = np.arange(self.attraction.shape[1]) % 2
        tilt = 1 + self.clutter * np.where(odd[:, None], -1, 1) * np.linspace(1, -1, len(THETA))
        return rates * tilt[None, :, :, None]

    def truth(self, arm: str) -> np.ndarray:
        """Actions per request of the arm, (A,)."""
        rates = self.rates()
        total = 0.0
        for query, rank in enumerate(self.ranks[arm]):
            order = np.argsort(rank)[: len(THETA)]
            total = total + rates[query, order, np.arange(len(THETA))].sum(axis=0)
        return total / len(rates)

    def sample(self, rng: np.random.Generator, n_requests: int, n_users: int) -> Sample:
        n_queries, n_candidates, _ = self.attraction.shape
        n_positions = len(THETA)
        user = rng.integers(n_users, size=n_requests)
        taste = rng.uniform(0.6, 1.4, n_users)  # users differ, so a user's requests are alike
        query = rng.integers(n_queries, size=n_requests)
        shown = rng.permuted(np.tile(np.arange(n_candidates), (n_requests, 1)), axis=1)
        shown = shown[:, :n_positions]
        examined = rng.random((n_requests, n_positions)) < THETA
        rates = self.rates()[query[:, None], shown, np.arange(n_positions)] / THETA[:, None]
        actions = rng.random(rates.shape) < rates * taste[user][:, None, None]
        actions &= examined[..., None]
        _, user = np.unique(user, return_inverse=True)
        return Sample(
            user=user,
            page=np.full(n_requests, n_positions),
            request=np.repeat(np.arange(n_requests), n_positions),
            position=np.tile(np.arange(1, n_positions + 1), n_requests),
            propensity=np.full(n_requests * n_positions, 1 / n_candidates),
            actions=actions.reshape(-1, actions.shape[-1]).astype(float),
            ranks={arm: r[query[:, None], shown].ravel() for arm, r in self.ranks.items()},
        )


@pytest.fixture(scope="session")
def world() -> Callable[..., PositionBasedWorld]:
    """Makes a world of 6 queries with 10 candidates: arms `random` and `better`."""

    def make(seed: int = 0, spread: float = 0.2, clutter: float = 0.0) -> PositionBasedWorld:
        rng = np.random.default_rng(seed)
        attraction = rng.uniform(0.25 - spread, 0.25 + spread, (6, 10, 2))
        attraction = attraction * [1.0, 0.5]
        plain = rng.permuted(np.tile(np.arange(1, 11), (6, 1)), axis=1)
        noisy = attraction[..., 0] + rng.normal(0, 0.15, (6, 10))
        better = np.argsort(np.argsort(-noisy, axis=1), axis=1) + 1
        return PositionBasedWorld(attraction, {"random": plain, "better": better}, clutter)

    return make


@pytest.fixture(scope="session")
def theta() -> np.ndarray:
    return THETA
