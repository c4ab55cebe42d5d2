"""Whether the verdict can be trusted: checks of the log, of the random order, of the weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2_contingency, chisquare

from experiments.estimators.rankings import (
    Reals,
    Sample,
    effective_sample_size,
    page_examination,
    position_based_weights,
    top_share,
)
from experiments.statistics.bootstrap import Lift, Replicates, two_sided_p_value
from experiments.statistics.corrections import holm

ALARM = 0.001  # p-value below which a check that should never fail has failed
CRITICAL = frozenset(
    (
        "random_requests",
        "sample_ratio_by_day",
        "sample_ratio_by_platform",
        "sample_ratio_stated",
        "random_order",
        "weights_average_one",
        "a_a",
    )
)


@dataclass(frozen=True)
class Check:
    """One check: what was measured, what would pass, and one sentence on it."""

    name: str
    passed: bool
    value: float
    expected: str
    detail: str

    @property
    def critical(self) -> bool:
        """True where a failure forbids any verdict but hold."""
        return self.name in CRITICAL


def sample_ratio(by: str, counts: Mapping[str, tuple[int, int]]) -> Check:
    """Returns whether the share of requests in random order is the same for every value of `by`.

    counts: value -> (requests in random order, all requests). Chi-square of homogeneity; fails at
    p < 0.001, as sample-ratio checks customarily do.
    """
    table = np.array([(n, total - n) for n, total in counts.values()], dtype=float).reshape(-1, 2)
    table = table[table.sum(axis=1) > 0]
    comparable = len(table) > 1 and bool(table.sum(axis=0).all())
    p_value = float(chi2_contingency(table, correction=False).pvalue) if comparable else 1.0
    shares = {name: n / total for name, (n, total) in counts.items() if total}
    span = f"{min(shares.values()):.2%} to {max(shares.values()):.2%}" if shares else "no request"
    return Check(
        f"sample_ratio_by_{by}", p_value >= ALARM, p_value, f"p >= {ALARM}",
        f"The share of requests in random order, by {by}: {span}.",
    )  # fmt: skip


def stated_ratio(n_random: int, n_requests: int, share: float) -> Check:
    """Returns whether the share of requests in random order is the stated one (chi-square)."""
    expected = [share * n_requests, (1 - share) * n_requests]
    observed = [n_random, n_requests - n_random]
    p_value = float(chisquare(observed, expected).pvalue) if n_requests else 1.0
    return Check(
        "sample_ratio_stated", p_value >= ALARM, p_value, f"p >= {ALARM}",
        f"{n_random:,} of {n_requests:,} requests are in random order; {share:.2%} were stated.",
    )  # fmt: skip


def random_requests(sample: Sample) -> Check:
    """Returns whether there is anything to estimate from: requests with at least one action."""
    n_actions = int(sample.actions.sum())
    return Check(
        "random_requests", n_actions > 0, sample.n_requests, "at least one with an action",
        f"{sample.n_requests:,} requests of {sample.n_users:,} users were shown in random order "
        f"and got {n_actions:,} actions.",
    )  # fmt: skip


def random_order(sample: Sample, arm: str) -> Check:
    """Returns whether the position shown is unrelated to the place that the arm would give.

    In random order the mean over requests of their covariance is 0; value is the mean's distance
    from 0 in standard errors clustered by user.
    """
    rank, rows = sample.ranks[arm].astype(float), sample.request
    n = np.maximum(np.bincount(rows, minlength=sample.n_requests), 1)
    centred = rank - (np.bincount(rows, rank, minlength=sample.n_requests) / n)[rows]
    middle = (np.bincount(rows, sample.position, minlength=sample.n_requests) / n)[rows]
    covariance = np.bincount(
        rows, centred * (sample.position - middle), minlength=sample.n_requests
    )
    mean, error = clustered_mean(covariance / n, sample)
    z = abs(mean) / error if error else 0.0
    return Check(
        "random_order", z < 3.3, z, "< 3.3 standard errors",
        f"Positions in random order lean {'with' if mean > 0 else 'against'} the order of {arm} "
        f"by {z:.1f} standard errors.",
    )  # fmt: skip


def weights_average_one(sample: Sample, arm: str, examination: Reals) -> Check:
    """Returns whether a request's position-based weights average to what exact propensities give.

    The mean over requests of sum(w theta) / Theta is 1; off by more than 2 % and by more than 3
    standard errors, the propensities or the pool of candidates are not what they are said to be.
    """
    per_row = examination[sample.request]
    weight = position_based_weights(
        sample.ranks[arm], sample.page[sample.request], sample.propensity, per_row
    )
    theta = per_row[np.arange(len(per_row)), sample.position - 1]
    total = np.bincount(sample.request, weight * theta, minlength=sample.n_requests)
    mean, error = clustered_mean(total / page_examination(sample.page, examination), sample)
    return Check(
        "weights_average_one", abs(mean - 1) <= max(0.02, 3 * error), mean,
        "1, give or take 2 % or 3 standard errors",
        f"The weights of {arm} average {mean:.3f} (standard error {error:.3f}).",
    )  # fmt: skip


def clustered_mean(per_request: Reals, sample: Sample) -> tuple[float, float]:
    """Returns the mean over requests (R,) and its standard error, clustered by user."""
    if not sample.n_requests:
        return 0.0, 0.0
    mean = float(per_request.mean())
    residual = np.bincount(sample.user, per_request - mean)
    return mean, float(np.sqrt(np.square(residual).sum())) / sample.n_requests


def overlap(weights: Reals, arm: str) -> list[Check]:
    """Returns whether the arm's weights rest on enough impressions, and not on a few of them."""
    share, size = top_share(weights), effective_sample_size(weights)
    return [
        Check(
            "overlap_top_share", share <= 0.10, share, "<= 10 % of the weight",
            f"The heaviest 1 % of impressions carry {share:.1%} of the weight of {arm}.",
        ),
        Check(
            "overlap_effective_size", size >= 1000, size, ">= 1,000 impressions",
            f"The weights of {arm} are worth {size:,.0f} equally weighted impressions.",
        ),
    ]  # fmt: skip


