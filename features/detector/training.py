"""Training a detector on COCO-format boxes."""

import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchvision.models.detection import FasterRCNN

from features.detector.detector import load_weights, read_settings, save_detector
from features.detector.examples import (
    CocoFiles,
    Example,
    Target,
    Variety,
    batches,
    categories_of,
    read_coco,
    repeated,
)
from features.detector.faster_rcnn import FROZEN_LAYERS, Settings, faster_rcnn
from features.detector.plots import draw_losses
from features.precision import autocast

CUDA_SIDES = 256  # cuDNN plans for every new shape of a batch: 7 s on an H200, 0.1 s for a step


@dataclass(frozen=True)
class Recipe:
    """How a detector is trained: AdamW, one cosine with a linear warm-up, moving average.

    frozen: layers of the backbone's body that are not trained; None for FROZEN_LAYERS of its
    architecture. repeat_threshold: photos of categories that fewer than this share of all photos
    hold are shown more often (`repeated`). backbone_rate: learning rate of the pretrained layers,
    as a share of the others'. ema_decay: of the moving average of the weights, which is what is
    saved. variety: sizes and windows in training; short_side, long_side: the scale the trained
    detector will look at, pixels.
    """

    epochs: int = 9
    batch_size: int = 8
    learning_rate: float = 3e-4
    backbone_rate: float = 0.4
    frozen: tuple[str, ...] | None = None
    weight_decay: float = 0.02
    warm_up_steps: int = 50
    ema_decay: float = 0.99
    repeat_threshold: float = 0.1
    gradient_norm: float = 10.0
    variety: Variety = field(default_factory=Variety)
    short_side: int = 448
    long_side: int = 690
    seed: int = 7


def scaled(recipe: Recipe, short_side: int) -> Recipe:
    """The recipe with all its sizes changed so that its short side is `short_side`, pixels."""
    share = short_side / recipe.short_side
    variety = replace(
        recipe.variety,
        short_sides=tuple(round(side * share) for side in recipe.variety.short_sides),
        long_side=round(recipe.variety.long_side * share),
    )
    long_side = round(recipe.long_side * share)
    return replace(recipe, variety=variety, short_side=short_side, long_side=long_side)


def train(
    coco_files: CocoFiles,
    out: Path,
    recipe: Recipe | None = None,
    *,
    architecture: str = "lite0",
    start: Path | None = None,
    times: Sequence[float] | None = None,
    device: str | None = None,
) -> Path:
    """Trains on the COCO files (each with the folder of its photos) and writes the weights to
    `out` (.safetensors), beside it settings, recipe and mean losses per epoch (.json) and a picture
    of the losses (.png); returns `out`.

    start: weights to go on from, of a detector of this architecture that knows all categories of
    the files; without it, from ImageNet. times: how often an epoch shows the photos of each file,
    1 by default. device: 'cpu', 'cuda', or None for CUDA where there is
    one. An epoch's end is kept in `out` with suffix .checkpoint: a run that was stopped goes on
    from there, and ends as one that was not.
    Raises ValueError where there are no boxes, `out` has another suffix or a COCO file's name,
    `start` does not fit, or the checkpoint is of another training.
    """
    check_out(out, coco_files)
    recipe = recipe or Recipe()
    if recipe.frozen is None:
        recipe = replace(recipe, frozen=FROZEN_LAYERS.get(architecture, ()))
    settings = Settings(
        _categories(coco_files, start), architecture, recipe.short_side, recipe.long_side,
        enlarge=recipe.variety.enlarge,
    )  # fmt: skip
    examples = [
        example
        for (path, folder), often in zip(coco_files, times or [1.0] * len(coco_files), strict=True)
        for example in read_coco(path, folder, settings.categories, often)
    ]
    if not examples:
        raise ValueError("The COCO files hold no boxes; give at least one photo with a box.")
    examples = repeated(examples, recipe.repeat_threshold)
    described = {
        "photos": len(examples), "categories": settings.categories, "architecture": architecture,
        "start": start.name if start else None, **asdict(recipe),
    }  # fmt: skip
    torch.manual_seed(recipe.seed)
    model = faster_rcnn(settings, pretrained=start is None)
    if start is not None:
        load_weights(model, start)
    run = _Run(model, recipe, sum(example.times for example in examples), device)
    checkpoint = Path(out).with_suffix(".checkpoint")
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    if checkpoint.exists():
        run.load(checkpoint, json.dumps(described))
    with _progress() as progress:
        while run.epoch < recipe.epochs:
            run.one_epoch(examples, progress)
            run.save(checkpoint, json.dumps(described))
    save_detector(run.averaged.module, settings, Path(out), {**described, "losses": run.losses})
    draw_losses(run.losses, Path(out).with_suffix(".png"))
    checkpoint.unlink(missing_ok=True)
    return Path(out)


def check_out(out: Path, coco_files: CocoFiles = ()) -> None:
    """Raises ValueError where the weights would not be written as .safetensors, or the recipe
    beside them over one of the COCO files."""
    if Path(out).suffix != ".safetensors":
        raise ValueError(f"The weights are written as .safetensors; {out} ends otherwise.")
    recipe = Path(out).with_suffix(".json")
    if recipe.resolve() in {Path(path).resolve() for path, _ in coco_files}:
        raise ValueError(
            f"The recipe is written to {recipe}, which holds the boxes; give the weights another "
            "name."
        )


