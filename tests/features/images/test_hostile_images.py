"""Image files of every bad kind: each becomes upright RGB pixels or is set aside with a reason,
in bounded time and memory, alone and through the store."""

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image as pil

from features.daily import refresh_visuals
from features.embedding.embedding import unit
from features.images.images import Image, Limits, UnreadableImage, image_file, load_image
from features.visuals.visuals import PinVisual
from sql.database import Database
from sql.tables import pins as pins_table
from tests.conftest import ROOT
from tests.features.images.hostile_corpus import CORNERS, ORIENT, corpus, many_scans, picture

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")
MEMORY = 1 << 30  # bytes of address space, of which Python, NumPy and Pillow take about a third
SECONDS = 5.0  # of processor time, for one file
LOAD_ALL = """
import json, resource, sys, time
from pathlib import Path
from features.images.images import UnreadableImage, load_image

resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]), int(sys.argv[2])))
found = {}
for path in sorted(p for p in Path(sys.argv[1]).rglob("*") if p.is_file()):
    begun = time.process_time()
    try:
        image = load_image(path)
        assert image.pixels.shape == (image.height, image.width, 3)
        assert image.pixels.dtype == "uint8"
        what = f"{image.width} x {image.height}"
    except UnreadableImage as error:
        what = str(error)
    name = str(path.relative_to(sys.argv[1]))
    found[name] = what, time.process_time() - begun
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return corpus()


@pytest.fixture(scope="module")
def folder(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    for name, data in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(data)
    return root


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> dict[str, tuple[str, float]]:
    """What became of every file, in a process that may not take more than MEMORY."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD_ALL, str(folder), str(MEMORY)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, tuple[str, float]] = json.loads(done.stdout)
    return found


def is_size(what: str) -> bool:
    return what.replace(" x ", "").isdigit()


def test_there_are_hundreds_of_distinct_files(files: dict[str, bytes]) -> None:
    assert len(set(files.values())) >= 750
    assert sum(map(len, files.values())) < 10_000_000


def test_every_file_is_an_image_or_has_a_reason(
    files: dict[str, bytes], outcomes: dict[str, tuple[str, float]]
) -> None:
    assert outcomes.keys() == files.keys()
    wrong = {
        name: what for name, (what, _) in outcomes.items()
        if (name.startswith("good/") and not is_size(what))
        or (name.startswith("bad/") and is_size(what))
        or not (is_size(what) or what.endswith("."))
    }  # fmt: skip
    assert wrong == {}


def test_no_file_takes_long(outcomes: dict[str, tuple[str, float]]) -> None:
    assert {name: t for name, (_, t) in outcomes.items() if t > SECONDS} == {}


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "JPEG"])
def test_every_orientation_comes_out_upright(files: dict[str, bytes], kind: str) -> None:
    upright = np.asarray(picture()).astype(int)
    for value in ORIENT:
        image = load_image(files[f"good/orientation {value}.{kind}"])
        assert np.abs(image.pixels - upright).max() <= (40 if kind == "JPEG" else 0), value


def test_the_quarters_keep_their_colours(files: dict[str, bytes]) -> None:
    names = [n for n in files if n.startswith(("good/JPEG ", "good/PNG ", "good/profile "))]
    names += ["good/mode CMYK.JPEG", "good/mode CMYK.TIFF", "good/mode PA.PNG", "good/mode P.BMP"]
    for name in (n for n in names if n in files):
        pixels = load_image(files[name]).pixels.astype(int)
        quarters = pixels[[4, 4, 12, 12], [6, 18, 6, 18]]
        assert np.abs(quarters - list(CORNERS.values())).max() <= 60, name


@pytest.mark.parametrize("kind", ["animation.GIF", "animation.WEBP", "animation.PNG", "pages.TIFF",
                                  "stereo.MPO"])  # fmt: skip
def test_of_several_frames_the_first_is_taken(files: dict[str, bytes], kind: str) -> None:
    red, green, blue = load_image(files[f"good/{kind}"]).pixels[3, 3].tolist()
    assert red > 240
    assert max(green, blue) < 15


def test_a_jpeg_of_few_scans_is_read_and_of_many_is_not() -> None:
    assert load_image(many_scans(2)).width == 6000
    with pytest.raises(UnreadableImage, match="more than 100 scans"):
        load_image(many_scans(200))


# --- what is wrong with the path and not with the bytes --------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A source folder beside a picture that is not in it, with links and what is no file."""
    inside = tmp_path / "source"
    inside.mkdir()
    picture().save(tmp_path / "outside.png")
    picture().save(inside / "inside.png")
    picture().save(inside / "ünï ☃ #%?'\"\n.png")
    (inside / "folder.jpg").mkdir()
    (inside / "link.png").symlink_to("inside.png")
    (inside / "circle.jpg").symlink_to("circle.jpg")
    (inside / "nowhere.jpg").symlink_to("gone.jpg")
    (inside / "out.png").symlink_to("../outside.png")
    (inside / "photos").symlink_to(tmp_path)
    (inside / "endless.jpg").symlink_to("/dev/zero")
    os.mkfifo(inside / "pipe.jpg")
    return inside


