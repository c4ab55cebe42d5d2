"""`related-pins search`: what is like an image, object by object.

Heavy imports happen inside the command, so that `related-pins --help` loads no torch.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.options import (
    DetectorName,
    EmbedderName,
    LastSource,
    Pooling,
    ProjectionName,
    last_source,
    visual_extractor,
)
from sql.home import HOME, Db, Home, existing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from features.images.images import Image
    from features.search.results import Match, SearchResults
    from sql.database import Database

NAMED = 2  # matches per row of the printed table

_BOX_HELP = "Crop to search for, x1,y1,x2,y2 in pixels; again for more. [default: what is found]"
_CATEGORY_HELP = "Only objects of this category; again for more."
_DRAW_HELP = "PNG to write: the boxes, and results around the matched objects."


def search(
    image: Annotated[Path, typer.Argument(help="The image to search with.")],
    box: Annotated[list[str] | None, typer.Option(help=_BOX_HELP)] = None,
    category: Annotated[list[str] | None, typer.Option(help=_CATEGORY_HELP)] = None,
    top: Annotated[int, typer.Option(min=1, max=1000, help="Results per object.")] = 20,
    json_file: Annotated[Path | None, typer.Option("--json", help="JSON file to write.")] = None,
    draw: Annotated[Path | None, typer.Option(help=_DRAW_HELP)] = None,
    source: LastSource = None, home: Home = HOME, db: Db = None,
    detector: DetectorName = "bundled", embedder: EmbedderName = "lite0",
    pooling: Pooling = "roi_align", projection: ProjectionName = "bundled",
) -> None:  # fmt: skip
    """Find the objects in an image and, for each of them, pins with objects like it.

    Example: related-pins search outfit.jpg --draw matches.png
    """
    from features.images.images import UnreadableImage, load_image
    from features.search.index import open_index
    from features.search.query import Searcher

    database, boxes = existing(home, db), _boxes(box)
    if not image.is_file():
        raise FileNotFoundError(f"There is no image at {image}.")
    try:
        query = load_image(image)
    except UnreadableImage as error:
        raise ValueError(f"{image}: {error}") from error
    extractor = visual_extractor(detector, embedder, pooling, projection)
    index = open_index(home, extractor.feature_version)
    for name in set(category or ()) - set(index.categories):
        names = ", ".join(sorted(index.categories))
        raise ValueError(f"No indexed object is a {name}; there are {names}.")
    results = Searcher(extractor, index).search(query, boxes, category, top)
    _print(image, results, category)
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(asdict(results), indent=1) + "\n")
        print(f"JSON: {json_file}")
    if draw:
        _draw(draw, query, results, database, last_source(database, source), home)
        print(f"Picture: {draw}")
    else:
        print(f"Next: related-pins search {image} --draw matches.png")


def _boxes(texts: list[str] | None) -> "NDArray[np.float32] | None":
    """Crops `(N, 4)` as they were typed; None without any."""
    import numpy as np

    if not texts:
        return None
    try:
        rows = [[float(edge) for edge in text.split(",")] for text in texts]
        if any(len(row) != 4 for row in rows):
            raise ValueError("not four numbers")
    except ValueError as error:
        raise typer.BadParameter(
            "give four numbers of pixels, for example --box 120,40,300,420", param_hint="--box"
        ) from error
    return np.array(rows, dtype=np.float32)


def _print(image: Path, results: "SearchResults", categories: list[str] | None) -> None:
    from rich.console import Console
    from rich.table import Table

    offered = sum(found.offered for found in results.objects)
    print(f"{image} ({results.width} x {results.height}): {len(results.objects)} objects, "
          f"{offered} offered")  # fmt: skip
    if categories and not results.objects:
        print(f"Nothing of category {', '.join(categories)} was found in it.")
    table = Table("", "object", "score", "agreement", "offered", "matches", "first", box=None)
    for number, found in enumerate(results.objects, start=1):
        score = "" if found.score is None else f"{found.score:.2f}"
        table.add_row(
            str(number), found.category or "crop", score, f"{found.agreement:.2f}",
            "yes" if found.offered else "no", str(len(found.matches)), _named(found.matches),
        )  # fmt: skip
    table.add_row("", "whole image", "", "", "", str(len(results.whole)), _named(results.whole))
    Console().print(table)


def _named(matches: "Sequence[Match]") -> str:
    return ", ".join(f"{match.pin_id} {match.cosine:.2f}" for match in matches[:NAMED])


def _draw(
    path: Path, image: "Image", results: "SearchResults", database: "Database", source: Path,
    home: Path,
) -> None:  # fmt: skip
    import sqlalchemy as sa
    from PIL import Image as pil

    from features.images.remote import RemoteImages, image_files
    from features.search.contact_sheet import SHOWN, contact_sheet
    from sql.tables import pins

    lists = [*(found.matches for found in results.objects), results.whole]
    shown = sorted({match.pin_id for matches in lists for match in matches[:SHOWN]})
    rows = database.read(sa.select(pins.c.pin_id, pins.c.image).where(pins.c.pin_id.in_(shown)))
    images = {row["pin_id"]: row["image"] for row in rows.to_pylist()}
    files, _ = image_files(images, source, RemoteImages(home / "remote"))
    path.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(pil.fromarray(image.pixels), results, files).save(path, "PNG")
