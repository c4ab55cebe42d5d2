"""Objects in pins: boxes, categories and scores from a trained Faster R-CNN."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from torch import Tensor
from torchvision.models.detection import FasterRCNN
from torchvision.ops import roi_align
from torchvision.transforms.v2 import functional as pixels_to

from features.faster_rcnn import HUB, Settings, faster_rcnn, fuse_norms, hub_faster_rcnn
from features.images import Image
from features.precision import autocast

BUNDLED = Path(__file__).parent / "weights" / "detector.safetensors"
STRIDE = 32


@dataclass(frozen=True, eq=False)
class Detections:
    """Objects found in one image, by falling score.

    boxes: `(N, 4)` float32 xyxy, pixels of the original. scores: `(N,)` float32 in [0, 1].
    labels: N category names. width, height: of the original, pixels.
    pooled: `(N, C)` float32, the detector's own features averaged over each box; pooled_whole:
    `(C,)` over the image; both None unless asked for. N may be 0.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: tuple[str, ...]
    width: int
    height: int
    pooled: NDArray[np.float32] | None = None
    pooled_whole: NDArray[np.float32] | None = None


def scaled_size(
    height: int, width: int, short_side: int, long_side: int, enlarge: float = math.inf
) -> tuple[int, int]:
    """(height, width) scaled to the short side, or to the long side where that is reached first,
    but never enlarged more than `enlarge` times: a small photo holds no more than its pixels.

    >>> scaled_size(825, 550, 416, 640)
    (624, 416)
    >>> scaled_size(1000, 100, 416, 640)
    (640, 64)
    >>> scaled_size(224, 224, 416, 640, 1.3)
    (291, 291)
    """
    scale = min(short_side / min(height, width), long_side / max(height, width), enlarge)
    return max(1, round(height * scale)), max(1, round(width * scale))


