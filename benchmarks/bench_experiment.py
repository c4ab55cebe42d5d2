"""Bootstrap of an experiment's estimates: sums per user against rows drawn again with pandas.

python benchmarks/bench_experiment.py

A million shown candidates on pages of 12 in random order, 83,334 requests of 20,000 users, six
arms, four actions, all requests and ten segments, both estimators of the experiment, 1,000
resamples of users. The plain way draws users with replacement, merges their rows, groups and
divides; it runs a few times and is scaled to 1,000. Both ways must give the same estimates before
they are timed. Processor seconds do not depend on what else the machine does.
"""

import resource
import subprocess
import sys
import time

import numpy as np
import pandas as pd
from machine import machine

from experiments.estimators.rankings import (
    Ints,
    Reals,
    Sample,
    item_position,
    item_position_weights,
    page_examination,
    position_based,
    position_based_weights,
)
from experiments.statistics.bootstrap import Replicates, replicate

N_ROWS, N_USERS, PAGE, POOL = 1_000_000, 20_000, 12, 48
ARMS = [f"arm_{number}" for number in range(6)]
ACTIONS = ["closeup", "click", "long_click", "save"]
N_SEGMENTS, N_REPLICATES, PLAIN_RESAMPLES, RUNS = 10, 1000, 3, 3
THETA = 1 / np.sqrt(np.arange(1, PAGE + 1))
Key = tuple[int, str, str]  # segment (-1 for all), arm, estimator


