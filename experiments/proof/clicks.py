"""How a person acts on a page, and with what probability exactly.

`appeal` (..., K) is the probability, 0 to 1, of an action on each pin of a page once it is looked
at, from position 1 down. Every model answers two questions about it: `chances`, the exact
probability of an action at each position, and `act`, one draw of the page.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from experiments.estimators.rankings import Bools, Reals


class ClickModel(Protocol):
    """What a person does on a page."""

    def chances(self, appeal: Reals) -> Reals:
        """Returns the exact probability of an action at each position, (..., K) float64."""

    def act(self, appeal: Reals, rng: np.random.Generator) -> Bools:
        """Returns one draw of the actions, (..., K) bool."""


@dataclass(frozen=True)
class PositionBased:
    """Position k is looked at with probability examination[k - 1], whatever the pins.

    cannibalisation: part, 0 to 1, of the probability of every further action that each action on
    the page takes away. At 0 this is the position-based model (Craswell, Zoeter, Taylor, Ramsey: An
    Experimental Comparison of Click Position-Bias Models, WSDM 2008); above 0, what a pin gets
    depends on the pins above it.

    >>> PositionBased((1.0, 0.5), cannibalisation=0.5).chances(np.array([0.4, 0.4])).tolist()
    [0.4, 0.16]
    """

    examination: tuple[float, ...]
    cannibalisation: float = 0.0

    def chances(self, appeal: Reals) -> Reals:
        """Exact, by the probability of n actions so far, n = 0..K - 1."""
        seen = self._seen(appeal)
        n_positions = seen.shape[-1]
        left = (1.0 - self.cannibalisation) ** np.arange(n_positions + 1)
        so_far = np.zeros((*seen.shape[:-1], n_positions + 1))
        so_far[..., 0] = 1.0
        found = np.empty_like(seen)
        for k in range(n_positions):
            acted = so_far * left * seen[..., k, None]
            found[..., k] = acted.sum(axis=-1)
            so_far = so_far - acted
            so_far[..., 1:] += acted[..., :-1]
        return found

    def act(self, appeal: Reals, rng: np.random.Generator) -> Bools:
        seen = self._seen(appeal)
        drawn = rng.random(seen.shape)
        acted = np.zeros(seen.shape, dtype=np.bool_)
        for k in range(seen.shape[-1]):
            left = (1.0 - self.cannibalisation) ** acted[..., :k].sum(axis=-1)
            acted[..., k] = drawn[..., k] < left * seen[..., k]
        return acted

    def _seen(self, appeal: Reals) -> Reals:
        if appeal.shape[-1] != len(self.examination):
            raise ValueError(
                f"Give pages of {len(self.examination)} positions, not {appeal.shape[-1]}."
            )
        return np.asarray(appeal * np.array(self.examination))


@dataclass(frozen=True)
class Cascade:
    """The page is read from the top (cascade model, Craswell et al., WSDM 2008).

    stop: probability of leaving after an action (1 in the paper); patience: probability of reading
    on otherwise, 1 in the paper.

    >>> Cascade().chances(np.array([0.4, 0.5])).tolist()
    [0.4, 0.3]
    """

    stop: float = 1.0
    patience: float = 1.0

    def chances(self, appeal: Reals) -> Reals:
        """Exact: position k + 1 is read if k was, by patience * (1 - stop * appeal at k)."""
        on = self.patience * (1.0 - self.stop * appeal[..., :-1])
        read = np.ones_like(appeal)
        np.cumprod(on, axis=-1, out=read[..., 1:])
        return appeal * read

    def act(self, appeal: Reals, rng: np.random.Generator) -> Bools:
        acted = rng.random(appeal.shape) < appeal
        leaves = acted & (rng.random(appeal.shape) < self.stop)
        leaves |= rng.random(appeal.shape) >= self.patience
        read = np.ones(appeal.shape, dtype=np.bool_)
        read[..., 1:] = ~np.logical_or.accumulate(leaves, axis=-1)[..., :-1]
        return acted & read
