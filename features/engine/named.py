"""Engines by name, as the command line gives it."""

from importlib.util import find_spec
from typing import Literal

from features.engine.engine import Engine, Loop

EngineName = Literal["local", "ray"]


def named_engine(name: EngineName, workers: int | None) -> Engine:
    """local: this process or, with more than one worker, so many others of this machine. ray: Ray
    Data with at most so many workers, by default as many as there are GPUs or else CPUs.

    Raises ValueError where Ray is not installed.
    """
    if name == "ray":
        if find_spec("ray") is None:
            raise ValueError("--engine ray needs Ray: pip install 'related-pins[ray]'.")
        from features.engine.ray_data import RayData

        return RayData(workers)
    if workers is None or workers == 1:
        return Loop()
    from features.engine.processes import Processes

    return Processes(workers)
