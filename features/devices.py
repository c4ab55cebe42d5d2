"""Where layers run: on the GPU where there is one, else on the CPU; how much it takes at once."""

import copy
from functools import cache

import torch
from torch import Tensor, nn

ON_CPU = 16
IMAGE_BYTES = 512 * 2**20


def best_device(name: str | None = None) -> torch.device:
    """The device of that name; without one, CUDA where there is one, else the CPU."""
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


def layout(device: torch.device) -> torch.memory_format:
    """How layers that only look at images keep their maps: channels last on the CPU, twice as
    fast there; contiguous on CUDA, where cuDNN plans anew for every size of image."""
    return torch.channels_last if device.type == "cpu" else torch.contiguous_format


def images_at_once(free_bytes: int) -> int:
    """Images that a GPU with so much free memory describes in one batch: half of it at 512 MiB an
    image (an assumption, generous for the bundled detector), in steps of 16, from 16 to 128.

    >>> [images_at_once(gib * 2**30) for gib in (4, 24, 80, 140)]
    [16, 16, 80, 128]
    """
    return min(max(free_bytes // 2 // IMAGE_BYTES // 16 * 16, 16), 128)


@cache
def batch_size() -> int:
    """Images that this process describes in one batch; always the same, once it was asked for.

    On the CPU a constant, so that bytes depend on neither the machine nor the engine.
    """
    if not torch.cuda.is_available():
        return ON_CPU
    return images_at_once(torch.cuda.mem_get_info()[0])


class Placed:
    """What has tensors on a device. Pickled, they go by the CPU; unpickled, they are on the best
    device of the process that they come to.
    """

    def __getstate__(self) -> dict[str, object]:
        cpu = torch.device("cpu")
        return {name: _moved(value, cpu) for name, value in self.__dict__.items()}

    def __setstate__(self, state: dict[str, object]) -> None:
        here = best_device()
        self.__dict__ |= {name: _moved(value, here) for name, value in state.items()}


def _moved(value: object, place: torch.device) -> object:
    if isinstance(value, torch.device):
        return place
    if isinstance(value, Tensor):
        return value.to(place)
    if isinstance(value, nn.Module) and next(value.parameters()).device != place:
        moved = copy.deepcopy(value).to(place)
        return moved.to(memory_format=layout(place))  # type: ignore[call-overload]
    return value
