"""The commands about the index of objects and whole images: build, update, status.

Heavy imports happen inside the commands, so that `related-pins --help` loads no faiss.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.options import AsJson, bars
from sql.home import HOME, Db, Home, existing, feature_versions

if TYPE_CHECKING:
    from features.search.build import IndexSummary

index_app = typer.Typer(no_args_is_help=True, help="The search index: build, update, status.")
Version = Annotated[
    str | None, typer.Option("--feature-version", help="[default: the current one, detected]")
]


_INDEX_HELP = "files (in the home), milvus://HOST:PORT or milvus://HOST:PORT/DATABASE."


@index_app.command()
def build(
    home: Home = HOME, db: Db = None, version: Version = None,
    index: Annotated[str, typer.Option(help=_INDEX_HELP)] = "files", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Make the index of all objects and whole images anew; the old one serves meanwhile.

    Example: related-pins index build
    """
    from features.search.build import build_index

    server = None if index == "files" else index
    _run("build", partial(build_index, server=server), home, db, version, as_json)


@index_app.command()
def update(
    home: Home = HOME, db: Db = None, version: Version = None, as_json: AsJson = False
) -> None:
    """Bring the index up to the pins: new images in, images that no pin shows any more out.

    Example: related-pins index update
    """
    from features.search.build import update_index

    _run("update", update_index, home, db, version, as_json)


@index_app.command()
def status(
    home: Home = HOME, db: Db = None, version: Version = None, as_json: AsJson = False
) -> None:
    """What is indexed, its size, and the pins that are not in it yet; writes nothing.

    Example: related-pins index status --json
    """
    from features.search.build import index_status

    database = existing(home, db)
    found = index_status(database, home, version or feature_versions(database)["detected"])
    if as_json:
        print(json.dumps(found, indent=1))
        return
    for name, value in found.items():
        print(f"{name.replace('_', ' '):18} {value:,}" if isinstance(value, int) else
              f"{name.replace('_', ' '):18} {value}")  # fmt: skip
    if found["images_to_add"] or found["images_to_remove"]:
        print("Next: related-pins index update")


def _run(
    command: str,
    make: "Callable[..., IndexSummary]",
    home: Path,
    db: str | None,
    version: str | None,
    as_json: bool,
) -> None:
    from sql.home import clear_leftovers
    from sql.lock import locked

    begun = time.monotonic()
    existing(home, db)
    with locked(home, db, f"index {command}") as database, bars() as progress:
        clear_leftovers(home)
        version = version or feature_versions(database)["detected"]
        summary = make(database, home, version, progress)
    seconds = round(time.monotonic() - begun, 1)
    generation = summary.generation
    if as_json:
        print(json.dumps(asdict(summary) | {"seconds": seconds}, indent=1))
        return
    if not summary.written:
        print(f"The index of {version} is up to date.")
    print(
        f"{generation.n_objects:,} objects and {generation.n_images:,} images of "
        f"{generation.n_pins:,} pins, {generation.n_bytes / 1e6:,.1f} MB, generation "
        f"{generation.name}: {summary.added:,} images added, {summary.removed:,} removed, "
        f"{seconds:,} s."
    )
    print("Next: related-pins search IMAGE")
