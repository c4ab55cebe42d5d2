"""related-pins crops: weak objects from the crops of a small simulated sample."""

import json
from pathlib import Path

import pytest
from PIL import Image

from experiments.world.sample import write_sample
from features.examples import categories_of, read_coco
from sql.database import Database, open_database
from tests.test_related_pins import DATE, run


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, pins=100, requests=300, users=60, crops=300)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Path:
    folder = tmp_path_factory.mktemp("home")
    run("ingest", "--source", source, "--date", DATE, "--home", folder)
    printed = run(
        "crops", "label", "--date", DATE, "--home", folder, "--coco", folder / "weak.json"
    )
    for word in ("weak_objects", "COCO file", "Next", "related-pins crops heat"):
        assert word in printed
    return folder


@pytest.fixture(scope="module")
def database(home: Path) -> Database:
    return open_database(home / "related_pins.db")


def test_weak_objects_are_rows_inside_their_pins(database: Database) -> None:
    rows = database.read("SELECT * FROM weak_objects ORDER BY pin_id, object_no").to_pandas()
    assert len(rows) > 5
    assert (rows["x1"] < rows["x2"]).all()
    assert (rows["y1"] < rows["y2"]).all()
    assert rows["box_confidence"].between(0.5, 1).all()
    assert rows["label_confidence"].between(0, 1).all()
    assert (rows["n_users"] <= rows["n_croppers"]).all()
    assert (rows.groupby("pin_id")["object_no"].max() + 1 == rows["pin_id"].value_counts()).all()
    assert set(rows["date"].astype(str)) == {DATE}
    for shares in rows["labels_json"].map(json.loads):
        assert sum(shares.values()) <= 1.001


def test_the_coco_file_can_be_trained_on(home: Path, source: Path) -> None:
    path = home / "weak.json"
    examples = read_coco(path, source, categories_of([(path, source)]))
    assert len(examples) == len(json.loads(path.read_text())["images"])
    assert all(example.path.exists() for example in examples)
    for annotation in json.loads(path.read_text())["annotations"]:
        assert 0 <= annotation["score"] <= 1
        assert annotation["n_users"] >= 1


def test_the_same_crops_give_the_same_objects(home: Path, source: Path, database: Database) -> None:
    before = database.read("SELECT * FROM weak_objects").to_pylist()
    printed = run("crops", "label", "--date", DATE, "--home", home, "--json")
    assert json.loads(printed)["weak_objects"] == len(before)
    assert database.read("SELECT * FROM weak_objects").to_pylist() == before


def test_crops_after_the_date_are_not_used(home: Path) -> None:
    assert "name a later day" in run(
        "crops", "label", "--date", "2020-01-01", "--home", home, code=1
    )


def test_heat_is_a_picture_of_the_size_of_the_photo(
    home: Path, source: Path, database: Database, tmp_path: Path
) -> None:
    row = database.read(
        "SELECT p.pin_id, p.image FROM weak_objects AS w JOIN pins AS p ON p.pin_id = w.pin_id"
    ).to_pylist()[0]
    out = tmp_path / "heat.png"
    printed = run("crops", "heat", row["pin_id"], "--home", home, "--picture", out)
    assert "users cropped" in printed
    with Image.open(out) as drawn, Image.open(source / row["image"]) as photo:
        assert drawn.size == photo.size
        assert drawn.tobytes() != photo.convert("RGB").tobytes()
    assert "Nobody has cropped" in run("crops", "heat", "nobody", "--home", home, code=1)
