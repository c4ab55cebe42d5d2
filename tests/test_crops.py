"""related-pins crops: weak objects of drawn pins, from crops of users who know what they see."""

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner, Result

from features.boxes import iou
from features.detector.examples import categories_of, read_coco
from features.weak.boxes import MARGIN
from related_pins import app
from sql.database import Database, open_database
from sql.tables import crops, pins

DAY = dt.date(2026, 11, 15)
BAG, SHOE = (60.0, 80, 140, 170), (90.0, 240, 150, 280)
STREETS = ("s1", "s2", "s3")


def drawn(path: Path, shapes: dict[str, tuple[float, ...]], ground: str) -> None:
    image = Image.new("RGB", (220, 300), ground)
    pen = ImageDraw.Draw(image)
    for kind, (x1, y1, x2, y2) in shapes.items():
        if kind == "bag":
            pen.rectangle((x1, y1 + 30, x2, y2), fill="saddlebrown")
            pen.arc((x1 + 15, y1, x2 - 15, y1 + 60), 180, 360, fill="black", width=5)
        else:
            pen.polygon([(x1, y1), (x1, y2), (x2, y2), (x1 + 20, y1 + 10)], fill="darkred")
    image.save(path)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("source")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Path:
    folder = tmp_path_factory.mktemp("home")
    database = open_database(folder / "related_pins.db")
    database.upgrade()
    rows = []
    for number in range(4):
        for kind, box, board in (("bag", BAG, "handbags"), ("shoe", SHOE, "heels")):
            drawn(source / f"{kind}{number}.png", {kind: box}, "white")
            rows.append((f"{kind}{number}", f"{kind}{number}.png", f"red {kind}", board))
    for pin in STREETS:
        drawn(source / f"{pin}.png", {"bag": BAG, "shoe": SHOE}, "lightgrey")
    streets = [(f"s{n}", f"s{n}.png", "street outfit", "outfits") for n in range(1, 60)]
    columns = ["pin_id", "image", "title", "board"]
    database.append(pins, pa.Table.from_pandas(pd.DataFrame(rows + streets, columns=columns)))
    database.append(crops, pa.Table.from_pandas(cropped(), preserve_index=False))
    return folder


def cropped() -> pd.DataFrame:
    """Eight users crop the bag and three the shoe of each street pin, with the usual margin; one
    crop is inside out, one box a stray, and two crops of something else come a day too late."""
    dice, rows = np.random.default_rng(0), []
    for pin in STREETS:
        for box, users in ((BAG, range(8)), (SHOE, range(6, 9))):
            (x1, y1, x2, y2), left = box, MARGIN / (1 - 2 * MARGIN)
            wide, high = left * (x2 - x1), left * (y2 - y1)
            crop = np.array([x1 - wide, y1 - high, x2 + wide, y2 + high])
            rows += [(f"u{u}", pin, *(crop + dice.uniform(-4, 4, 4)), DAY) for u in users]
        rows += [(f"u{u}", pin, 0, 0, 50, 50, DAY + dt.timedelta(1)) for u in (1, 2)]
    rows += [("u1", "s1", 90, 90, 20, 20, DAY), ("u1", "gone", 0, 0, 50, 50, DAY)]
    found = pd.DataFrame(rows, columns=["user_id", "pin_id", "x1", "y1", "x2", "y2", "date"])
    return found.assign(crop_id=[f"c{n:03}" for n in range(len(found))])


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["crops", *map(str, arguments)])


@pytest.fixture(scope="module")
def printed(home: Path, source: Path) -> str:
    where = ("--home", home, "--source", source, "--coco", home / "weak.json")
    done = run("label", "--date", DAY, *where)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def database(home: Path, printed: str) -> Database:
    return open_database(home / "related_pins.db")


def test_the_end_says_what_was_made_what_was_not_used_and_what_is_next(printed: str) -> None:
    for words in ("weak_objects", "crops: inside out", "crops: no readable image", "COCO file",
                  "related-pins detector train --boxes", "related-pins crops heat"):  # fmt: skip
        assert words in printed


def test_the_objects_are_those_that_were_cropped(database: Database) -> None:
    rows = database.read("SELECT * FROM weak_objects ORDER BY pin_id, object_no").to_pandas()
    assert rows["pin_id"].tolist() == [pin for pin in STREETS for _ in range(2)]
    assert rows["object_no"].tolist() == [0, 1] * 3
    assert rows["category"].tolist() == ["bag", "shoes"] * 3
    assert rows["n_users"].tolist() == [8, 3] * 3
    assert set(rows["n_croppers"]) == {9}
    assert set(rows["date"]) == {DAY}
    boxes = rows[["x1", "y1", "x2", "y2"]].to_numpy()
    assert (iou(boxes, np.array([BAG, SHOE] * 3)) > 0.85).all()
    for shares, words in zip(rows["labels_json"], rows["annotations_json"], strict=True):
        assert sum(json.loads(shares).values()) == pytest.approx(1, abs=0.05)
        assert {"handbags", "heels"} & set(json.loads(words))


def test_the_coco_file_can_be_trained_on(database: Database, home: Path, source: Path) -> None:
    path = home / "weak.json"
    examples = read_coco(path, source, categories_of([(path, source)]))
    assert [len(example.boxes) for example in examples] == [2, 2, 2]
    assert all(example.path.exists() for example in examples)
    assert {row["n_users"] for row in json.loads(path.read_text())["annotations"]} == {8, 3}


def test_what_a_detector_sees_beside_them_is_no_background(home: Path, source: Path) -> None:
    path = home / "seen.json"
    where = ("--home", home, "--source", source, "--coco", path)
    done = run("label", "--date", DAY, *where, "--detector", "bundled")
    assert done.exit_code == 0, done.output
    crops = json.loads((home / "weak.json").read_text())["annotations"]
    rows = json.loads(path.read_text())["annotations"]
    assert [row["bbox"] for row in rows if row["n_users"]] == [row["bbox"] for row in crops]
    assert all(row["unsure"] for row in rows if not row["n_users"])
    nowhere = run("label", "--date", DAY, *where[:4], "--detector", "bundled")
    assert nowhere.exit_code == 2
    assert "--coco" in nowhere.output


def test_the_same_crops_give_the_same_objects(database: Database, home: Path, source: Path) -> None:
    before = database.read("SELECT * FROM weak_objects").to_pylist()
    assert run("label", "--date", DAY, "--home", home, "--source", source).exit_code == 0
    assert database.read("SELECT * FROM weak_objects").to_pylist() == before


def test_a_day_before_all_crops_is_an_error(database: Database, home: Path, source: Path) -> None:
    done = run("label", "--date", "2020-01-01", "--home", home, "--source", source)
    assert "name a later day" in str(done.exception)


def test_heat_is_a_picture_of_the_size_of_the_photo(
    database: Database, home: Path, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "heat.png"
    done = run("heat", "s1", "--home", home, "--source", source, "--picture", out)
    assert "9 users cropped s1; 2 weak objects" in done.output
    with Image.open(out) as picture, Image.open(source / "s1.png") as photo:
        assert picture.size == photo.size
        assert picture.getpixel((100, 130)) != photo.getpixel((100, 130))
        assert picture.getpixel((200, 20)) == photo.getpixel((200, 20))
    missing = run("heat", "nobody", "--home", home, "--source", source)
    assert "Nobody has cropped" in str(missing.exception)