def _categories(coco_files: CocoFiles, start: Path | None) -> tuple[str, ...]:
    """Those of the weights to go on from, or else of the files."""
    names = categories_of(coco_files)
    if start is None:
        return names
    known = read_settings(start).categories
    if unknown := set(names) - set(known):
        raise ValueError(
            f"{start} does not know {', '.join(sorted(unknown))}; train without weights to start "
            "from."
        )
    return known


class _Run:
    """The state of one training: model, its moving average, optimiser, epochs done and the mean
    losses of each."""

    def __init__(
        self, model: FasterRCNN, recipe: Recipe, photos: float, device: str | None
    ) -> None:
        self.recipe = recipe
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.workers = 1 if self.device.type == "cpu" else len(os.sched_getaffinity(0))
        self.steps = math.ceil(photos / recipe.batch_size)
        self.epoch = 0
        self.losses: list[dict[str, float]] = []
        self.model = model.to(self.device)
        self.model.to(memory_format=torch.channels_last)
        if self.device.type == "cuda":
            self.model.transform.size_divisible = CUDA_SIDES
        for name in recipe.frozen or ():
            self.model.backbone.body.get_submodule(name).requires_grad_(False)
        self.averaged = AveragedModel(
            self.model,
            multi_avg_fn=get_ema_multi_avg_fn(recipe.ema_decay),  # type: ignore[no-untyped-call]
        )
        self.optimizer = torch.optim.AdamW(_groups(self.model, recipe))
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._rate)

    def _rate(self, step: int) -> float:
        """Share of the learning rate: linear warm-up, then half a cosine to 1 % of it."""
        warm_up = min(1.0, (step + 1) / self.recipe.warm_up_steps)
        done = step / max(1, self.steps * self.recipe.epochs)
        return warm_up * (0.01 + 0.99 * (1 + math.cos(math.pi * min(1.0, done))) / 2)

    def one_epoch(self, examples: list[Example], progress: Progress) -> None:
        """One pass over the examples, and a line with its mean losses."""
        self.model.train()
        _freeze_norms(self.model)
        torch.manual_seed(self.recipe.seed + self.epoch)
        totals: dict[str, float] = {}
        started = time.perf_counter()
        name = f"epoch {self.epoch + 1}/{self.recipe.epochs}"
        recipe = self.recipe
        drawn = batches(
            examples, recipe.batch_size, recipe.variety, recipe.seed, self.epoch,
            workers=self.workers, drop_last=self.device.type == "cuda",
        )  # fmt: skip
        for images, targets in progress.track(drawn, total=self.steps, description=name):
            for key, value in self._step(images, targets).items():
                totals[key] = totals.get(key, 0.0) + value / self.steps
        self.epoch += 1
        self.losses.append(totals)
        losses = "  ".join(f"{key[5:]} {value:.3f}" for key, value in totals.items())
        seconds = time.perf_counter() - started
        progress.console.print(f"{name}  {losses}  {seconds:.0f} s")

    def _step(self, images: list[Tensor], targets: list[Target]) -> dict[str, float]:
        images = [image.to(self.device) for image in images]
        targets = [{key: value.to(self.device) for key, value in row.items()} for row in targets]
        with autocast(self.device):
            losses = self.model(images, targets)
        loss = torch.stack(list(losses.values())).sum()
        if not torch.isfinite(loss):
            raise ValueError("The loss is not finite; train with a smaller learning rate.")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.gradient_norm)
        self.optimizer.step()
        self.schedule.step()
        self.averaged.update_parameters(self.model)
        return {key: float(value.detach()) for key, value in losses.items()}

    def save(self, path: Path, described: str) -> None:
        state = {
            "described": described,
            "epoch": self.epoch,
            "losses": self.losses,
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        aside = path.with_suffix(".aside")
        torch.save(state, aside)
        aside.replace(path)

    def load(self, path: Path, described: str) -> None:
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["described"] != described:
            raise ValueError(f"{path} is of another training; remove it to start anew.")
        self.epoch, self.losses = state["epoch"], state["losses"]
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])


def _groups(model: FasterRCNN, recipe: Recipe) -> list[dict[str, object]]:
    """Parameter groups: pretrained layers learn slower; vectors (norms, biases) do not decay."""
    groups = []
    for pretrained in (True, False):
        for matrix in (True, False):
            parameters = [
                value
                for key, value in model.named_parameters()
                if value.requires_grad
                and key.startswith("backbone.body") == pretrained
                and (value.ndim > 1) == matrix
            ]
            rate = recipe.learning_rate * (recipe.backbone_rate if pretrained else 1.0)
            decay = recipe.weight_decay if matrix else 0.0
            groups.append({"params": parameters, "lr": rate, "weight_decay": decay})
    return groups


def _freeze_norms(model: nn.Module) -> None:
    """Batch norms keep the statistics they were pretrained with: batches here are small."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
