"""What commands about pins have in common: their options, the extractor, progress bars."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.engine.named import EngineName

if TYPE_CHECKING:
    from features.visuals.store import Progress
    from features.visuals.visuals import VisualExtractor
    from sql.database import Database

_SOURCE_HELP = "Folder of pins, requests, impressions, engagements, candidates and crops."
_DETECTOR_HELP = "bundled, a torchvision model by name (fasterrcnn_resnet50_fpn_v2, ...) or a file."
_POOLING_HELP = "roi_align: pool the detector's own features; crop: embed the pixels of each box."
_PROJECTION_HELP = "bundled (where it fits), none, or a file of `related-pins features learn`."
_ENGINE_HELP = "local: this machine; ray: Ray Data on the cluster of RAY_ADDRESS, or here."
_WORKERS_HELP = "Processes [default: 1]; with ray its actors [default: one per GPU, else per CPU]."
Source = Annotated[Path, typer.Option(help=_SOURCE_HELP)]
LastSource = Annotated[Path | None, typer.Option(help=_SOURCE_HELP + " [default: the last one]")]
Day = Annotated[dt.datetime, typer.Option(formats=["%Y-%m-%d"], help="Nothing later is known.")]
Holdout = Annotated[int, typer.Option(min=1, help="Held-out days, up to and including the date.")]
DetectorName = Annotated[str, typer.Option(help=_DETECTOR_HELP)]
EmbedderName = Annotated[str, typer.Option(help="lite0 (bundled) or a pretrained timm model.")]
Pooling = Annotated[str, typer.Option(help=_POOLING_HELP)]
ProjectionName = Annotated[str, typer.Option(help=_PROJECTION_HELP)]
EngineOption = Annotated[EngineName, typer.Option("--engine", help=_ENGINE_HELP)]
Workers = Annotated[int | None, typer.Option(min=1, help=_WORKERS_HELP)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]


def visual_extractor(
    detector: str, embedder: str, pooling: str, projection: str = "bundled"
) -> "VisualExtractor":
    from features.detector.detector import load_detector
    from features.embedding.embedding import Embedder
    from features.embedding.projection import load_projection
    from features.visuals.visuals import VisualExtractor, VisualSettings

    plain = VisualExtractor(
        load_detector(detector), Embedder(embedder), VisualSettings(pooling=pooling)
    )
    if projection == "none":
        return plain
    learned = load_projection() if projection == "bundled" else load_projection(Path(projection))
    if projection == "bundled" and learned.learned_on != plain.features:
        return plain
    return VisualExtractor(plain.detector, plain.embedder, plain.settings, learned)


def last_source(database: "Database", source: Path | None) -> Path:
    from sql.runs import last_summary

    return source or Path(str(last_summary(database, "source")))


@contextmanager
def bars() -> Iterator["Progress"]:
    """Progress bars with time left, one per step, on stderr."""
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.TextColumn("{task.description:18}"), rich.BarColumn(), rich.MofNCompleteColumn(),
        rich.TimeElapsedColumn(), rich.TextColumn("left"), rich.TimeRemainingColumn(),
    )  # fmt: skip
    with rich.Progress(*columns, console=Console(stderr=True)) as shown:
        tasks: dict[str, rich.TaskID] = {}

        def progress(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = shown.add_task(step, total=total)
            shown.update(tasks[step], completed=done, total=total)

        yield progress
