"""The commands about single pins, images and feature versions.

Heavy imports happen inside the commands, so that `related-pins --help` loads no torch.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from features.options import (
    AsJson,
    Day,
    DetectorName,
    EmbedderName,
    LastSource,
    Pooling,
    bars,
    last_source,
    visual_extractor,
)
from sql.home import HOME, Db, Home, clear_leftovers, existing, feature_versions, opened

features_app = typer.Typer(invoke_without_command=True)
crops_app = typer.Typer(no_args_is_help=True, help="What people's crops mark: label, heat.")


@features_app.command("one")
def features_one(
    query: str, candidate: str, source: LastSource = None, home: Home = HOME, db: Db = None,
    picture: Annotated[Path | None, typer.Option(help="Where to save the picture.")] = None,
    feature_version: Annotated[str | None, typer.Option(help="[default: the current one]")] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Every feature of one pair with its meaning, and a picture of both pins with their boxes.

    Example: related-pins features one s0003 p12485
    """
    from features.images.pin_images import PinImages
    from features.pairs.one import pair_row, save_picture
    from sql.columns import PAIR_FEATURES, PAIR_INTEREST

    database = opened(home, db)
    version = feature_version or feature_versions(database)["detected"]
    found = pair_row(database, version, query, candidate)
    path = picture or home / "pictures" / f"{query}-{candidate}.png"
    images = PinImages(last_source(database, source), home)
    save_picture(database, version, images, (query, candidate), path)
    if as_json:
        print(json.dumps(found | {"picture": str(path)}, indent=1, default=str))
        return
    for name, meaning in (PAIR_FEATURES | PAIR_INTEREST).items():
        value = "" if found.get(name) is None else f"{found[name]:.4f}"
        print(f"{name:32} {value:>9}  {meaning}")
    print(f"\nPicture: {path}")


@features_app.command("learn")
def features_learn(
    out: Annotated[Path, typer.Argument(help="File to write (.safetensors).")],
    date: Day, home: Home = HOME, db: Db = None, detector: DetectorName = "bundled",
    embedder: EmbedderName = "lite0", pooling: Pooling = "roi_align",
    pins: Annotated[Path | None, typer.Option(help="Text file of the pins to learn from.")] = None,
) -> None:  # fmt: skip
    """Learn the projection of objects from the catalogue and from saves before a day.

    Learns from the visuals of `related-pins features --projection none`.

    Example: related-pins features learn projection.safetensors --date 2026-11-12
    """
    from features.co_engagement import objects_of
    from features.embedding.learning import LearningRecipe, learn_projection
    from features.embedding.projection import save_projection
    from features.visuals.store import VisualStore

    database, recipe = opened(home, db), LearningRecipe()
    extractor = visual_extractor(detector, embedder, pooling, "none")
    store = VisualStore(database, home, extractor.feature_version)
    named = set(pins.read_text().split()) if pins else None
    objects = objects_of(database, store, date.date(), named)
    with bars() as progress:
        learned = learn_projection(objects, extractor.features, recipe, progress)
    save_projection(learned, out, asdict(recipe) | {"before": str(date.date())})
    print(
        f"Learned from {len(objects.categories):,} objects and {len(objects.pairs):,} pairs: {out}"
    )
    print(f"Next: related-pins features --date {date.date()} --projection {out}")


@features_app.command("use")
def features_use(
    feature_version: Annotated[str, typer.Argument(help="As `related-pins status` names it.")],
    home: Home = HOME, db: Db = None,
) -> None:  # fmt: skip
    """Make a complete feature version the current one; the one before stays, to go back to.

    Example: related-pins features use 3f9a2c41b07d55e8
    """
    from features.versions import complete, use
    from sql.lock import locked

    with locked(home, db, "features use") as database:
        database.upgrade()
        use(database, complete(database, home, feature_version))
    print(
        f"Current: {feature_version}. Rankings are made by it from the next `rank` or `daily` on."
    )
    print(f"Next: related-pins daily --feature-version {feature_version} and its options")