def to_input(pixels: NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
    """`(H, W, 3)` uint8 as `(3, *size)` float32 in [0, 1], resized with antialiasing."""
    image = torch.from_numpy(pixels).permute(2, 0, 1)
    resized: Tensor = pixels_to.resize(image, list(size), antialias=True)
    return resized.float() / 255


class Detector:
    """Finds objects in images; see `load_detector`.

    categories: names it can find. version: short hash of weights and settings, so that equal
    versions give equal numbers.
    """

    def __init__(self, model: FasterRCNN, settings: Settings, device: str | None = None) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.settings = settings
        self.categories = settings.categories
        self.version = _version(model, settings)
        model = model.eval().to(self.device)
        fuse_norms(model.backbone)
        self.model = model.to(memory_format=torch.channels_last)

    def detect(self, images: Sequence[Image], *, pooled: bool = False) -> list[Detections]:
        """Objects of each image, in the images' order; a batch gives what single calls give.

        With pooled, also the averages of the backbone's last two maps (strides 16 and 32) by
        roi_align over each box and over the whole image, from the same pass.
        """
        sizes = [self._input_size(image) for image in images]
        found: list[Detections | None] = [None] * len(images)
        padded = [tuple(-(-side // STRIDE) for side in size) for size in sizes]
        order = sorted(range(len(images)), key=padded.__getitem__)
        for _, group in groupby(order, key=padded.__getitem__):
            rows = list(group)
            part = self._detect([images[row] for row in rows], [sizes[row] for row in rows], pooled)
            for row, detections in zip(rows, part, strict=True):
                found[row] = detections
        return [detections for detections in found if detections is not None]

    def _input_size(self, image: Image) -> tuple[int, int]:
        settings = self.settings
        return scaled_size(
            image.height, image.width, settings.short_side, settings.long_side, settings.enlarge
        )

    @torch.inference_mode()
    def _detect(
        self, images: list[Image], sizes: list[tuple[int, int]], pooled: bool
    ) -> list[Detections]:
        model = self.model
        inputs = [
            to_input(image.pixels, size).to(self.device)
            for image, size in zip(images, sizes, strict=True)
        ]
        batch, _ = model.transform(inputs)
        pixels = batch.tensors.contiguous(memory_format=torch.channels_last)
        with autocast(self.device):
            maps = model.backbone.body(pixels)
            features = model.backbone.fpn(maps)
            proposals, _ = model.rpn(batch, features)
            objects, _ = model.roi_heads(features, proposals, batch.image_sizes)
        averages = _pool(maps, objects, batch.image_sizes, pixels.shape[-1]) if pooled else None
        originals = [(image.height, image.width) for image in images]
        objects = model.transform.postprocess(objects, batch.image_sizes, originals)
        return [
            self._detections(image, found, averages[row] if averages else None)
            for row, (image, found) in enumerate(zip(images, objects, strict=True))
        ]

    def _detections(
        self, image: Image, found: dict[str, Tensor], averages: Tensor | None
    ) -> Detections:
        pooled = None if averages is None else averages.cpu().numpy()
        edges = np.array([image.width, image.height] * 2, dtype=np.float32)
        return Detections(
            boxes=np.clip(found["boxes"].float().cpu().numpy(), 0, edges),
            scores=found["scores"].float().cpu().numpy(),
            labels=tuple(self.categories[label - 1] for label in found["labels"].tolist()),
            width=image.width,
            height=image.height,
            pooled=None if pooled is None else pooled[:-1],
            pooled_whole=None if pooled is None else pooled[-1],
        )


def _pool(
    maps: dict[str, Tensor],
    objects: list[dict[str, Tensor]],
    sizes: list[tuple[int, int]],
    padded_width: int,
) -> list[Tensor]:
    """Per image `(N + 1, C)`: each box, then the whole image, over the last two maps."""
    regions = [
        torch.cat([found["boxes"].float(), found["boxes"].new_tensor([[0, 0, width, height]])])
        for found, (height, width) in zip(objects, sizes, strict=True)
    ]
    averages = [
        roi_align(feature.float(), regions, 7, feature.shape[-1] / padded_width, 2, True).mean(
            dim=(2, 3)
        )
        for feature in list(maps.values())[-2:]
    ]
    return list(torch.split(torch.cat(averages, dim=1), [len(boxes) for boxes in regions]))


def _version(model: FasterRCNN, settings: Settings) -> str:
    digest = hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode())
    for value in model.state_dict().values():
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def save_detector(model: FasterRCNN, settings: Settings, path: Path, recipe: object = None) -> None:
    """Writes the weights to `path` (.safetensors; kernels and matrices in half precision), settings
    and recipe beside it (.json)."""
    state = {
        key: (value.half() if value.ndim > 1 else value).detach().cpu().contiguous()
        for key, value in model.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(save(state))
    described = {"settings": asdict(settings), "recipe": recipe}
    path.with_suffix(".json").write_text(json.dumps(described, indent=2) + "\n")


def load_detector(name_or_path: str | Path = "bundled", device: str | None = None) -> Detector:
    """A detector by name or file.

    'bundled' (no download); torchvision's 'fasterrcnn_resnet50_fpn_v2' or
    'fasterrcnn_resnet50_fpn' with COCO weights; or a .safetensors written by `save_detector`
    (of the architecture that its .json says). device: 'cpu', 'cuda', or None for CUDA where
    there is one.
    Raises FileNotFoundError where the weights are missing or cannot be downloaded, ValueError
    where they do not fit.
    """
    if str(name_or_path) in HUB:
        return Detector(*hub_faster_rcnn(str(name_or_path)), device)
    if str(name_or_path) == "resnet101_fpn":
        raise FileNotFoundError(
            "torchvision publishes no detection weights for 'resnet101_fpn': train it with "
            "`related-pins detector train --architecture resnet101_fpn` and give the file."
        )
    path = BUNDLED if str(name_or_path) == "bundled" else Path(name_or_path)
    if not (path.is_file() and path.with_suffix(".json").is_file()):
        raise FileNotFoundError(
            f"No detector '{name_or_path}': give one of bundled, {', '.join(HUB)}, or a "
            ".safetensors file with its .json beside it."
        )
    settings = read_settings(path)
    model = faster_rcnn(settings, pretrained=False)
    load_weights(model, path)
    return Detector(model, settings, device)


def read_settings(path: Path) -> Settings:
    """The settings that `save_detector` wrote beside the weights."""
    described = json.loads(path.with_suffix(".json").read_text())["settings"]
    return Settings(**{**described, "categories": tuple(described["categories"])})


def load_weights(model: FasterRCNN, path: Path) -> None:
    """Fills the model with the weights that `save_detector` wrote; ValueError where they do not
    fit."""
    state = {key: value.float() for key, value in load_file(path).items()}
    try:
        missing, unexpected = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise ValueError(f"The weights in {path} do not fit this detector.") from error
    if unexpected or any(not key.endswith("num_batches_tracked") for key in missing):
        raise ValueError(f"{path} does not hold a detector of this architecture.")
