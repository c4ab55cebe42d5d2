"""Whether a log holds enough of what a policy would do, for any estimate to be believed."""

from dataclasses import dataclass

from experiments.estimators.estimate import numbers
from experiments.estimators.rankings import Reals, effective_sample_size, top_share

MIN_EFFECTIVE = 1000.0  # rows; this and MAX_TOP_SHARE as in checks.overlap
MAX_TOP_SHARE = 0.10
MAX_NEVER_LOGGED = 0.05  # what it would earn there is unknown, so this much may be wrong


class NoSupport(ValueError):
    """The log cannot answer for this policy; the message says why and what to do."""


@dataclass(frozen=True)
class Support:
    """How well a log covers a policy.

    effective_sample_size: equally weighted rows that the weights are worth; top_share: part of the
    weight, 0 to 1, on the heaviest 1 % of the rows; never_logged: part of the policy's probability,
    0 to 1, on (context, candidate) pairs that the log never showed; n_rows: number of weights.
    """

    effective_sample_size: float
    top_share: float
    never_logged: float
    n_rows: int


def support(weights: Reals, probability: Reals, shown: Reals) -> Support:
    """Returns the Support of a policy by a log of N rows.

    weights (N,): target / logged of each row, at least 0. Over the P pairs of a context and a
    candidate that the policy may show: probability (P,), the policy's, weighted by how common the
    context is, on any scale; shown (P,), how often the log showed the pair.
    Raises ValueError on numbers that are missing or negative, and where probability is all 0.

    >>> import numpy as np
    >>> support(np.array([2.0, 1.0, 1.0]), np.array([0.5, 0.25, 0.25]), np.array([2.0, 1.0, 0.0]))
    Support(effective_sample_size=2.6666666666666665, top_share=0.5, never_logged=0.25, n_rows=3)
    """
    (weights,) = numbers(weights=weights)
    probability, shown = numbers(probability=probability, shown=shown)
    if min(weights.min(), probability.min(), shown.min()) < 0 or not probability.any():
        raise ValueError("Give weights, probabilities and counts of at least 0, not all 0.")
    unseen = float(probability[shown == 0].sum() / probability.sum())
    return Support(effective_sample_size(weights), top_share(weights), unseen, len(weights))


def require(
    support: Support,
    *,
    min_effective: float = MIN_EFFECTIVE,
    max_top_share: float = MAX_TOP_SHARE,
    max_never_logged: float = MAX_NEVER_LOGGED,
) -> None:
    """Returns nothing where the log supports the policy.

    Raises NoSupport with every reason where the effective sample size is under min_effective rows,
    the heaviest 1 % of the rows carry over max_top_share of the weight, or over max_never_logged of
    the policy's probability is on what the log never showed.
    """
    reasons = []
    if support.effective_sample_size < min_effective:
        reasons.append(
            f"its {support.n_rows:,} rows are worth {support.effective_sample_size:,.0f} equally "
            f"weighted ones, under {min_effective:,.0f}"
        )
    if support.top_share > max_top_share:
        reasons.append(
            f"the heaviest 1 % of them carry {support.top_share:.1%} of the weight, "
            f"over {max_top_share:.0%}"
        )
    if support.never_logged > max_never_logged:
        reasons.append(
            f"{support.never_logged:.1%} of what the policy would show was never shown, "
            f"over {max_never_logged:.0%}"
        )
    if reasons:
        raise NoSupport(
            f"This log cannot answer for this policy: {'; '.join(reasons)}. Log more requests, "
            "show more candidates at random, or ask about a policy closer to the logged one."
        )
