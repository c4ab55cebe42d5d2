"""The part of a calibration's page on live tests: sample ratios, arms, peeking, interleaving."""

from collections.abc import Iterator
from math import isfinite, sqrt

import pandas as pd
from scipy.stats import norm

from experiments.checks import ALARM
from experiments.proof import markdown
from experiments.proof.alarms import FAMILY, LOOKS
from experiments.proof.measures import LEVEL, Share, groups, power, requests_for_power, share


def sample_ratios(found: pd.DataFrame) -> Iterator[str]:
    """Yields the section on sample-ratio checks."""
    rows = found[found["study"] == "sample ratio"]
    yield f"""## Sample-ratio mismatch

How often `checks.stated_ratio`, told 50 %, fires (p < {ALARM}). 50.5 / 49.5 is a gap of one point
between the arms, 51 / 49 of two. Aims: at most 1 % at 50 / 50; nearly always at a planted mismatch.
"""
    yield markdown.table(
        ["planted", "what was drawn and counted", "requests", "tests", "fires"],
        [
            [planted, how, markdown.sizes(some), f"{len(some):,}", markdown.share(_rate(some))]
            for (planted, how), some in groups(rows, "world", "estimator")
        ],
    )
    yield ""
    yield _ratios_in_words(rows)


def _ratios_in_words(rows: pd.DataFrame) -> str:
    fires = {key: _rate(some).value for key, some in groups(rows, "estimator", "world")}
    right, wrong = "requests drawn, requests counted", "users drawn, requests counted"
    even, half, whole = "50.0% / 50.0%", "50.5% / 49.5%", "51.0% / 49.0%"
    n = int(rows["n_requests"].max())
    threshold = float(norm.isf(ALARM / 2))
    enough = ((threshold + float(norm.ppf(0.99))) / (2 * 0.005)) ** 2
    return (
        f"Of {n:,} requests drawn one by one, {half} is caught {fires[right, half]:.1%} of the "
        f"time and {whole} {fires[right, whole]:.1%}: {half} lies {2 * 0.005 * sqrt(n):.1f} "
        f"standard errors from an even split, and the threshold is {threshold:.1f}; to catch it 99 "
        f"times in 100 takes {enough:,.0f} requests. Where users were drawn, count users: counted "
        f"by request, an honest split fires {fires[wrong, even]:.0%} of the time, since a user's "
        "requests go together."
    )


def families(found: pd.DataFrame) -> Iterator[str]:
    """Yields the section on corrections for many arms."""
    rows = found[found["study"] == "families"]
    yield f"""## Many arms

{FAMILY} treatments against one control in an A/B test (large lift), rejected where the adjusted
p-value is below {LEVEL}. Aims, give or take chance: Holm, any false rejection at most 5 %;
Benjamini-Hochberg, share of false ones among the rejected at most 5 % on average.
"""
    lines = []
    for (which, name), some in groups(rows, "world", "estimator"):
        by = {quantity: part["value"] for (quantity,), part in groups(some, "quantity")}
        rate = share(int(by["any false"].sum()), len(by["any false"]))
        false, chance = float(by["share false"].mean()), 1.96 * _standard_error(by["share false"])
        lines.append(
            [which, name, markdown.sizes(some), f"{rate.n:,}", markdown.share(rate),
             f"{false:.1%} ± {chance:.1%}",
             "" if by["share found"].isna().all() else f"{by['share found'].mean():.0%}",
             _aim(name, rate, false - chance)]
        )  # fmt: skip
    yield markdown.table(
        ["arms", "correction", "requests", "families", "any false rejection", "share false",
         "lifts found", "aim"], lines,
    )  # fmt: skip


def _aim(name: str, any_false: Share, false_at_least: float) -> str:
    held = {"Holm": any_false.low <= LEVEL, "Benjamini-Hochberg": false_at_least <= LEVEL}
    return "" if name not in held else "met" if held[name] else "missed"


def peeking(found: pd.DataFrame) -> Iterator[str]:
    """Yields the section on looking before the end."""
    rows = found[found["study"] == "peeking"]
    yield f"""## Looking before the end

An A/B test of two arms that are alike, looked at {LOOKS} times as users come; any p < {LEVEL} is a
false alarm. Aim: at most 5 % for the always-valid p-value.
"""
    yield markdown.table(
        ["what is looked at", "requests", "tests", "false alarms"],
        [
            [name, markdown.sizes(some), f"{len(some):,}", markdown.share(_rate(some))]
            for (name,), some in groups(rows, "estimator")
        ],
    )


def sensitivity(found: pd.DataFrame) -> Iterator[str]:
    """Yields the section on interleaving against A/B."""
    powers = power(found)
    sizes = [int(n) for n in next(iter(powers.values())).index]
    needed = {name: requests_for_power(line) for name, line in powers.items()}
    rows = found[(found["study"] == "sensitivity") & found["world"].ne("no lift")]
    yield f"""## Interleaving against A/B

How often a lift of about 5 % is seen (p < {LEVEL}) in {rows["seed"].nunique():,} position-based
worlds of each size. *interleaving*: team-draft, every request shows both arms' pins.
*snips_position_based*: offline, requests in random order, delta method. *A/B*: users split in two.
Interleaving says which arm is preferred, not by how much; the offline estimate costs requests in
random order, and believes in the position-based model.

![Power against requests](images/calibration-power.png)
"""
    yield markdown.table(
        ["test", *(f"{n:,} requests" for n in sizes), "requests for 80 %"],
        [
            [name, *(f"{line[n]:.0%}" for n in sizes),
             f"{needed[name]:,.0f}" if isfinite(needed[name]) else f"over {sizes[-1]:,}"]
            for name, line in powers.items()
        ],
    )  # fmt: skip
    yield ""
    yield " ".join(_times(name, needed) for name in needed if name.startswith("A/B"))


def _times(name: str, needed: dict[str, float]) -> str:
    times = needed[name] / needed["interleaving"]
    if not isfinite(times):
        return f"{name} did not reach 80 % here."
    return f"{name} needs {times:.0f} times the requests of interleaving."


def _rate(rows: pd.DataFrame) -> Share:
    return share(int(rows["value"].sum()), len(rows))


def _standard_error(values: "pd.Series[float]") -> float:
    return float(values.std(ddof=1)) / sqrt(len(values))
