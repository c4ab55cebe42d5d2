"""The daily job, killed and started again; `make kill` does so for longer."""

from pathlib import Path

import numpy as np

from tests.kill_harness import Outcome, fill, place_of, undisturbed


def test_a_job_that_was_killed_again_and_again_leaves_what_an_undisturbed_one_does(
    tmp_path: Path,
) -> None:
    reference, seconds = undisturbed(tmp_path)
    outcome, targets = Outcome([]), ["upgrade", "visuals", "pair shards", "pairs published", "rank"]
    home = place_of(tmp_path, "home", None)
    fill(home, targets, seconds, reference, np.random.default_rng(7), outcome)
    assert outcome.problems == []
    assert outcome.kills >= 3