USABLE = (
    "inside.png",
    "link.png",
    "ünï ☃ #%?'\"\n.png",
    "./inside.png",
    "folder.jpg/../inside.png",
)
UNUSABLE = {
    "../outside.png": "outside of the source folder",
    "folder.jpg/../../outside.png": "outside of the source folder",
    "/etc/passwd": "outside of the source folder",
    "../../../../../../../../etc/passwd": "outside of the source folder",
    "out.png": "outside of the source folder",
    "photos/outside.png": "outside of the source folder",
    "endless.jpg": "outside of the source folder",
    "folder.jpg": "Is a directory",
    "nowhere.jpg": "No such file",
    "gone.jpg": "No such file",
    "inside.png/more": "Not a directory",
    "pipe.jpg": "no regular file",
    "circle.jpg": "leads nowhere",
    "nul\0.png": "leads nowhere",
    "half \ud800.png": "leads nowhere",
    "x" * 5000: "File name too long",
}


@pytest.mark.parametrize("name", USABLE)
def test_a_path_within_the_folder_is_taken(source: Path, name: str) -> None:
    assert load_image(image_file(source, name)).width == picture().width


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_path_that_leads_elsewhere_is_not(source: Path, name: str) -> None:
    with pytest.raises(UnreadableImage, match=UNUSABLE[name]):
        load_image(image_file(source, name))


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/stdin", "/proc/self/mem", "nul\0"])
def test_what_is_no_file_is_not_waited_for(path: str) -> None:
    with pytest.raises(UnreadableImage):
        load_image(Path(path))


def test_a_file_that_may_not_be_read_has_a_reason(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UnreadableImage, match="Permission denied"):
        load_image(source / "inside.png")


def test_a_file_that_grows_while_it_is_read_is_refused(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits, path = Limits(max_bytes=1000), source / "inside.png"
    whole = os.fstat

    def then_grow(descriptor: int) -> os.stat_result:
        found = whole(descriptor)
        path.write_bytes(bytes(5000))
        return found

    monkeypatch.setattr(os, "fstat", then_grow)
    with pytest.raises(UnreadableImage, match="the limit is 1000"):
        load_image(path, limits)


# --- all of it through the store -------------------------------------------------------------


@dataclass(frozen=True)
class Thumbnails:
    """Describes an image by 4 x 4 of its pixels."""

    feature_version: str = "thumbnails"
    plain_version: str = "thumbnails"
    projection: None = None

    def extract(self, images: Sequence[Image]) -> list[PinVisual]:
        return [self.describe(image) for image in images]

    def describe(self, image: Image) -> PinVisual:
        small = np.asarray(pil.fromarray(image.pixels).resize((4, 4)), dtype=np.float32)
        whole = unit(small.reshape(1, -1) + 1)
        none = np.zeros((0, whole.shape[1]), np.float32)
        return PinVisual(
            content_hash=image.content_hash, width=image.width, height=image.height,
            whole=whole[0], whole_crop=whole[0], boxes=np.zeros((0, 4), np.float32),
            scores=np.zeros(0, np.float32), categories=(), crops=none, padded=none,
            colours=np.zeros((0, 3), np.float32),
        )  # fmt: skip


def refreshed(database: Database, source: Path, home: Path, names: Sequence[str]) -> Any:
    ids = [f"pin{number:04}" for number in range(len(names))]
    database.replace(pins_table, pa.table({"pin_id": ids, "image": list(names)}))
    return refresh_visuals(database, source, home, Thumbnails(), dt.date(2026, 11, 2))  # type: ignore[arg-type]


def test_every_pin_is_described_or_in_quarantine(
    database: Database, folder: Path, tmp_path: Path, outcomes: dict[str, tuple[str, float]]
) -> None:
    names = sorted(outcomes)
    summary = refreshed(database, folder, tmp_path / "home", names)
    ids = {f"pin{number:04}": name for number, name in enumerate(names)}
    readable = {pin for pin, name in ids.items() if is_size(outcomes[name][0])}
    described = database.read("SELECT pin_id FROM pin_visuals")["pin_id"].to_pylist()
    quarantine = database.read("SELECT * FROM quarantine WHERE source_table = 'image'").to_pylist()
    assert sorted(described) == sorted(readable)
    assert {row["row_key"] for row in quarantine} == set(ids) - readable == set(summary.unreadable)
    assert all(row["reason"].endswith(".") for row in quarantine)
    again = refreshed(database, folder, tmp_path / "home", names)
    assert (again.described, again.reused) == (0, len(readable))
    assert again.unreadable == summary.unreadable


def test_paths_that_lead_elsewhere_are_in_quarantine(
    database: Database, source: Path, tmp_path: Path
) -> None:
    storable = [name for name in UNUSABLE if not {"\0", "\ud800"} & set(name)]
    summary = refreshed(database, source, tmp_path / "home", [*USABLE, *storable])
    assert len(database.read("SELECT pin_id FROM pin_visuals")) == len(USABLE)
    assert len(summary.unreadable) == len(storable)
    assert len(database.read("SELECT * FROM quarantine")) == len(storable)
