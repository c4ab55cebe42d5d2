"""The detector's commands, one after the other on a small simulated sample."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments.world.sample import write_sample
from features.detector.detector import BUNDLED, load_detector, read_settings
from features.detector_commands import app
from features.embedding.embedding import Embedder
from features.images.images import load_image
from features.visuals.visuals import VisualExtractor


def run(*arguments: object) -> str:
    """What a command prints, after a check that it ends well."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample whose boxes.json holds eight of its photos, and that has pins on two boards."""
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, pins=100, requests=200, users=40, crops=400)
    coco = json.loads((folder / "boxes.json").read_text())
    there = [photo for photo in coco["images"] if (folder / photo["file_name"]).exists()]
    coco["images"] = there[:8]
    kept = {photo["id"] for photo in coco["images"]}
    coco["annotations"] = [row for row in coco["annotations"] if row["image_id"] in kept]
    (folder / "eight.json").write_text(json.dumps(coco))
    return folder


@pytest.fixture(scope="module")
def trained(source: Path) -> Path:
    """Weights after one epoch on small photos."""
    out = source / "weights" / "mine.safetensors"
    small = ("--epochs", 1, "--batch-size", 4, "--short-side", 64, "--device", "cpu")
    printed = run("train", "--boxes", source / "eight.json", "--photos", source, "--out", out,
                  "--start", "bundled", *small)  # fmt: skip
    assert f"Next: related-pins detector evaluate --boxes held_out.json --detector {out}" in printed
    return out


def test_training_writes_weights_losses_and_their_curve(trained: Path) -> None:
    recipe = json.loads(trained.with_suffix(".json").read_text())["recipe"]
    assert recipe["start"] == BUNDLED.name
    assert (recipe["photos"], recipe["short_side"], len(recipe["losses"])) == (8, 64, 1)
    assert trained.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert load_detector(trained, "cpu").categories == load_detector("bundled", "cpu").categories


def test_every_boxes_file_needs_its_photos(source: Path) -> None:
    boxes = ("--boxes", source / "eight.json", "--boxes", source / "boxes.json")
    with pytest.raises(ValueError, match="one --photos per --boxes: 1 for 2"):
        run("train", *boxes, "--photos", source, "--out", source / "x.safetensors")


def test_evaluate_prints_and_writes_the_same_numbers(source: Path, tmp_path: Path) -> None:
    out, picture = tmp_path / "numbers.json", tmp_path / "scores.png"
    printed = run("evaluate", "--boxes", source / "eight.json", "--json", out, "--device", "cpu",
                  "--picture", picture, "--failures", tmp_path / "worst", "--worst", 3)  # fmt: skip
    numbers = json.loads(out.read_text())
    assert numbers["photos"] == 8
    low, high = numbers["ap50_interval"]
    assert 0.3 < low <= numbers["evaluation"]["ap50"] <= high <= 1
    assert set(numbers["ap50_by_category"]) == set(numbers["evaluation"]["by_category"])
    assert 0 < numbers["latency"]["median_ms"] <= numbers["latency"]["p99_ms"]
    assert numbers["peak_memory_gb"] > 0.1
    assert f"{numbers['evaluation']['ap50']:.3f}" in printed
    assert "Next: related-pins" in printed
    assert picture.stat().st_size > 10_000
    assert 1 <= len(list((tmp_path / "worst").iterdir())) <= 3


def test_a_file_of_other_things_cannot_be_evaluated(source: Path, tmp_path: Path) -> None:
    coco = json.loads((source / "eight.json").read_text())
    coco["categories"] = [{**row, "name": f"other {row['id']}"} for row in coco["categories"]]
    (tmp_path / "other.json").write_text(json.dumps(coco))
    for option in ("--no-everyday", "--everyday"):
        with pytest.raises(ValueError, match="no box of a category that the detector knows"):
            run("evaluate", "--boxes", tmp_path / "other.json", "--photos", source, option)


def test_thresholds_are_chosen_written_and_kept_to(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.safetensors"
    for suffix in (".safetensors", ".json"):
        shutil.copy(BUNDLED.with_suffix(suffix), copy.with_suffix(suffix))
    choose = ("thresholds", "--boxes", source / "eight.json", "--detector", copy)
    with pytest.raises(ValueError, match="No score has 9999 detections"):
        run(*choose, "--least", 9999)
    printed = run(*choose, "--precision", 0.6, "--least", 3)
    chosen = read_settings(copy).thresholds
    assert len(set(chosen.values())) > 1
    assert all(0.05 <= score <= 1 for score in chosen.values())
    assert all(name in printed for name in chosen)
    detector = load_detector(copy, "cpu")
    assert detector.version != load_detector("bundled", "cpu").version
    extractor = VisualExtractor(detector, Embedder(side=64))
    photos = json.loads((source / "eight.json").read_text())["images"]
    visuals = extractor.extract([load_image(source / photo["file_name"]) for photo in photos])
    kept = [row for visual in visuals for row in zip(visual.categories, visual.scores, strict=True)]
    assert kept
    assert all(score >= chosen.get(category, 0.4) for category, score in kept)


def test_each_rule_for_the_dominant_object_has_its_share(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "rules.json"
    run("dominance", "--source", source, "--photos", 8, "--json", out, "--device", "cpu")
    shares = json.loads(out.read_text())
    assert len(shares) == 4
    for share in shares.values():
        assert 1 <= share["photos"] <= 8
        assert share["low"] <= share["share"] <= share["high"]


def test_product_photos_by_board(shared_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "boards.json"
    run("evaluate-products", "--source", shared_data / "fashion", "--per-board", 1, "--json", out)
    by_kind = json.loads(out.read_text())
    assert list(by_kind) == ["dominant", "surest", "stray"]
    stray = by_kind.pop("stray")
    assert {share["photos"] for share in stray.values()} == {6}
    assert stray["any"]["right"] >= stray["hat"]["right"]
    for shares in by_kind.values():
        assert shares["all"]["photos"] == len(shares) - 1
        assert shares["all"]["share"] > 0.3


def test_products_need_a_board(source: Path) -> None:
    with pytest.raises(ValueError, match="is on one of the boards"):
        run("evaluate-products", "--source", source)
