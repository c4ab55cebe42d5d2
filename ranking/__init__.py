"""Rows and engagement in, scores out: labels, engagement features, the rankers, their metrics."""

import os


def wait_briefly() -> None:
    """Has threads that wait for each other give their core away soon: where other programs want
    the cores too, waiting busily (OpenMP's default) makes training slower, up to several times; and
    giving the core away at once makes a detector slower by a sixth on cores that nobody wants.

    It has to be said before OpenMP is loaded; OMP_WAIT_POLICY or GOMP_SPINCOUNT in the environment
    override it (https://gcc.gnu.org/onlinedocs/libgomp/GOMP_005fSPINCOUNT.html).
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ):
        os.environ.update(OMP_WAIT_POLICY="passive", GOMP_SPINCOUNT="10000")


wait_briefly()
