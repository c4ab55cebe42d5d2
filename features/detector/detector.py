"""Objects in pins: boxes, categories and scores from a trained Faster R-CNN."""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import roi_align
from torchvision.transforms.v2 import functional as pixels_to

from features.detector.faster_rcnn import HUB, Settings, faster_rcnn, hub_faster_rcnn
from features.devices import Placed, best_device, layout
from features.fused import fuse_norms, fuse_relu6
from features.images.images import Image
from features.precision import autocast

BUNDLED = Path(__file__).parent.parent / "weights" / "detector.safetensors"
STRIDE = 32
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Detections:
    """Objects found in one image, by falling score.

    boxes: `(N, 4)` float32 xyxy, pixels of the original. scores: `(N,)` float32 in [0, 1].
    labels: N category names. width, height: of the original, pixels.
    pooled: `(R, C)` float32, the detector's own features of the regions that were asked for, unit
    length; None where none were. N may be 0.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: tuple[str, ...]
    width: int
    height: int
    pooled: NDArray[np.float32] | None = None


Regions = Callable[[Detections], NDArray[np.float32]]


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


class Detector(Placed):
    """Finds objects in images; see `load_detector`.

    categories: names it can find. version: short hash of weights and settings, so that equal
    versions give equal numbers. pooling_version: the same without the thresholds, on which pooled
    features do not depend.
    """

    def __init__(self, model: FasterRCNN, settings: Settings, device: str | None = None) -> None:
        self.device = best_device(device)
        self.settings = settings
        self.categories = settings.categories
        self.version = _version(model, settings)
        self.pooling_version = _version(model, replace(settings, thresholds={}))
        model = model.eval().to(self.device)
        fuse_relu6(fuse_norms(model.backbone))
        self.model = model.to(memory_format=layout(self.device))

    def detect(
        self, images: Sequence[Image], *, regions: Regions | None = None
    ) -> list[Detections]:
        """Objects of each image, in the images' order; a batch gives what single calls give.

        regions: which boxes `(R, 4)`, given what was found, are to be pooled from the same pass.
        """
        return self._by_size(images, lambda part, _: self._detect(part, regions))

    def pool(
        self, images: Sequence[Image], boxes: Sequence[NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]:
        """The detector's features `(R, C)` of each image's boxes `(R, 4)`, nothing detected: the
        head's features of a box, and the means of the backbone's maps over it by roi_align, each
        part scaled to the same length and the whole to 1. R may be 0.
        """
        return self._by_size(
            images, lambda part, rows: self._pool(self._maps(part), part, [boxes[r] for r in rows])
        )

    def _by_size(
        self, images: Sequence[Image], function: Callable[[list[Image], list[int]], list[Result]]
    ) -> list[Result]:
        """The function's results in the images' order, called for images of one padded size."""
        padded = [tuple(-(-side // STRIDE) for side in self._input_size(i)) for i in images]
        results: dict[int, Result] = {}
        order = sorted(range(len(images)), key=padded.__getitem__)
        for _, group in groupby(order, key=padded.__getitem__):
            rows = list(group)
            part = function([images[row] for row in rows], rows)
            results |= dict(zip(rows, part, strict=True))
        return [results[row] for row in range(len(images))]

    def _input_size(self, image: Image) -> tuple[int, int]:
        settings = self.settings
        return scaled_size(
            image.height, image.width, settings.short_side, settings.long_side, settings.enlarge
        )

    @torch.inference_mode()
    def _maps(self, images: list[Image]) -> "_Maps":
        inputs = [to_input(i.pixels, self._input_size(i)).to(self.device) for i in images]
        batch, _ = self.model.transform(inputs)
        pixels = batch.tensors.contiguous(memory_format=layout(self.device))
        with autocast(self.device):
            body = self.model.backbone.body(pixels)
            return _Maps(batch, body, self.model.backbone.fpn(body))

    @torch.inference_mode()
    def _detect(self, images: list[Image], regions: Regions | None) -> list[Detections]:
        model, maps = self.model, self._maps(images)
        with autocast(self.device):
            proposals, _ = model.rpn(maps.batch, maps.pyramid)
            objects, _ = model.roi_heads(maps.pyramid, proposals, maps.batch.image_sizes)
        originals = [(image.height, image.width) for image in images]
        objects = model.transform.postprocess(objects, maps.batch.image_sizes, originals)
        found = [self._detections(image, one) for image, one in zip(images, objects, strict=True)]
        if regions is None:
            return found
        pooled = self._pool(maps, images, [regions(one) for one in found])
        return [replace(one, pooled=rows) for one, rows in zip(found, pooled, strict=True)]

    @torch.inference_mode()
    def _pool(
        self, maps: "_Maps", images: list[Image], boxes: Sequence[NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]:
        sizes = maps.batch.image_sizes
        scaled = [
            torch.from_numpy(rows).to(self.device)
            * torch.tensor([w / i.width, h / i.height] * 2, device=self.device)
            for rows, i, (h, w) in zip(boxes, images, sizes, strict=True)
        ]
        heads = self.model.roi_heads
        width = maps.batch.tensors.shape[-1]
        with autocast(self.device):
            parts = [heads.box_head(heads.box_roi_pool(maps.pyramid, scaled, sizes)).float()]
        for level in maps.body.values():
            scale = level.shape[-1] / width
            parts.append(roi_align(level.float(), scaled, 7, scale, 2, True).mean(dim=(2, 3)))
        lengths = [nn.functional.normalize(part, dim=1) for part in parts]
        features = torch.cat(lengths, dim=1) / math.sqrt(len(parts))
        return [rows.cpu().numpy() for rows in torch.split(features, [len(b) for b in boxes])]

    def _detections(self, image: Image, found: dict[str, Tensor]) -> Detections:
        edges = np.array([image.width, image.height] * 2, dtype=np.float32)
        return Detections(
            boxes=np.clip(found["boxes"].float().cpu().numpy(), 0, edges),
            scores=found["scores"].float().cpu().numpy(),
            labels=tuple(self.categories[label - 1] for label in found["labels"].tolist()),
            width=image.width,
            height=image.height,
        )


@dataclass(frozen=True, eq=False)
class _Maps:
    """A batch of images of one padded size, the backbone's maps and the pyramid over them."""

    batch: ImageList
    body: dict[str, Tensor]
    pyramid: dict[str, Tensor]


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