@features_app.command("prune")
def features_prune(
    keep: Annotated[list[str] | None, typer.Option(help="Version to keep; again for more.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    home: Home = HOME, db: Db = None,
) -> None:  # fmt: skip
    """Drop the rows, shards and search indexes of feature versions that are not current.

    Example: related-pins features prune --dry-run
    """
    from features.prune import prunable, prune
    from sql.lock import locked

    with locked(home, db, "features prune") as database:
        database.upgrade()
        found = prunable(database, home, feature_versions(database).values(), keep or ())
        for old in found:
            rows = ", ".join(f"{n:,} {name}" for name, n in old.rows.items() if n)
            parts = f"{len(old.shards):,} shards" + (" and an index" if old.index.exists() else "")
            size = f"{parts} of {old.n_bytes / 1e6:,.1f} MB"
            if not dry_run:
                prune(database, old)
            print(f"{'would go' if dry_run else 'gone'}  {old.feature_version}  {size}; {rows}")
    if not found:
        print("Nothing to prune: every feature version is current or kept.")


def detect(
    path: Annotated[Path, typer.Argument(help="An image, or a folder of images.")],
    json_file: Annotated[Path, typer.Option("--json", help="File to write.")],
    min_score: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Least score shown; without it what the daily job keeps."),
    ] = None,
    draw: Annotated[Path | None, typer.Option(help="Folder for pictures with boxes.")] = None,
    detector: DetectorName = "bundled",
    home: Home = HOME,
    db: Db = None,
) -> None:
    """Boxes, categories and scores of the objects in any image.

    Example: related-pins detect photos --json objects.json --draw pictures
    """
    from features.detector.detection import detect_files

    with bars() as progress:
        found = detect_files(path, detector, min_score, draw, progress)
    json_file.write_text(json.dumps([asdict(image) for image in found.images], indent=1) + "\n")
    objects = sum(len(image.objects) for image in found.images)
    print(f"{objects:,} objects in {len(found.images):,} images: {json_file}")
    for name, reason in found.unreadable.items():
        print(f"set aside: {name}: {reason}", file=sys.stderr)


@crops_app.command("heat")
def crops_heat(
    pin: str, source: LastSource = None, home: Home = HOME, db: Db = None,
    picture: Annotated[Path | None, typer.Option(help="Where to save the picture.")] = None,
) -> None:  # fmt: skip
    """A picture of where people cropped a pin, with its weak objects.

    Example: related-pins crops heat s0015 --picture heat.png
    """
    from features.images.pin_images import PinImages
    from features.weak.heat import save_heat

    database = existing(home, db)
    images = PinImages(last_source(database, source), home)
    path = picture or home / "pictures" / f"{pin}-crops.png"
    users, objects = save_heat(database, images, pin, path)
    print(f"{users:,} users cropped {pin}; {objects} weak objects. Picture: {path}")
    print(f"Next: related-pins sql query \"SELECT * FROM weak_objects WHERE pin_id = '{pin}'\"")


def forget(
    pin: Annotated[str | None, typer.Option(help="Pin to erase.")] = None,
    user: Annotated[str | None, typer.Option(help="User to erase.")] = None,
    home: Home = HOME, db: Db = None,
) -> None:  # fmt: skip
    """Erase a pin or a user from all tables and files, and keep it from coming back.

    Example: related-pins forget --user u00042
    """
    from features.erasure import erase_files
    from sql.erasure import erase_rows, reclaim
    from sql.forgotten import remember
    from sql.lock import locked

    if (pin is None) == (user is None):
        raise typer.BadParameter("give --pin or --user", param_hint="--pin, --user")
    kind, id = ("pin", pin) if pin is not None else ("user", str(user))
    with locked(home, db, "forget") as database:
        clear_leftovers(home)
        database.upgrade()
        remember(database, kind, id)
        files = erase_files(database, home, kind, id)
        rows = erase_rows(database, kind, id)
        reclaim(database)
    for name, n_rows in rows.items():
        print(f"{name:24} {n_rows:>10,} rows")
    for path in files:
        print(f"{'rewritten' if path.exists() else 'removed':24} {path}")
    days = sorted({path.parent.name for path in files if path.is_relative_to(home / "reports")})
    for day in days:
        print(f"Next: related-pins report --date {day}")
