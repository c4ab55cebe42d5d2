"""`related-pins search` with the bundled detector on drawn outfits: table, JSON, picture."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as pil
from typer.testing import CliRunner

from experiments.world.appearance import random_looks
from experiments.world.scenes import draw_outfit
from features.options import visual_extractor
from features.search.build import build_index
from features.visuals.store import VisualStore, as_rows
from related_pins import app
from sql.columns import CATEGORIES
from sql.database import open_database
from sql.tables import pins


@pytest.fixture(scope="module", autouse=True)
def loaded_once() -> Iterator[None]:
    """The real extractor, but read from its files once for all searches here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("features.search.commands.visual_extractor", cached)
        yield


cached = cache(visual_extractor)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("home"), np.random.default_rng(1)
    files = {f"w{n}": folder / f"w{n}.png" for n in range(6)}
    for path in files.values():
        draw_outfit(random_looks("outfit", rng), rng).image.save(path)
    database = open_database(folder / "related_pins.db")
    database.upgrade()
    rows = [dict.fromkeys(pins.c.keys()) | {"pin_id": pin, "image": path.name}
            for pin, path in files.items()]  # fmt: skip
    database.replace(pins, as_rows(pins, rows))
    extractor = cached("bundled", "lite0", "roi_align", "bundled")
    VisualStore(database, folder, extractor.feature_version).refresh(files, extractor.extract)
    build_index(database, folder, extractor.feature_version)
    return folder


def run(home: Path, *arguments: object, code: int = 0) -> str:
    words = [str(word) for word in ("search", *arguments, "--home", home, "--source", home)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == code, done.output
    return done.output if done.exit_code != 1 else str(done.exception)


def test_an_outfit_has_a_list_for_each_thing_in_json_and_in_a_picture(
    home: Path, tmp_path: Path
) -> None:
    made = tmp_path / "new" / "found.json", tmp_path / "pictures" / "found.png"
    printed = run(home, home / "w3.png", "--json", made[0], "--draw", made[1], "--top", 5)
    found = json.loads(made[0].read_text())
    assert len(found["objects"]) >= 2
    for one in found["objects"]:
        assert one["category"] in CATEGORIES
        assert one["category"] in printed
        assert len(one["matches"]) <= 5
        assert 0 <= one["agreement"] <= 1
        assert "w3" not in {match["pin_id"] for match in one["matches"]}
    assert str(made[1]) in printed
    with pil.open(made[1]) as sheet:
        assert sheet.format == "PNG"


def test_a_crop_and_a_category(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    run(home, home / "w3.png", "--json", out)
    known = json.loads(out.read_text())["objects"][0]
    box = ",".join(f"{edge:.0f}" for edge in known["box"])
    run(home, home / "w3.png", "--box", box, "--category", known["category"], "--json", out)
    (one,) = json.loads(out.read_text())["objects"]
    assert one["category"] == known["category"]
    assert {match["category"] for match in one["matches"]} <= {known["category"]}
    assert one["offered"]


def test_what_is_wrong_is_said_in_a_sentence(home: Path, tmp_path: Path) -> None:
    image = home / "w3.png"
    (tmp_path / "text.jpg").write_text("no image")
    assert "There is no image at" in run(home, tmp_path / "none.jpg", code=1)
    assert "is no" in run(home, tmp_path / "text.jpg", code=1)
    assert "No indexed object is a castle" in run(home, image, "--category", "castle", code=1)
    assert "holds no pixel" in run(home, image, "--box", "9000,0,9100,50", code=1)
    assert "four numbers" in run(home, image, "--box", "1,2,3", code=2)
    assert "related-pins index build" in run(home, image, "--projection", "none", code=1)
    assert "There is no database" in run(tmp_path, image, code=1)
