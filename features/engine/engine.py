"""Who does the work: this process, several processes of this machine, or Ray.

An engine calls the same function for every piece of work and gives back what it returned. Workers
write files, and never SQL: rows are written by the process that asked, as results arrive. So the
same pieces give the same bytes, whichever engine did them.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")


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
