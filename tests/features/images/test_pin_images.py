"""Images of pins as a reader sees them: what the daily job saw, never fetched, never outside."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from experiments.report.gallery import Tile, asked_pins
from features.images.images import UnreadableImage, load_image
from features.images.pin_images import PinImages
from features.pairs.one import save_picture
from sql.database import Database
from sql.tables import requests
from tests.features.images.hostile_corpus import picture
from tests.features.images.hostile_site import ASKED, serving
from tests.features.images.test_hostile_images import refreshed

DAY = dt.date(2026, 11, 2)


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture
def images(
    site: str, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> PinImages:
    """A pin in the folder, one by a link out of it, and a remote one: fetched by the daily step."""
    monkeypatch.setenv("RELATED_PINS_PRIVATE_IMAGES", "1")
    ASKED.clear()
    source = tmp_path / "source"
    source.mkdir()
    picture().save(source / "here.png")
    picture().save(tmp_path / "secret.png")
    (source / "link.png").symlink_to(tmp_path / "secret.png")
    refreshed(database, source, tmp_path / "home", ["here.png", "link.png", f"{site}/good"])
    return PinImages(source, tmp_path / "home")


def test_a_remote_pin_is_shown_as_it_was_fetched(
    images: PinImages, database: Database, site: str
) -> None:
    assert (
        images.of(database, "pin0002").pixels.shape == images.of(database, "pin0000").pixels.shape
    )
    assert images.file(f"{site}/good").is_relative_to(images.home / "remote")
    with pytest.raises(UnreadableImage, match="has not been fetched; run `related-pins features`"):
        images.file(f"{site}/etag")
    assert ASKED == {"/good": 1}


def test_links_out_of_the_folder_are_not_followed(images: PinImages, database: Database) -> None:
    with pytest.raises(UnreadableImage, match="outside of the source folder"):
        images.of(database, "pin0001")
    with pytest.raises(ValueError, match="There is no pin nobody"):
        images.of(database, "nobody")


def test_pictures_of_a_pair_show_remote_pins(
    images: PinImages, database: Database, tmp_path: Path
) -> None:
    out = tmp_path / "pair.png"
    save_picture(database, "none", images, ("pin0000", "pin0002"), out)
    left, right = np.array_split(load_image(out).pixels[:, 16:], 2, axis=1)
    assert left.std() > 0
    assert np.abs(left.mean() - right.mean()) < 10
    with pytest.raises(UnreadableImage, match="outside of the source folder"):
        save_picture(database, "none", images, ("pin0000", "pin0001"), out)


def test_the_report_shows_remote_pins_and_no_file_behind_a_link(
    images: PinImages, database: Database
) -> None:
    ids = ["pin0000", "pin0001", "pin0002"]
    asked = {"request_id": ids, "user_id": ids, "query_pin_id": ids, "date": [DAY] * 3}
    database.replace(requests, pa.table(asked))
    found = asked_pins(database, images, DAY, "none").items
    assert [bool(tile.uri) for tile in found if isinstance(tile, Tile)] == [True, False, True]
