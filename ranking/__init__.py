"""Rows and engagement in, scores out: labels, engagement features, the rankers, their metrics.

Threads of LightGBM that wait for each other give their core away: where other programs want the
cores too, waiting busily (OpenMP's default) makes training several times slower. It has to be said
before OpenMP is loaded; OMP_WAIT_POLICY in the environment overrides it.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
