import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as pil

from features.embedding.projection import Projection
from features.images.contents import forget_contents
from features.images.images import Image
from features.visuals import describing
from features.visuals import store as store_module
from features.visuals.store import VisualStore, as_rows
from features.visuals.visuals import PinVisual
from sql.database import Database, open_database
from sql.tables import pins
from tests.features.visuals.visuals_for_tests import random_visual


class Maker:
    """Makes visuals that depend on the content only, and remembers how many; can be cut off."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.made = 0
        self.stop_after = stop_after

    def __call__(self, images: Sequence[Image]) -> list[PinVisual]:
        if self.stop_after is not None and self.made >= self.stop_after:
            raise KeyboardInterrupt
        self.made += len(images)
        return [self.visual(image.content_hash) for image in images]

    @staticmethod
    def visual(content: str) -> PinVisual:
        seed = int(content[:8], 16)
        return random_visual(seed, ("bag", "top")[: seed % 3], content=content)


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, Path]:
    """Ten pins; the last two share one image."""
    files = {}
    for number in range(10):
        path = tmp_path / "photos" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        pil.new("RGB", (8, 8), (min(number, 8) * 20, 0, 0)).save(path)
        files[f"pin{number}"] = path
    return files


@pytest.fixture
def store(database: Database, tmp_path: Path) -> VisualStore:
    return VisualStore(database, tmp_path / "home", "v1")


def rows(database: Database) -> list[dict[str, object]]:
    visuals = database.read("SELECT * FROM pin_visuals ORDER BY feature_version, pin_id")
    objects = database.read("SELECT * FROM pin_objects ORDER BY feature_version, pin_id, object_no")
    return visuals.to_pylist() + objects.to_pylist()


def test_every_image_content_is_described_once(
    store: VisualStore, photos: dict[str, Path], database: Database
) -> None:
    make = Maker()
    first = store.refresh(photos, make)
    assert (make.made, first.described, first.reused) == (9, 9, 0)
    before = rows(database)
    second = store.refresh(photos, make)
    assert (make.made, second.described, second.reused) == (9, 0, 10)
    assert rows(database) == before


def test_what_is_read_is_what_was_made(store: VisualStore, photos: dict[str, Path]) -> None:
    store.refresh(photos, Maker())
    found = store.read([*photos, "unknown"])
    assert set(found) == set(photos)
    for visual in found.values():
        made = Maker.visual(visual.content_hash)
        assert visual.categories == made.categories
        np.testing.assert_allclose(visual.crops, made.crops, atol=1e-3)


def test_only_changed_images_are_described_again(
    store: VisualStore, photos: dict[str, Path], database: Database
) -> None:
    store.refresh(photos, Maker())
    pil.new("RGB", (9, 9), (0, 0, 255)).save(photos["pin3"])
    gone = {pin: path for pin, path in photos.items() if pin != "pin5"}
    make = Maker()
    store.refresh(gone, make)
    assert make.made == 1
    fresh = VisualStore(database, store.home, "v2")
    fresh.refresh(gone, Maker())
    by_version = {v: store.__class__(database, store.home, v)._places() for v in ("v1", "v2")}
    contents = {v: {pin: c for pin, (c, _) in p.items()} for v, p in by_version.items()}
    assert contents["v1"] == contents["v2"]
    assert "pin5" not in contents["v1"]


def test_block_by_block_gives_the_rows_of_all_at_once(
    store: VisualStore, photos: dict[str, Path], database: Database
) -> None:
    pins = sorted(photos)
    nobody: dict[str, str] = {}
    blocks = [({pin: photos[pin] for pin in pins[at : at + 3]}, nobody) for at in (0, 3, 6, 9)]
    seen: list[tuple[int, int]] = []
    make = Maker()
    summary = store.refresh_blocks(
        blocks, 10, make, lambda _, done, total: seen.append((done, total))
    )
    at_once = VisualStore(database, store.home / "other", "v2")
    whole = at_once.refresh(photos, Maker())
    assert (make.made, summary.objects) == (9, whole.objects)
    assert seen == sorted(seen)
    assert seen[-1] == (10, 10)
    apart = {v: [row | {"shard": "", "feature_version": ""} for row in rows(database)
                 if row["feature_version"] == v] for v in ("v1", "v2")}  # fmt: skip
    assert apart["v1"] == apart["v2"]


def test_a_pin_whose_image_has_become_unreadable_loses_its_rows(
    store: VisualStore, photos: dict[str, Path]
) -> None:
    store.refresh(photos, Maker())
    photos["pin4"].write_bytes(b"no image")
    summary = store.refresh_blocks([({"pin4": photos["pin4"]}, {})], 1, Maker())
    assert set(summary.unreadable) == {"pin4"}
    assert set(store.read([*photos])) == set(photos) - {"pin4"}


def test_pins_that_are_no_more_lose_their_rows(
    store: VisualStore, photos: dict[str, Path], database: Database
) -> None:
    store.refresh(photos, Maker())
    database.replace(pins, as_rows(pins, [dict.fromkeys(pins.c.keys()) | {"pin_id": "pin7"}]))
    store.drop_unknown()
    assert {row["pin_id"] for row in rows(database)} == {"pin7"}


def test_visuals_are_the_same_where_nothing_is_known_of_contents(
    store: VisualStore, photos: dict[str, Path], database: Database
) -> None:
    store.refresh(photos, Maker())
    before = rows(database)
    assert forget_contents(store.home)
    make = Maker()
    store.refresh(photos, make)
    assert (make.made, rows(database)) == (0, before)


def test_stopped_and_started_again_it_redoes_only_the_shard_in_flight(
    store: VisualStore, photos: dict[str, Path], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "SHARD", 3)
    with pytest.raises(KeyboardInterrupt):
        store.refresh(photos, Maker(stop_after=6))
    make = Maker()
    store.refresh(photos, make)
    assert make.made == 3
    undisturbed = VisualStore(database, store.home / "other", "v1")
    before = rows(database)
    with database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM manifest")
    undisturbed.refresh(photos, Maker())
    assert rows(database) == before


def test_unreadable_images_are_told_apart_and_the_rest_goes_on(
    store: VisualStore, photos: dict[str, Path], tmp_path: Path
) -> None:
    photos["pin1"].write_bytes(photos["pin1"].read_bytes()[:40])
    photos["pin2"].write_bytes(b"")
    summary = store.refresh(photos | {"lost": tmp_path / "nowhere.jpg"}, Maker())
    assert set(summary.unreadable) == {"pin1", "pin2", "lost"}
    assert "empty" in summary.unreadable["pin2"]
    assert set(store.read(list(photos))) == set(photos) - {"pin1", "pin2"}


def test_an_unreadable_image_is_looked_at_once_and_moves_no_shard(
    store: VisualStore, photos: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "SHARD", 3)
    hashes = {pin: hashlib.sha256(path.read_bytes()).hexdigest() for pin, path in photos.items()}
    first = photos[min(hashes, key=hashes.__getitem__)]
    first.write_bytes(first.read_bytes()[:40])
    while hashlib.sha256(first.read_bytes()).hexdigest() > min(set(hashes.values())):
        first.write_bytes(first.read_bytes() + b"0")
    with pytest.raises(KeyboardInterrupt):
        store.refresh(photos, Maker(stop_after=5))
    killed = store.refresh(photos, Maker())
    whole = VisualStore(open_database(tmp_path / "whole.db"), tmp_path / "whole", "v1")
    whole.database.upgrade()
    assert whole.refresh(photos, Maker()).unreadable == killed.unreadable != {}
    monkeypatch.setattr(describing, "describe_files", None)
    assert store.refresh(photos, Maker()).unreadable == killed.unreadable
    assert rows(store.database) == rows(whole.database)


def test_another_version_can_share_what_it_does_not_change(
    store: VisualStore, photos: dict[str, Path], database: Database
) -> None:
    store.refresh(photos, Maker())
    other = VisualStore(database, store.home, "v1-true")
    other.copy_from(store, but_not=["pin0"])
    assert set(other.read(list(photos))) == set(photos) - {"pin0"}
    make = Maker()
    other.refresh({"pin0": photos["pin0"]}, make, keep_others=True)
    assert make.made == 1
    assert set(other.read(list(photos))) == set(photos)
    assert len(store.read(list(photos))) == 10


def test_visuals_are_projected_without_looking_at_an_image_again(
    store: VisualStore, photos: dict[str, Path], database: Database
) -> None:
    store.refresh(photos, Maker())
    learned = Projection(np.zeros(16, np.float32), np.eye(16, 4, dtype=np.float32), "v1")
    short = VisualStore(database, store.home, "v1 projected")
    short.project_from(store, learned)
    make = Maker()
    summary = short.refresh(photos, make)
    assert (make.made, summary.described) == (0, 0)
    anew = VisualStore(database, store.home, "v1 projected anew")
    anew.refresh(photos, lambda images: [visual.projected(learned) for visual in make(images)])
    for pin, plain in store.read([*photos]).items():
        projected, made = short.read([pin])[pin], anew.read([pin])[pin]
        np.testing.assert_allclose(projected.crops, learned(plain.crops), atol=2e-3)
        np.testing.assert_array_equal(projected.boxes, plain.boxes)
        for name in ("whole_crop", "crops", "padded"):
            np.testing.assert_array_equal(getattr(projected, name), getattr(made, name))
    short.project_from(store, learned)
    assert short.read([*photos]).keys() == photos.keys()
