import os
import subprocess
import sys

import pytest

SAYS = "import os, ranking; print(os.environ.get('OMP_WAIT_POLICY'), os.getenv('GOMP_SPINCOUNT'))"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "passive 10000"),
        ({"OMP_WAIT_POLICY": "active"}, "active None"),
        ({"GOMP_SPINCOUNT": "5"}, "None 5"),
    ],
)
def test_threads_wait_briefly_unless_told_otherwise(given: dict[str, str], said: str) -> None:
    left = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    told = subprocess.run(
        [sys.executable, "-c", SAYS], env={**left, **given}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert told.stdout.strip() == said
