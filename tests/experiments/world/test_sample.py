import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from experiments.world.sample import POSITIONS, write_sample

SIZE = {"pins": 100, "requests": 4_000, "users": 400, "crops": 300}
TIME = pa.timestamp("us", tz="UTC")
CONTRACT = {
    "pins": {"pin_id": "s", "image": "s", "title": "s", "board": "s", "created_at": TIME},
    "requests": {
        "request_id": "s", "user_id": "s", "query_pin_id": "s", "requested_at": TIME,
        "policy": "s", "platform": "s",
    },
    "impressions": {
        "request_id": "s", "candidate_pin_id": "s", "position": pa.int64(),
        "propensity": pa.float64(),
    },
    "engagements": {
        "request_id": "s", "candidate_pin_id": "s", "action": "s", "engaged_at": TIME,
    },
    "candidates": {"query_pin_id": "s", "candidate_pin_id": "s", "source": "s"},
    "crops": {
        "crop_id": "s", "user_id": "s", "pin_id": "s", "x1": pa.float64(), "y1": pa.float64(),
        "x2": pa.float64(), "y2": pa.float64(), "cropped_at": TIME,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world") / "sample"
    write_sample(folder, seed=3, **SIZE)
    return folder


@pytest.fixture(scope="module")
def tables(folder):
    return {name: pd.read_parquet(folder / f"{name}.parquet") for name in CONTRACT}


@pytest.fixture(scope="module")
def truth(folder):
    return json.loads((folder / "truth.json").read_text())


@pytest.mark.parametrize("name", CONTRACT)
def test_tables_have_the_columns_and_types_of_the_contract(folder, name):
    schema = pq.read_schema(folder / f"{name}.parquet")
    wanted = {
        column: pa.string() if kind == "s" else kind for column, kind in CONTRACT[name].items()
    }
    assert dict(zip(schema.names, schema.types, strict=True)) == wanted


def test_values_are_those_of_the_contract(tables):
    assert set(tables["requests"].policy) == {"production", "random"}
    assert set(tables["requests"].platform) == {"ios", "web"}
    assert set(tables["engagements"].action) == {"closeup", "click", "long_click", "save", "hide"}
    assert set(tables["candidates"].source) == {"board", "popular", "visual"}
    days = tables["requests"].requested_at.dt.date.astype(str)
    assert days.min() == "2026-11-02"
    assert days.max() == "2026-11-15"
    assert tables["engagements"].engaged_at.max() < pd.Timestamp("2026-11-16", tz="UTC")


def test_positions_run_from_one_without_gaps(tables):
    pages = tables["impressions"].drop_duplicates()
    pages = pages[pages.request_id.isin(tables["requests"].request_id)].groupby("request_id")
    assert (pages.position.min() == 1).all()
    assert (pages.position.max() == POSITIONS).all()
    assert (pages.position.nunique() == POSITIONS).all()
    assert (pages.candidate_pin_id.nunique() == POSITIONS).all()


def test_random_requests_show_candidates_with_exact_propensities(tables):
    rows = tables["impressions"].merge(tables["requests"].drop_duplicates(), on="request_id")
    rows = rows[(rows.policy == "random") & rows.propensity.notna()]
    pool = tables["candidates"].groupby("query_pin_id").candidate_pin_id.nunique()
    last_days = rows[rows.requested_at >= pd.Timestamp("2026-11-12", tz="UTC")]
    orphans = tables["candidates"][tables["candidates"].candidate_pin_id.str.startswith("x9")]
    whole = last_days[~last_days.query_pin_id.isin(orphans.query_pin_id)]
    np.testing.assert_allclose(whole.propensity, 1 / whole.query_pin_id.map(pool))
    assert (rows.propensity >= 1 / rows.query_pin_id.map(pool) - 1e-12).all()


def test_no_pin_is_shown_before_it_exists(tables):
    rows = tables["impressions"].merge(tables["requests"], on="request_id")
    rows = rows.merge(tables["pins"], left_on="candidate_pin_id", right_on="pin_id")
    assert (rows.created_at < rows.requested_at).all()
    assert (tables["pins"].created_at >= pd.Timestamp("2026-11-02", tz="UTC")).any()


def test_the_dirt_found_is_the_dirt_counted(tables, truth):
    requests, pins = tables["requests"], tables["pins"]
    engagements, impressions = tables["engagements"], tables["impressions"]
    opened = requests.drop_duplicates().set_index("request_id").requested_at
    known = impressions.request_id.isin(requests.request_id)
    found = {
        "doubled_requests": requests.duplicated().sum(),
        "doubled_impressions": impressions.duplicated().sum(),
        "doubled_engagements": engagements.duplicated().sum(),
        "orphan_impressions": (~known).sum(),
        "orphan_engagements": (~engagements.request_id.isin(requests.request_id)).sum(),
        "orphan_candidates": (~tables["candidates"].candidate_pin_id.isin(pins.pin_id)).sum(),
        "orphan_crops": (~tables["crops"].pin_id.isin(pins.pin_id)).sum(),
        "null_propensities": impressions.propensity.isna().sum(),
        "late_engagements": (
            engagements.engaged_at - engagements.request_id.map(opened) > pd.Timedelta(days=1)
        ).sum(),
    }
    assert {kind: truth["dirt"][kind] for kind in found} == found
    assert min(found.values()) > 0


def test_one_image_is_cut_short_and_one_is_missing(folder, tables, truth):
    pins = tables["pins"].set_index("pin_id").image
    broken = []
    for pin_id, image in pins.items():
        try:
            with Image.open(folder / image) as picture:
                picture.load()
        except OSError:
            broken.append(pin_id)
    assert set(broken) == {truth["dirt"]["truncated_image"], truth["dirt"]["missing_image"]}
    assert not (folder / pins[truth["dirt"]["missing_image"]]).exists()
    assert set(broken) <= set(tables["candidates"].candidate_pin_id)


def test_true_boxes_and_crops_lie_inside_the_photos(folder, tables):
    coco = json.loads((folder / "boxes.json").read_text())
    sizes = {image["file_name"]: (image["width"], image["height"]) for image in coco["images"]}
    assert len(sizes) == SIZE["pins"] - 2
    for name, size in sizes.items():
        with Image.open(folder / name) as picture:
            assert picture.size == size
    crops = tables["crops"].merge(tables["pins"], on="pin_id")
    crops = crops[crops.image.isin(list(sizes))]
    limits = np.array([sizes[name] for name in crops.image])
    assert (crops[["x1", "y1"]].to_numpy() >= 0).all()
    assert (crops[["x2", "y2"]].to_numpy() <= limits).all()
    assert ((crops.x2 - crops.x1 >= 7.9) & (crops.y2 - crops.y1 >= 7.9)).all()


def test_most_crops_hold_an_object(folder, tables):
    coco = json.loads((folder / "boxes.json").read_text())
    images = {image["id"]: image["file_name"] for image in coco["images"]}
    boxes = pd.DataFrame(
        [(images[a["image_id"]], *a["bbox"]) for a in coco["annotations"]],
        columns=["image", "x", "y", "w", "h"],
    )
    crops = tables["crops"].merge(tables["pins"], on="pin_id").merge(boxes, on="image")
    wide = np.minimum(crops.x2, crops.x + crops.w) - np.maximum(crops.x1, crops.x)
    high = np.minimum(crops.y2, crops.y + crops.h) - np.maximum(crops.y1, crops.y)
    both = wide.clip(lower=0) * high.clip(lower=0)
    area = (crops.x2 - crops.x1) * (crops.y2 - crops.y1)
    iou = (both / (area + crops.w * crops.h - both)).groupby(crops.crop_id).max()
    assert (iou > 0.5).mean() > 0.75


def test_the_truth_foretells_what_happened_in_random_order(folder, tables, truth):
    pairs = pd.read_parquet(folder / "truth_pairs.parquet")
    rows = tables["impressions"].drop_duplicates().merge(tables["requests"].drop_duplicates())
    rows = rows.merge(pairs, on=["query_pin_id", "candidate_pin_id", "platform"])
    theta = {
        (platform, position): value
        for platform, row in truth["examination"].items()
        for position, value in enumerate(row, start=1)
    }
    seen = [theta[key] for key in zip(rows.platform, rows.position, strict=True)]
    clean = tables["engagements"].drop_duplicates()
    clean = clean[clean.request_id.isin(rows.request_id)]
    for action in ("closeup", "click", "save"):
        expected = (rows[action] * seen).sum()
        assert (clean.action == action).sum() == pytest.approx(expected, rel=0.08)


def test_the_same_seed_writes_the_same_bytes(folder, tmp_path):
    write_sample(tmp_path / "again", seed=3, **SIZE)
    files = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    assert files == sorted(
        p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*") if p.is_file()
    )
    for file in files:
        assert (folder / file).read_bytes() == (tmp_path / "again" / file).read_bytes(), file


def test_it_says_that_it_is_simulated_and_overwrites_nothing(folder, truth):
    assert (folder / "README.txt").read_text().startswith("SIMULATED")
    assert truth["simulated"] is True
    with pytest.raises(FileExistsError, match="already holds a data set"):
        write_sample(folder, seed=3, **SIZE)
