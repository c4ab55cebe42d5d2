"""Two feature versions side by side: the old one is read until the new one is chosen."""

import datetime as dt
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image as pil

import related_pins
from daily import Job, features_step, ingest_step, rank_step
from experiments.arms import ARMS
from experiments.thresholds import FILE
from experiments.world.sample import write_sample
from features.detector.catalogue import coco_file
from features.detector.detector import Detections
from features.images.images import Image
from features.versions import complete, use
from features.visuals.visuals import VisualExtractor, VisualSettings
from sql import manifest
from sql.database import open_database
from sql.home import feature_versions
from sql.status import status
from sql.tables import candidates, pins
from tests.quick_visuals import Halves, Thumbnails, quick_extractor

DATE = dt.date(2026, 11, 15)
ARMS_HERE = ("whole_image", "targeted")
CURRENT = "SELECT kind, feature_version FROM current_feature_versions ORDER BY kind"


def wider() -> VisualExtractor:
    """The quick extractor with more context around an object: another feature version."""
    return VisualExtractor(Halves(), Thumbnails(), VisualSettings(pooling="crop", padding=0.5))


class Swapped(Halves):
    """Finds the same objects as Halves and takes bags for shoes."""

    version = "swapped"

    def detect(self, images: Sequence[Image], regions: Any = None) -> list[Detections]:
        swap = {"bag": "shoe", "shoe": "bag"}
        found = super().detect(images)
        return [replace(one, labels=tuple(swap[label] for label in one.labels)) for one in found]


