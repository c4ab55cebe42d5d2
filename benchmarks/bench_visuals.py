"""Visuals per second: the extractor against the plain loop that one would write first.

    python benchmarks/bench_visuals.py [FOLDER OF IMAGES] [--images 64]

The plain loop takes one image at a time: decode, torchvision's Faster R-CNN in float32, then for
the whole image and each tight and padded crop one call of timm, one by one. Two of them: with the
same detector, so that only the engineering differs; and with torchvision's ResNet-50 FPN v2 at its
own input size (weights do not change its time; it cuts the same boxes). Interleaved runs, medians.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import timm
import torch
from machine import machine
from PIL import Image as pil
from safetensors.torch import load_file
from torchvision.models.detection import fasterrcnn_resnet50_fpn_v2
from torchvision.transforms.functional import to_tensor

from features.boxes import pad
from features.detector.detector import BUNDLED, load_detector
from features.detector.faster_rcnn import faster_rcnn
from features.embedding.backbone import MEAN, STD, lite0
from features.embedding.embedding import Embedder
from features.visuals.describing import describe_files
from features.visuals.visuals import PinVisual, VisualExtractor, VisualSettings

PADDING = VisualSettings().padding


def plain_loop(
    files: Sequence[Path], detector: torch.nn.Module, boxes: Sequence[np.ndarray] | None
) -> list[np.ndarray]:
    """Embeddings per image: the whole, then each object's tight and padded crop."""
    embedder = lite0()
    transform = timm.data.create_transform((3, 224, 224), mean=MEAN, std=STD, crop_pct=1.0)
    vectors = []
    with torch.no_grad():
        for row, file in enumerate(files):
            image = pil.open(file).convert("RGB")
            found = detector([to_tensor(image)])[0]
            kept = found["boxes"][found["scores"] >= VisualSettings().min_score][:8].numpy()
            kept = kept if boxes is None else boxes[row]
            crops = [image, *(image.crop(tuple(box)) for box in kept)]
            crops += [image.crop(tuple(box)) for box in pad(kept, PADDING, *image.size)]
            vectors.append(torch.cat([embedder(transform(crop)[None]) for crop in crops]).numpy())
    return vectors


def same_detector() -> torch.nn.Module:
    """The bundled detector as torchvision runs it: float32, its own resizing."""
    bundled = load_detector()
    settings = bundled.settings
    model = faster_rcnn(settings, pretrained=False)
    model.load_state_dict({k: v.float() for k, v in load_file(BUNDLED).items()}, strict=False)

    class Resized(torch.nn.Module):
        def forward(self, images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
            (image,) = images
            scale = settings.short_side / min(image.shape[1:])
            scale = min(scale, settings.long_side / max(image.shape[1:]))
            size = [round(side * scale) for side in image.shape[1:]]
            small = torch.nn.functional.interpolate(
                image[None], size, mode="bilinear", antialias=True
            )
            (found,) = model.eval()([small[0]])
            return [found | {"boxes": found["boxes"] / scale}]

    return Resized()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or drawn(Path(scratch), options.images)
        files = spread(sorted(folder.glob("*.jpg")), options.images)
        print(machine("torch", "torchvision", "timm", "pillow"))
        compare(files, options.rounds)


def compare(files: Sequence[Path], rounds: int) -> None:
    crop = VisualExtractor(load_detector(), Embedder(), VisualSettings(pooling="crop"))
    pooled = VisualExtractor(crop.detector, crop.embedder, VisualSettings(pooling="roi_align"))

    def ours(extractor: VisualExtractor) -> list[PinVisual]:
        return describe_files(files, [str(file) for file in files], extractor.extract, {}, None)

    boxes = [visual.boxes for visual in ours(crop)]
    resnet = fasterrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None).eval()
    same = same_detector()
    ways: dict[str, Callable[[], object]] = {
        "ours, crop pooling": lambda: ours(crop),
        "ours, roi_align pooling": lambda: ours(pooled),
        "plain loop, same detector": lambda: plain_loop(files, same, None),
        "plain loop, ResNet-50 FPN v2": lambda: plain_loop(files, resnet, boxes),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    crops = sum(len(found) for found in boxes)
    print(f"{len(files)} images, {crops} objects, median of {rounds} interleaved rounds")
    base = statistics.median(seconds["ours, crop pooling"])
    for name, values in seconds.items():
        median = statistics.median(values)
        print(
            f"  {name:30} {len(files) / median:7.1f} images/s  "
            f"{1000 * median / len(files):7.1f} ms/image  ours is {median / base:5.1f}x"
        )


def spread(files: Sequence[Path], n: int) -> list[Path]:
    """n files spread evenly over a sorted folder."""
    rows = np.linspace(0, len(files) - 1, min(n, len(files))).astype(int)
    return [files[row] for row in rows]


def drawn(folder: Path, n: int) -> Path:
    """A folder of drawn scenes, where no photos are given."""
    from experiments.world.appearance import random_looks
    from experiments.world.scenes import draw_outfit

    rng = np.random.default_rng(0)
    for number in range(n):
        scene = draw_outfit(random_looks("outfit", rng), rng)
        scene.image.save(folder / f"{number:03}.jpg")
    return folder


if __name__ == "__main__":
    main()
