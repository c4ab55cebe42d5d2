"""Embeddings: pixels of a whole image or of a crop -> a unit vector to compare by cosine."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as pil
from torch import nn

from features.devices import Placed, best_device, layout
from features.embedding.backbone import MEAN, STD, lite0, timm_backbone
from features.precision import autocast

DEFAULT = "lite0"


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows `(N, D)` scaled to length 1; a row of zeros stays zeros.

    >>> unit(np.array([[3.0, 4.0], [0.0, 0.0]])).round(3).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12))


def cut(
    image: pil.Image, box: Sequence[float] | NDArray[np.float32], side: int
) -> NDArray[np.uint8]:
    """The pixels `(side, side, 3)` uint8 inside a box (xyxy, pixels of the image), stretched to a
    square. A box thinner than a pixel is widened to one.
    """
    x1, y1, x2, y2 = (float(edge) for edge in box)
    x1, y1 = min(max(x1, 0), image.width - 1), min(max(y1, 0), image.height - 1)
    x2, y2 = min(max(x2, x1 + 1), image.width), min(max(y2, y1 + 1), image.height)
    resized = image.resize(
        (side, side), pil.Resampling.BILINEAR, box=(x1, y1, x2, y2), reducing_gap=2.0
    )
    return np.asarray(resized)


class Embedder(Placed):
    """Turns square crops into unit vectors.

    name: 'lite0' (bundled ImageNet weights) or any pretrained timm model. side: input size,
    pixels. dimension: length of a vector. version: short hash of weights and input size, so that
    equal versions give equal numbers.
    """

    def __init__(self, name: str = DEFAULT, side: int | None = None, device: str | None = None):
        self.name = name
        self.device = best_device(device)
        model = lite0() if name == DEFAULT else timm_backbone(name)
        config = getattr(model, "pretrained_cfg", {})
        mean, std = (MEAN, STD) if name == DEFAULT else (config["mean"], config["std"])
        self.side = side or (224 if name == DEFAULT else config["input_size"][-1])
        self.dimension = int(getattr(model, "num_features", 0))
        self.version = _version(model, self.side)
        self._mean = torch.tensor(mean, device=self.device).view(1, 3, 1, 1) * 255
        self._std = torch.tensor(std, device=self.device).view(1, 3, 1, 1) * 255
        self._model = model.eval().to(self.device).to(memory_format=layout(self.device))  # type: ignore[call-overload]

    @torch.inference_mode()
    def embed(self, crops: Sequence[NDArray[np.uint8]], batch: int = 32) -> NDArray[np.float32]:
        """Unit vectors `(N, D)` float32 of N crops `(side, side, 3)` uint8; `(0, D)` for none.

        `batch` crops at a time, in the numbers that `features.precision` says.
        """
        parts = [self._embed(crops[start : start + batch]) for start in range(0, len(crops), batch)]
        return np.concatenate(parts) if parts else np.zeros((0, self.dimension), dtype=np.float32)

    def _embed(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        pixels = torch.from_numpy(np.stack(crops)).to(self.device).permute(0, 3, 1, 2)
        inputs = (pixels.float() - self._mean) / self._std
        inputs = inputs.contiguous(memory_format=layout(self.device))
        with autocast(self.device):
            vectors = self._model(inputs)
        return unit(vectors.float().cpu().numpy())


def _version(model: nn.Module, side: int) -> str:
    digest = hashlib.sha256(f"stretch {side}".encode())
    for key, value in model.state_dict().items():
        digest.update(key.encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()[:12]
