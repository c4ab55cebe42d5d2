"""Image files of pins: paths of the source folder, and remote images kept in the home folder."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from features.images.images import Image, image_file, load_image
from features.images.remote import RemoteImages, image_files
from sql.database import Database
from sql.tables import pins

if TYPE_CHECKING:
    from features.visuals.store import Progress

__all__ = ["PinImages", "fetched_blocks", "fetched_files"]

PINS_AT_A_TIME = 16_384


@dataclass(frozen=True)
class PinImages:
    """The images that the last daily run saw, to be shown with what it found in them.

    Nothing is fetched, nothing outside of the source folder is opened.
    """

    source: Path
    home: Path

    def file(self, image: str) -> Path:
        """The file of an image as in `pins.image`: a path within the source folder or a URI.

        Raises UnreadableImage where there is none; a local file may still not be readable.
        """
        if "://" in image:
            return RemoteImages(self.home / "remote").kept_file(image)
        return image_file(self.source, image)

    def of(self, database: Database, pin: str) -> Image:
        """The image of a pin. Raises ValueError where there is no such pin, and UnreadableImage."""
        query = sa.select(pins.c.image).where(pins.c.pin_id == pin)
        found = database.read(query)["image"].to_pylist()
        if not found:
            raise ValueError(f"There is no pin {pin}; pins are in the table `pins`.")
        return load_image(self.file(found[0]))


def fetched_files(
    database: Database, source: Path, home: Path, progress: "Progress | None" = None
) -> tuple[dict[str, Path], dict[str, str]]:
    """(pin -> image file, pin -> why it has none) of all pins; remote images are fetched where
    they are not here or may have changed, see RemoteImages."""
    files, refused = dict[str, Path](), dict[str, str]()
    for some, none in fetched_blocks(database, source, home, progress):
        files, refused = files | some, refused | none
    return files, refused


def fetched_blocks(
    database: Database,
    source: Path,
    home: Path,
    progress: "Progress | None" = None,
    where: sa.ColumnElement[bool] | None = None,
) -> Iterator[tuple[dict[str, Path], dict[str, str]]]:
    """As fetched_files, in order, PINS_AT_A_TIME at a time: of all pins or those of a condition."""
    tick = None if progress is None else partial(progress, "remote images")
    remote, last = RemoteImages(home / "remote"), sa.true()
    query = sa.select(pins.c.pin_id, pins.c.image).order_by("pin_id").limit(PINS_AT_A_TIME)
    query = query if where is None else query.where(where)
    while rows := database.read(query.where(last)).to_pylist():
        images = {row["pin_id"]: row["image"] for row in rows}
        yield image_files(images, source, remote, tick)
        last = pins.c.pin_id > rows[-1]["pin_id"]
