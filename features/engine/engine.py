"""Who does the work: this process, several processes of this machine, or Ray.

An engine calls the same function for every piece of work and gives back what it returned. Workers
write files, and never SQL: rows are written by the process that asked, as results arrive. So the
same pieces give the same bytes, whichever engine did them.
"""

from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from typing import Literal, Protocol, TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")
EngineName = Literal["local", "ray"]


class WorkerLost(OSError):
    """Workers were killed again and again; its text says what to do."""

    def __init__(self, times: int) -> None:
        super().__init__(
            f"A worker was killed {times} times in a row, most often because memory ran out; run "
            "this again with fewer --workers: what is finished is not done again."
        )


class Engine(Protocol):
    """Does pieces of work."""

    def run(
        self, work: Callable[[Piece], Result], pieces: Iterable[Piece], *, gpu: bool = False
    ) -> Iterator[Result]:
        """What `work` returns for each piece, in any order, as it is done.

        work, pieces and results are picklable where the engine has other processes, each of which
        unpickles the work once. gpu: whether the work gains from a GPU, where there is one.
        Raises what the work raises, and WorkerLost.
        """
        ...


class Loop:
    """This process, one piece after the other."""

    def run(
        self, work: Callable[[Piece], Result], pieces: Iterable[Piece], *, gpu: bool = False
    ) -> Iterator[Result]:
        return map(work, pieces)


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
