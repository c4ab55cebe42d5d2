"""A bounded queue in front of the threads that run the detector."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
import anyio.to_thread
from starlette.exceptions import HTTPException

T = TypeVar("T")
AT_WORK = 2
SECONDS = 60.0  # that a request may take, from its first byte to its answer
RETRY = {"Retry-After": "2"}


class Queue:
    """Holds at most `size` requests at once, two of which work: torch takes all cores by itself,
    and the second one decodes or searches meanwhile. `held`: requests that wait or work now.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.held = 0
        self._at_work = anyio.CapacityLimiter(AT_WORK)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place in the queue, to be taken before the upload is read, so that uploads in memory
        are bounded too.

        Raises HTTPException 429 where the queue is full or the time is up.
        """
        if self.held >= self.size:
            raise HTTPException(429, "Many searches are waiting; try again in 2 seconds.", RETRY)
        self.held += 1
        try:
            with anyio.fail_after(SECONDS):
                yield
        except TimeoutError as error:
            raise HTTPException(
                429, f"It took more than {SECONDS:g} seconds; try again.", RETRY
            ) from error
        finally:
            self.held -= 1

    async def work(self, function: Callable[[], T]) -> T:
        """What the function gives, called in a thread when its turn has come."""
        return await anyio.to_thread.run_sync(function, limiter=self._at_work)