def a_a(lifts: Mapping[str, Lift]) -> Check:
    """Returns whether the control trained with another seed differs from the control.

    lifts: action -> lift of the twin. Fails where an action's p-value, adjusted by Holm over the
    actions, is below 0.05. value is the smallest adjusted p-value.
    """
    known = {name: x for name, x in lifts.items() if not np.isnan(x.p_value)}
    p_value = min(holm([x.p_value for x in known.values()]), default=1.0)
    save = lifts.get("save")
    span = f" Saves: {save.lift:+.1%} ({save.low:+.1%} to {save.high:+.1%})." if save else ""
    return Check(
        "a_a", p_value >= 0.05, p_value, "adjusted p >= 0.05",
        f"The control against itself, trained with another seed.{span}",
    )  # fmt: skip


def estimators_agree(
    one: tuple[Replicates, Replicates], other: tuple[Replicates, Replicates], action: int, arm: str
) -> Check:
    """Returns whether two estimators' lifts differ by more than chance.

    one and other: (treatment, control) of each estimator, from the same bootstrap.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        lifts = [t.replicates[:, action] / c.replicates[:, action] for t, c in (one, other)]
        p_value = two_sided_p_value(lifts[0] - lifts[1])
    passed = not p_value < 0.01
    return Check(
        "estimators_agree", passed, p_value, "p >= 0.01",
        f"Position by position and position-based, the lift of {arm} "
        f"{'agrees' if passed else 'differs'} within what chance allows.",
    )  # fmt: skip


def intervals_agree(lift: Lift, standard_error: float, arm: str) -> Check:
    """Returns whether the bootstrap's interval is as wide as the delta method's, give or take 25 %.

    value is the ratio of their widths: 1 where the delta method gives none, NaN where the bootstrap
    gives none; both pass.
    """
    width = 2 * 1.959964 * standard_error
    ratio = (lift.high - lift.low) / width if width > 0 else 1.0
    passed = not abs(ratio - 1) > 0.25
    return Check(
        "intervals_agree", passed, ratio, "0.75 to 1.25",
        f"The bootstrap's interval of the lift of {arm} is {ratio:.2f} times as wide as the delta "
        "method's.",
    )  # fmt: skip


def heaviest_user(sample: Sample) -> Check:
    """Returns whether no user makes more than 5 % of the requests."""
    share = float(np.bincount(sample.user).max(initial=0)) / max(sample.n_requests, 1)
    return Check(
        "heaviest_user", share <= 0.05, share, "<= 5 % of the requests",
        f"The user with the most requests makes {share:.1%} of them; intervals are clustered by "
        "user and get wider for it.",
    )  # fmt: skip


def propensities(n_missing: int, n_impressions: int) -> Check:
    """Returns whether nearly all impressions have a propensity in (0, 1]; others are left out."""
    share = n_missing / n_impressions if n_impressions else 0.0
    return Check(
        "missing_propensity", share <= 0.01, share, "<= 1 % of the impressions",
        f"{n_missing:,} of {n_impressions:,} impressions are left out for want of a propensity.",
    )  # fmt: skip


def unranked(n_unranked: int, n_requests: int) -> Check:
    """Returns whether nearly all requests are about pins that every arm ranked."""
    share = n_unranked / n_requests if n_requests else 0.0
    return Check(
        "unranked_requests", share <= 0.05, share, "<= 5 % of the requests",
        f"{n_unranked:,} of {n_requests:,} requests are about pins that not every arm ranked; "
        "they are left out.",
    )  # fmt: skip


def robots(n_robots: int, n_left_out: int, n_kept: int) -> Check:
    """Returns whether users taken for robots, who are left out, made few of the requests."""
    share = n_left_out / (n_left_out + n_kept) if n_left_out else 0.0
    return Check(
        "robots", share <= 0.05, share, "<= 5 % of the requests",
        f"{n_robots:,} user{'s' * (n_robots != 1)} opened more pages on a day than people do; "
        f"{n_left_out:,} requests in random order are left out.",
    )  # fmt: skip


def support(refused: Sequence[tuple[str, str, str]], n_estimates: int, least: int) -> Check:
    """Returns whether every arm has enough support for its lift over all held-out requests.

    refused: (arm, estimator, segment) of the estimates whose weights are worth fewer than `least`
    impressions, which are not given; value is their number.
    """
    places = dict.fromkeys(f"{estimator} in {segment}" for _, estimator, segment in refused)
    detail = f"{len(refused):,} of {n_estimates:,} estimates are refused"
    if refused:
        detail += f", worth under {least} impressions: {', '.join(places)}"
    whole = [arm for arm, _, segment in refused if segment == "all"]
    return Check("support", not whole, len(refused), "none of them over all requests", f"{detail}.")


def common_examination(p_value: float) -> Check:
    """Returns whether one examination curve serves all actions (see examination.py)."""
    return Check(
        "examination_common", p_value >= ALARM, p_value, f"p >= {ALARM}",
        "Whether the kind of action, given that there was one, depends on the position.",
    )  # fmt: skip


def examination_in_time(before: bool, n_impressions: int) -> Check:
    """Returns whether examination was measured before the held-out window."""
    when = "before" if before else "within"
    return Check(
        "examination_before_window", before, n_impressions, "impressions before the window",
        f"Examination was measured on {n_impressions:,} impressions {when} the held-out window.",
    )  # fmt: skip
