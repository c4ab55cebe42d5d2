"""What a policy would have earned per candidate shown, from the log of another policy.

One row per shown candidate: reward (N,), any unit; target (N,), the policy's probability of the
logged candidate, 0 to 1; logged (N,), the propensity it was shown with, in (0, 1]; user (N,), the
number of its user. The weight of a row is target / logged. All estimators return the mean reward
per row; all but the direct method assume that the propensities are right and that the log may show
whatever the policy may show (support.py). Their intervals take both policies as given.

Dudík, Langford, Li: Doubly Robust Policy Evaluation and Learning, ICML 2011
(https://arxiv.org/abs/1103.4601), unless said otherwise.
"""

import numpy as np

from experiments.estimators.estimate import Estimate, clustered, numbers
from experiments.estimators.rankings import Ints, Reals
from experiments.estimators.support import NoSupport


def importance_weights(target: Reals, logged: Reals) -> Reals:
    """Returns target / logged, (N,) float64.

    Raises ValueError where a target is outside [0, 1] or a propensity outside (0, 1].

    >>> importance_weights(np.array([0.5, 0.0]), np.array([0.25, 0.5])).tolist()
    [2.0, 0.0]
    """
    target, logged = numbers(target=target, logged=logged)
    if target.min() < 0 or target.max() > 1:
        raise ValueError("Give target as probabilities from 0 to 1.")
    if logged.min() <= 0 or logged.max() > 1:
        raise ValueError("Leave out the rows whose propensity `logged` is not in (0, 1].")
    with np.errstate(over="ignore"):
        (weight,) = numbers(weight=target / logged)
    return weight


def ips(reward: Reals, target: Reals, logged: Reals, user: Ints) -> Estimate:
    """Returns inverse propensity scoring: the mean of w r (Horvitz and Thompson 1952). Unbiased.

    >>> users = np.array([1, 2])
    >>> ips(np.array([1.0, 0.0]), np.array([0.5, 0.5]), np.array([0.25, 0.75]), users).value
    1.0
    """
    reward, weight = numbers(reward=reward, weight=importance_weights(target, logged))
    return _mean(weight * reward, user, weight)


def clipped_ips(reward: Reals, target: Reals, logged: Reals, user: Ints, clip: float) -> Estimate:
    """Returns IPS with weights min(w, clip): the mean of min(w, clip) r (Ionides 2008).

    Too low in expectation for rewards of at least 0, never too high, and by no more than
    clipping_bias_bound. The interval is that of the clipped mean: it leaves the bias out.
    Raises ValueError where clip is not above 0.
    """
    reward, weight = numbers(reward=reward, weight=importance_weights(target, logged))
    weight = np.minimum(weight, _positive(clip))
    return _mean(weight * reward, user, weight)


def clipping_bias_bound(
    target: Reals, logged: Reals, clip: float, largest_reward: float = 1.0
) -> float:
    """Returns how far clipped_ips may be below the truth in expectation, in units of the reward.

    For rewards from 0 to largest_reward, truth - E[min(w, clip) r] = E[(w - clip)+ r] + what the
    policy earns where the log never shows it <= largest_reward * (1 - E[min(w, clip)]), as the
    policy's probabilities sum to 1. The expectation is the mean of the rows given, noisy as such.

    >>> clipping_bias_bound(np.array([0.75, 0.25]), np.array([0.25, 0.5]), clip=1.0)
    0.25
    """
    weight = np.minimum(importance_weights(target, logged), _positive(clip))
    return largest_reward * max(0.0, 1.0 - float(weight.mean()))


def snips(reward: Reals, target: Reals, logged: Reals, user: Ints) -> Estimate:
    """Returns self-normalised IPS: sum of w r / sum of w (Swaminathan and Joachims, NIPS 2015).

    Bias of order 1 / N, less variance where the weights are noisy; never outside the range of the
    rewards. Interval by linearisation (delta method): a row's influence is w (r - value) / mean w.
    Raises NoSupport where every weight is 0.
    """
    reward, weight = numbers(reward=reward, weight=importance_weights(target, logged))
    mean_weight = float(weight.mean())
    if not mean_weight:
        raise NoSupport("The policy shows no candidate that was logged: log it, or one closer.")
    value = float((weight * reward).mean()) / mean_weight
    return clustered(weight * (reward - value) / mean_weight, user, value, weight)


def direct_method(expected: Reals, user: Ints) -> Estimate:
    """Returns the mean of what a reward model expects of the policy.

    expected (N,): sum over the candidates of target probability * predicted reward. As wrong as the
    model is, and the interval does not know: it is that of the mean over contexts, the model given.
    """
    (expected,) = numbers(expected=expected)
    return _mean(expected, user, np.ones_like(expected))


def doubly_robust(
    reward: Reals, target: Reals, logged: Reals, predicted: Reals, expected: Reals, user: Ints
) -> Estimate:
    """Returns the mean of expected + w (r - predicted): the direct method, its errors corrected.

    predicted (N,): the model's reward of the logged candidate; expected (N,): as for
    direct_method. Unbiased for any model that was not fitted on the row itself (cross-fitting:
    Chernozhukov et al. 2018); the better the model, the smaller its variance.
    """
    reward, predicted, expected, weight = numbers(
        reward=reward, predicted=predicted, expected=expected,
        weight=importance_weights(target, logged),
    )  # fmt: skip
    return _mean(expected + weight * (reward - predicted), user, weight)


def _mean(terms: Reals, user: Ints, weight: Reals) -> Estimate:
    value = float(terms.mean())
    return clustered(terms - value, user, value, weight)


def _positive(clip: float) -> float:
    if not clip > 0:
        raise ValueError(f"Clip weights at a number above 0, not at {clip}.")
    return clip