def example() -> tuple[Sample, Ints]:
    """A log in random order whose actions depend on position and candidate; segment per request."""
    rng = np.random.default_rng(0)
    n_requests = -(-N_ROWS // PAGE)
    user = rng.integers(N_USERS, size=n_requests)
    user[:N_USERS] = np.arange(N_USERS)
    rows = np.arange(n_requests * PAGE)[:N_ROWS]
    position = rows % PAGE + 1
    rates = np.outer(THETA[position - 1], [0.3, 0.1, 0.05, 0.1])
    quality = rng.uniform(0.5, 1.5, N_ROWS)
    actions = (rng.random(rates.shape) < rates * quality[:, None]).astype(np.float64)
    ranks = {
        arm: np.clip(rng.normal(24 - 2 * n * (quality - 1), 12).astype(np.int64), 1, POOL)
        for n, arm in enumerate(ARMS)
    }
    page = np.full(n_requests, PAGE)
    page[-1] = position[-1]
    sample = Sample(
        user, page, rows // PAGE, position, np.full(N_ROWS, 1 / POOL), actions, ranks
    )  # fmt: skip
    return sample, rng.integers(N_SEGMENTS, size=n_requests)


def ours(sample: Sample, segment: Ints) -> dict[Key, Replicates]:
    found: dict[Key, Replicates] = {}
    for number in range(-1, N_SEGMENTS):
        some = sample.select((segment == number) | (number == -1))
        theta = np.tile(THETA, (some.n_requests, 1))
        sums = {(number, arm, "model"): position_based(some, arm, theta) for arm in ARMS}
        sums |= {(number, arm, "item"): item_position(some, arm) for arm in ARMS}
        found |= replicate(sums, N_REPLICATES)
    return found


def frames(sample: Sample, segment: Ints) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(requests, rows) with the weights of every arm, as an analyst would hold them."""
    theta = np.tile(THETA, (sample.n_requests, 1))
    requests = pd.DataFrame({
        "user": sample.user, "segment": segment, "page": sample.page,
        "examination": page_examination(sample.page, theta),
    })  # fmt: skip
    at = sample.request
    rows = pd.DataFrame({
        "user": sample.user[at], "segment": segment[at], "position": sample.position,
        "theta": THETA[sample.position - 1],
        **dict(zip(ACTIONS, sample.actions.T, strict=True)),
    })  # fmt: skip
    for arm, rank in sample.ranks.items():
        rows[f"model {arm}"] = position_based_weights(
            rank, sample.page[at], sample.propensity, theta[at]
        )
        rows[f"item {arm}"] = item_position_weights(rank, sample.position, sample.propensity)
    return requests, rows


def resample(
    requests: pd.DataFrame, rows: pd.DataFrame, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of as many users as there are, drawn with replacement."""
    drawn = pd.DataFrame({"user": rng.integers(N_USERS, size=N_USERS)})
    return drawn.merge(requests, on="user"), drawn.merge(rows, on="user")


def plain(requests: pd.DataFrame, rows: pd.DataFrame) -> dict[Key, Reals]:
    """Every estimate by groupby, over all requests and by segment."""
    whole = requests.assign(segment=-1), rows.assign(segment=-1)
    return by_segment(*whole) | by_segment(requests, rows)


def by_segment(requests: pd.DataFrame, rows: pd.DataFrame) -> dict[Key, Reals]:
    found: dict[Key, Reals] = {}
    examination = requests.groupby("segment")["examination"].mean()
    reaching = pd.concat({
        k: (requests["page"] >= k).groupby(requests["segment"]).mean() for k in range(1, PAGE + 1)
    }).swaplevel().rename_axis(["segment", "position"])  # fmt: skip
    cells = [rows["segment"], rows["position"]]
    for arm in ARMS:
        weight = rows[f"model {arm}"]
        acted = rows[ACTIONS].mul(weight, axis=0).groupby(rows["segment"]).sum()
        shown = (weight * rows["theta"]).groupby(rows["segment"]).sum()
        model = acted.div(shown, axis=0).mul(examination, axis=0)
        weight = rows[f"item {arm}"]
        acted, shown = (
            rows[ACTIONS].mul(weight, axis=0).groupby(cells).sum(),
            weight.groupby(cells).sum(),
        )
        item = acted.div(shown, axis=0).mul(reaching, axis=0).groupby(level=0).sum()
        for estimator, values in (("model", model), ("item", item)):
            found |= {(int(s), arm, estimator): row.to_numpy() for s, row in values.iterrows()}
    return found


def measure(way: str) -> None:
    """Prints seconds, processor seconds and this process's peak resident size in GiB."""
    sample, segment = example()
    data, rng = frames(sample, segment) if way == "pandas" else None, np.random.default_rng(1)
    start = time.perf_counter(), time.process_time()
    if data:
        for _ in range(PLAIN_RESAMPLES):
            plain(*resample(*data, rng))
    else:
        ours(sample, segment)
    scale = N_REPLICATES / PLAIN_RESAMPLES if data else 1
    seconds = (time.perf_counter() - start[0]) * scale, (time.process_time() - start[1]) * scale
    print(*seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def check() -> int:
    """The number of estimates, once both ways agree on all of them; else an error."""
    sample, segment = example()
    expected = plain(*frames(sample, segment))
    found = {key: replicates.value for key, replicates in ours(sample, segment).items()}
    assert found.keys() == expected.keys()
    for key, values in found.items():
        np.testing.assert_allclose(values, expected[key], rtol=1e-9, err_msg=str(key))
    return len(found) * len(ACTIONS)


def main() -> None:
    print(machine("numpy", "pandas"))
    n_estimates = check()
    print(
        f"{N_ROWS:,} shown rows, {N_USERS:,} users, {len(ARMS)} arms, {len(ACTIONS)} actions, all "
        f"and {N_SEGMENTS} segments, 2 estimators: {n_estimates} estimates, "
        f"{N_REPLICATES:,} resamples"
    )
    medians = {}
    for way, runs in (("ours", RUNS), ("pandas", 1)):
        done = [
            subprocess.run(
                [sys.executable, __file__, way], capture_output=True, text=True, check=True
            )
            for _ in range(runs)
        ]
        numbers = [tuple(map(float, run.stdout.split())) for run in done]
        medians[way] = [float(np.median(column)) for column in zip(*numbers, strict=True)]
    fast, slow = medians["ours"], medians["pandas"]
    print(f"{'':7}  seconds  of processor  peak GiB")
    print(f"ours   {fast[0]:9.1f}  {fast[1]:12.1f}  {fast[2]:8.2f}  median of {RUNS} processes")
    print(
        f"pandas {slow[0]:9.0f}  {slow[1]:12.0f}  {slow[2]:8.2f}  "
        f"{PLAIN_RESAMPLES} resamples, scaled to {N_REPLICATES:,}"
    )
    ratios = [b / a for a, b in zip(fast, slow, strict=True)]
    print(
        f"pandas / ours: {ratios[0]:.0f} times the seconds, {ratios[1]:.0f} times the processor "
        f"seconds, {ratios[2]:.1f} times the memory"
    )


if __name__ == "__main__":
    measure(sys.argv[1]) if len(sys.argv) > 1 else main()