OLD, NEW = quick_extractor().feature_version, wider().feature_version


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A home that was filled by one version, with another one made beside it."""
    folder = tmp_path_factory.mktemp("versions")
    write_sample(folder / "sample", pins=100, requests=800, users=150, crops=80)
    database = open_database(folder / "home" / "related_pins.db")
    database.upgrade()
    job = Job(database, folder / "home", DATE, 4, lambda *_: None)
    ingest_step(job, folder / "sample")
    features_step(job, folder / "sample", quick_extractor())
    features_step(job, folder / "sample", wider(), beside=True)
    return job


@pytest.fixture(autouse=True)
def back_again(job: Job) -> None:
    """Every test begins with the old version as the current one."""
    use(job.database, complete(job.database, job.home, OLD))


def current(job: Job) -> dict[str, str]:
    return {r["kind"]: r["feature_version"] for r in job.database.read(CURRENT).to_pylist()}


def test_the_old_one_is_read_until_the_switch_and_after_the_way_back(job: Job) -> None:
    assert current(job)["detected"] == feature_versions(job.database)["detected"] == OLD
    old = current(job)
    use(job.database, complete(job.database, job.home, NEW))
    assert current(job) == feature_versions(job.database)
    assert current(job)["detected"] == NEW
    assert current(job)["true_boxes"] not in (NEW, OLD, old["true_boxes"])
    use(job.database, complete(job.database, job.home, OLD))
    assert current(job) == old


def test_the_status_shows_both_and_which_is_current(job: Job) -> None:
    shown = {v.feature_version: v for v in status(job.home, job.database).versions}
    old, new = shown[OLD], shown[NEW]
    assert (old.current, new.current) == ("detected", None)
    assert (old.pins, old.pairs, old.days) == (new.pins, new.pairs, new.days)
    n_pairs = job.database.read("SELECT COUNT(*) AS n FROM candidates")["n"][0].as_py()
    assert 0 < new.pairs <= n_pairs
    assert new.days == len(job.days())


def test_a_switch_that_breaks_off_has_not_begun(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    before, write = current(job), manifest.record

    def breaking(connection: object, **row: object) -> None:
        if row["piece"] == "true_boxes":
            raise OSError("the disk is gone")
        write(connection, **row)  # type: ignore[arg-type]

    found = complete(job.database, job.home, NEW)
    monkeypatch.setattr(manifest, "record", breaking)
    with pytest.raises(OSError, match="the disk is gone"):
        use(job.database, found)
    assert current(job) == before


def test_an_incomplete_version_is_refused_with_what_it_lacks(job: Job) -> None:
    database = job.database
    n_pins = len(database.read("SELECT 1 AS x FROM pins"))
    database.append(pins, pa.table({"pin_id": ["later"], "image": ["later.jpg"]}))
    with pytest.raises(ValueError, match=f"not complete: 1 of {n_pins + 1} pins have no visuals"):
        complete(database, job.home, NEW)
    database.replace(pins, pa.table({"pin_id": pa.array([], pa.string())}), pin_id="later")
    pin = database.read("SELECT MIN(pin_id) AS pin_id FROM pins")["pin_id"][0].as_py()
    later = {"query_pin_id": pin, "candidate_pin_id": pin}
    database.append(candidates, pa.Table.from_pylist([later]))
    with pytest.raises(ValueError, match=r"not all of the [\d,]+ candidate pairs have features"):
        complete(database, job.home, NEW)
    none = pa.table({"query_pin_id": pa.array([], pa.string())})
    database.replace(candidates, none, **later)
    database.forget("pair_interest", f"{NEW}/{DATE}")
    with pytest.raises(ValueError, match=f"1 days, such as {DATE}, have no interest of it"):
        complete(database, job.home, NEW)
    assert current(job)["detected"] == OLD
    features_step(job, job.home.parent / "sample", wider(), beside=True)
    assert complete(database, job.home, NEW)["detected"] == NEW


def test_rankers_learn_from_the_version_that_is_named(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.arms.ARMS", {name: ARMS[name] for name in ARMS_HERE})
    for named, expected in ((NEW, NEW), (None, OLD)):
        rank_step(replace(job, feature_version=named))
        used = job.database.read("SELECT DISTINCT feature_version FROM models")
        assert used["feature_version"].to_pylist() == [expected]


@pytest.fixture
def run(
    job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[object, str]]:
    """Runs `related-pins WORDS` on the home: its exit code, and all that it prints."""

    def command(*words: object) -> tuple[object, str]:
        monkeypatch.setattr(
            sys, "argv", ["related-pins", *map(str, words), "--home", str(job.home)]
        )
        with pytest.raises(SystemExit) as ended:
            related_pins.main()
        return ended.value.code or 0, "".join(capsys.readouterr())

    return command


def test_by_the_command_line(
    job: Job, run: Callable[..., tuple[object, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(related_pins, "visual_extractor", lambda *_: quick_extractor())
    assert run("features", "use", NEW)[0] == 0
    assert current(job)["detected"] == NEW
    code, said = run("features", "use", "no-such-version")
    assert (code, said.count("\n")) == (1, 1)
    assert "have no visuals of it. Make the rest with" in said
    n_runs = len(job.database.read("SELECT 1 AS x FROM runs WHERE status = 'done'"))
    source = job.home.parent / "sample"
    code, said = run("daily", "--source", source, "--date", DATE, "--feature-version", NEW)
    assert code == 1
    assert f"make the feature version {OLD}, not {NEW}" in said
    assert len(job.database.read("SELECT 1 AS x FROM runs WHERE status = 'done'")) == n_runs
    pair = job.database.read("SELECT query_pin_id, candidate_pin_id FROM pair_features LIMIT 1")
    words = ("features", "one", *pair.to_pylist()[0].values(), "--source", source, "--json")
    assert run(*words, "--feature-version", OLD)[1] != run(*words)[1]


@pytest.fixture
def canary(job: Job) -> Iterator[None]:
    """Two photos whose halves Halves names right, as the canary set of the home."""
    folder = job.home / "canary"
    folder.mkdir()
    photo = np.zeros((80, 60, 3), dtype=np.uint8)
    photo[40:] = 250
    photos = [(f"{n}.png", 60, 80, [("shoe", (0, 0, 60, 40)), ("bag", (0, 40, 60, 80))])
              for n in range(2)]  # fmt: skip
    for name, *_ in photos:
        pil.fromarray(photo).save(folder / name)
    (folder / "boxes.json").write_text(json.dumps(coco_file(photos, ["bag", "shoe"])))
    gates = FILE.read_text().replace("# coco =", "coco =").replace("# photos =", "photos =")
    (job.home / "gates.toml").write_text(gates)
    yield
    (job.home / "gates.toml").unlink()


@pytest.mark.usefixtures("canary")
def test_a_detector_that_fails_the_canary_publishes_nothing(
    job: Job, run: Callable[..., tuple[object, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("features", "--date", DATE, "--source", job.home.parent / "sample")
    monkeypatch.setattr(related_pins, "visual_extractor", lambda *_: quick_extractor())
    assert run(*words)[0] == 0
    before = current(job), job.database.read("SELECT * FROM rankings")
    spoiled = VisualExtractor(Swapped(), Thumbnails(), VisualSettings(pooling="crop"))
    monkeypatch.setattr(related_pins, "visual_extractor", lambda *_: spoiled)
    code, said = run(*words)
    assert code == 3
    assert "canary/ap50: The detector has AP50 0.000 on the canary set" in said
    assert "nothing was published" in said
    assert (current(job), job.database.read("SELECT * FROM rankings")) == before
