"""The commands about the detector: train it, measure it, choose its thresholds.

Heavy imports happen inside the commands, so that `related-pins --help` loads no torch.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from features.detector.detector import Detections, Detector
    from features.detector.evaluation import Detect, OnPhoto
    from features.detector.matches import Matches
    from features.detector.products import Share
    from features.images.images import Image

app = typer.Typer(no_args_is_help=True, help="The detector: train, evaluate, choose thresholds.")

_BOXES_HELP = "COCO file of boxes; may be given again, each with its --photos."
_PHOTOS_HELP = (
    "Folder that the file names of a --boxes are relative to, in the same order; without any, each "
    "file's own folder."
)
_DETECTOR_HELP = "bundled, a torchvision model by name (fasterrcnn_resnet50_fpn_v2, ...) or a file."
_DEVICE_HELP = "cpu or cuda [default: cuda where there is one]"
Boxes = Annotated[Path, typer.Option(help="COCO file of true boxes.")]
Photos = Annotated[
    Path | None,
    typer.Option(help="Folder its file names are relative to [default: the file's own]"),
]
DetectorName = Annotated[str, typer.Option(help=_DETECTOR_HELP)]
Device = Annotated[str | None, typer.Option(help=_DEVICE_HELP)]
Out = Annotated[Path, typer.Option(help="File.safetensors to write.")]
Source = Annotated[Path, typer.Option(help="Folder in the input contract.")]
AsJson = Annotated[Path | None, typer.Option("--json", help="File for all numbers, as JSON.")]


@app.command()
def train(
    boxes: Annotated[list[Path], typer.Option(help=_BOXES_HELP)],
    out: Out,
    photos: Annotated[list[Path] | None, typer.Option(help=_PHOTOS_HELP)] = None,
    architecture: Annotated[
        str, typer.Option(help="lite0, resnet50_fpn or resnet101_fpn")
    ] = "lite0",
    start: Annotated[
        Path | None, typer.Option(help="Weights to go on from: a file, or bundled.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1)] = 4,
    batch_size: Annotated[int, typer.Option(min=1)] = 8,
    learning_rate: Annotated[float, typer.Option(min=0)] = 3e-4,
    short_side: Annotated[
        int,
        typer.Option(
            min=32, help="Photos are scaled to it, pixels; to train, to 79% of it or more."
        ),
    ] = 448,
    seed: int = 7,
    device: Device = None,
) -> None:
    """Train a Faster R-CNN on COCO files; a run that was stopped goes on from its last epoch.

    Example: related-pins detector train --boxes boxes.json --photos photos --out mine.safetensors
    """
    from features.detector.detector import BUNDLED
    from features.detector.training import Recipe, scaled, train

    folders = photos or [file.parent for file in boxes]
    if len(folders) != len(boxes):
        raise ValueError(f"Give one --photos per --boxes: {len(folders)} for {len(boxes)}.")
    recipe = scaled(
        Recipe(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, seed=seed),
        short_side,
    )
    start = BUNDLED if start == Path("bundled") else start
    coco_files = list(zip(boxes, folders, strict=True))
    train(coco_files, out, recipe, architecture=architecture, start=start, device=device)
    _trained(out)


@app.command()
def train_bundled(
    fashion: Annotated[Path, typer.Option(help="Input folder with boxes_train.json.")],
    scenes: Annotated[Path, typer.Option(help="What `related-pins sample` wrote.")],
    everyday: Annotated[Path, typer.Option(help="Folder with a COCO boxes_train.json.")],
    out: Out,
) -> None:
    """Train the bundled detector again, as docs/model-card.md describes it.

    Example: related-pins detector train-bundled --fashion fashion --scenes demo/sample
    --everyday coco256 --out again.safetensors
    """
    from features.detector.bundled import train_bundled

    train_bundled(fashion, scenes, everyday, out)
    _trained(out)


@app.command()
def evaluate(
    boxes: Boxes,
    photos: Photos = None,
    detector: DetectorName = "bundled",
    device: Device = None,
    everyday: Annotated[
        bool, typer.Option(help="The file has COCO's names: say them in ours (couch, plant, ...).")
    ] = False,
    json_file: AsJson = None,
    picture: Annotated[
        Path | None, typer.Option(help="PNG of reliability and precision over recall.")
    ] = None,
    failures: Annotated[
        Path | None, typer.Option(help="Folder for pictures of the worst photos.")
    ] = None,
    worst: Annotated[int, typer.Option(min=1, help="How many of them.")] = 12,
) -> None:
    """Average precision, its intervals, latency and reliability on photos with true boxes.

    Example: related-pins detector evaluate --boxes boxes_val.json --json numbers.json
    --picture scores.png --failures worst --worst 12
    """
    from rich.console import Console

    from features.detector.detector import load_detector
    from features.detector.failures import draw_failures
    from features.detector.judgement import judged, judgement_tables
    from features.detector.matches import curves, reliability
    from features.detector.plots import draw_scores
    from features.visuals.visuals import VisualSettings

    found = load_detector(detector, device)
    folder = photos or boxes.parent
    with _photos_bar("evaluate") as bar:
        judgement, matches = judged(found, boxes, folder, everyday=everyday, on_photo=bar)
    for table in judgement_tables(judgement):
        Console().print(table)
    if json_file:
        _write_json(json_file, asdict(judgement))
    if picture:
        draw_scores(reliability(matches), curves(matches), picture)
        print(f"Scores and curves: {picture}")
    if failures:
        drawn = draw_failures(
            matches, {name: folder / name for name in matches.photos}, failures, worst,
            found.settings.thresholds, VisualSettings().min_score,
        )  # fmt: skip
        print(f"{len(drawn)} pictures of the worst photos: {failures}")
    print("Next: related-pins detector evaluate-products --source DIR")


@app.command()
def evaluate_products(
    source: Source,
    detector: DetectorName = "bundled",
    device: Device = None,
    per_board: Annotated[int, typer.Option(min=1, help="Photos of each board at most.")] = 25,
    json_file: AsJson = None,
) -> None:
    """Share of held-out product photos whose dominant object, and whose surest detection, has the
    board's category; and of those that show people down to their hips, in which shoes, a hat or
    shorts are found all the same.

    Example: related-pins detector evaluate-products --source fashion --per-board 25
    """
    from features.detector.detector import load_detector
    from features.detector.products import named_photos, right_by_board, strays

    keep = _keeping(load_detector(detector, device))
    with _photos_bar("products") as bar:
        named = named_photos(keep, source, per_board, bar)
    shares = {
        "dominant": right_by_board((photo.board, photo.dominant) for photo in named),
        "surest": right_by_board((photo.board, photo.surest) for photo in named),
    }
    for kind, by_board in shares.items():
        _print_shares(f"board ({kind})", by_board)
    shares["stray"] = strays(named)
    _print_shares("found, though not in view", shares["stray"])
    if json_file:
        by_kind = {
            kind: {board: asdict(share) for board, share in by_board.items()}
            for kind, by_board in shares.items()
        }
        _write_json(json_file, by_kind)
    print("Next: related-pins detector dominance --source " + str(source))


@app.command()
def thresholds(
    boxes: Boxes,
    detector: Annotated[str, typer.Option(help="The file whose .json is written, or bundled.")],
    photos: Photos = None,
    device: Device = None,
    precision: Annotated[
        float, typer.Option(min=0, max=1, help="Share of kept detections right at IoU 0.5.")
    ] = 0.7,
    least: Annotated[
        int, typer.Option(min=1, help="Detections that a category's own threshold rests on.")
    ] = 20,
    everyday: Annotated[bool, typer.Option(help="The file has COCO's names.")] = False,
) -> None:
    """Choose the least score of each category, and write it into the detector's settings.

    Take photos that the detector has not trained on and that no evaluation uses: on others the
    scores flatter it.

    Example: related-pins detector thresholds --boxes held_out.json --detector mine.safetensors
    """
    from features.detector.detector import BUNDLED, load_detector
    from features.detector.judgement import matched
    from features.detector.thresholds import thresholds, write_thresholds

    path = BUNDLED if detector == "bundled" else Path(detector)
    found = load_detector(path, device)
    with _photos_bar("thresholds") as bar:
        matches = matched(found, boxes, photos or boxes.parent, everyday=everyday, on_photo=bar)
    chosen = thresholds(matches, precision, least)
    if not chosen:
        raise ValueError(
            f"No score has {least} detections of which {precision:.0%} are right; ask for less."
        )
    write_thresholds(path, chosen)
    _print_thresholds(matches, chosen)
    print(f"Written: {path.with_suffix('.json')}")
    print("Next: related-pins features --date DAY, which describes all pins anew")


@app.command()
def dominance(
    source: Source,
    detector: DetectorName = "bundled",
    device: Device = None,
    photos: Annotated[int, typer.Option(min=1, help="Pins with most croppers to look at.")] = 300,
    json_file: AsJson = None,
) -> None:
    """How often each rule for the dominant object picks the one that most users cropped.

    Example: related-pins detector dominance --source fashion --photos 300
    """
    from features.detector.detector import load_detector
    from features.detector.dominant import agreement

    keep = _keeping(load_detector(detector, device))
    with _photos_bar("dominance") as bar:
        shares = agreement(keep, source, photos, bar)
    _print_shares("rule", shares)
    if json_file:
        _write_json(json_file, {rule: asdict(share) for rule, share in shares.items()})
    print(f"Next: related-pins detector evaluate-products --source {source}")


def _trained(out: Path) -> None:
    from features.detector.detector import load_detector

    detector = load_detector(out, "cpu")
    print(f"Weights: {out} (version {detector.version}); recipe: {out.with_suffix('.json')}")
    print(f"Losses: {out.with_suffix('.png')}")
    print(f"Next: related-pins detector evaluate --boxes held_out.json --detector {out}")


def _keeping(model: "Detector") -> "Detect":
    """What the detector finds that is worth keeping."""
    from features.visuals.visuals import VisualSettings, worth_keeping

    def keep(images: Sequence["Image"]) -> list["Detections"]:
        thresholds, settings = model.settings.thresholds, VisualSettings()
        return [worth_keeping(found, thresholds, settings) for found in model.detect(images)]

    return keep


def _print_shares(kind: str, shares: Mapping[str, "Share"]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(kind, "photos", "right", "share", "95% interval")
    for name, share in shares.items():
        edges = f"{share.low:.0%} to {share.high:.0%}"
        table.add_row(name, f"{share.photos:,}", f"{share.right:,}", f"{share.share:.0%}", edges)
    Console().print(table)


def _print_thresholds(matches: "Matches", chosen: Mapping[str, float]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("category", "score", "kept", "right", "true boxes", "found of them")
    for name, score in chosen.items():
        category = matches.categories.index(name)
        kept = (matches.found.category == category) & (matches.found.score >= score)
        right, true = matches.found.matched[kept], matches.true.category == category
        share = f"{right.mean():.0%}" if len(right) else ""
        recall = f"{right.sum() / true.sum():.0%}"
        table.add_row(name, f"{score:.3f}", str(len(right)), share, str(true.sum()), recall)
    Console().print(table)


def _write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
    print(f"Numbers: {path}")


@contextmanager
def _photos_bar(name: str) -> Iterator["OnPhoto"]:
    """A progress bar with time left on stderr; what it gives is called with (done, total)."""
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.TextColumn("{task.description:12}"), rich.BarColumn(), rich.MofNCompleteColumn(),
        rich.TimeElapsedColumn(), rich.TextColumn("left"), rich.TimeRemainingColumn(),
    )  # fmt: skip
    with rich.Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(name, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
