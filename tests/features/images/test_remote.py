"""Remote images: kept, asked for once a day, and set aside with a reason where there is none."""

import dataclasses
import datetime as dt
import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from features.images import remote as remote_module
from features.images.images import UnreadableImage, load_image
from features.images.remote import RemoteImages, fetch_object, image_files
from features.images.web import Fetched, FetchLimits, Unreachable
from sql.database import Database
from tests.features.images.hostile_corpus import picture
from tests.features.images.hostile_site import ANSWERS, ASKED, PNG, send, serving
from tests.features.images.test_hostile_images import refreshed

LIMITS = FetchLimits(max_bytes=100_000, seconds=1.0, redirects=3, allow_private=True)


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture
def images(tmp_path: Path) -> RemoteImages:
    ASKED.clear()
    return RemoteImages(tmp_path / "remote", LIMITS)


def tomorrow(images: RemoteImages) -> RemoteImages:
    """The same cache, all of whose images were asked for the day before."""
    for path in images.folder.rglob("*.json"):
        kept = json.loads(path.read_text())
        yesterday = dt.date.fromisoformat(kept["asked"]) - dt.timedelta(days=1)
        path.write_text(json.dumps(kept | {"asked": str(yesterday)}))
    return RemoteImages(images.folder, LIMITS)


def test_an_image_is_fetched_once(site: str, images: RemoteImages) -> None:
    path = images.file(f"{site}/good")
    assert path.read_bytes() == PNG
    assert images.folder in path.parents
    assert images.file(f"{site}/good") == path
    assert tomorrow(images).file(f"{site}/good") == path
    assert ASKED["/good"] == 1
    assert load_image(path).width == picture().width


def test_a_server_that_names_versions_is_asked_once_a_day(site: str, images: RemoteImages) -> None:
    for _ in range(3):
        images.file(f"{site}/etag")
    assert ASKED["/etag"] == 1
    later = tomorrow(images)
    for _ in range(3):
        assert later.file(f"{site}/etag").read_bytes() == PNG
    assert ASKED["/etag"] == 2


def test_a_changed_image_takes_the_place_of_the_old(
    site: str, images: RemoteImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = images.file(f"{site}/etag")
    monkeypatch.setitem(ANSWERS, "/etag", lambda h: send(h, body=b"new", ETag='"v2"'))
    assert tomorrow(images).file(f"{site}/etag") == path
    assert path.read_bytes() == b"new"


def test_what_is_here_is_used_while_the_server_fails(
    site: str, images: RemoteImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = images.file(f"{site}/etag")
    monkeypatch.setitem(ANSWERS, "/etag", lambda h: send(h, 503, b""))
    assert tomorrow(images).file(f"{site}/etag") == path
    monkeypatch.setitem(ANSWERS, "/etag", lambda h: send(h, 404, b""))
    with pytest.raises(UnreadableImage, match="answered 404"):
        tomorrow(images).file(f"{site}/etag")


@pytest.mark.parametrize("damage", ["content", "record", "no record"])
def test_a_damaged_cache_is_filled_again(site: str, images: RemoteImages, damage: str) -> None:
    path = images.file(f"{site}/good")
    record = path.with_suffix(".json")
    if damage == "content":
        path.write_bytes(PNG[:40])
    elif damage == "record":
        record.write_text("{")
    else:
        record.unlink()
    assert images.file(f"{site}/good").read_bytes() == PNG
    assert ASKED["/good"] == 2


def test_a_host_that_does_not_answer_is_asked_three_times(site: str, images: RemoteImages) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{closed.getsockname()[1]}"
    reasons = []
    for number in range(5):
        with pytest.raises(Unreachable) as caught:
            images.file(f"http://{host}/{number}")
        reasons.append(str(caught.value))
    assert [("refused" in r, "3 times" in r) for r in reasons] == [(True, False)] * 3 + [
        (False, True)
    ] * 2
    assert images.file(f"{site}/good").exists()


def test_private_hosts_are_allowed_only_where_it_is_said(
    site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RELATED_PINS_PRIVATE_IMAGES", raising=False)
    with pytest.raises(UnreadableImage, match="no public address"):
        RemoteImages(tmp_path).file(f"{site}/good")
    monkeypatch.setenv("RELATED_PINS_PRIVATE_IMAGES", "1")
    assert RemoteImages(tmp_path).file(f"{site}/good").read_bytes() == PNG


# --- object stores ---------------------------------------------------------------------------


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryFileSystem]:
    """A store in memory in the place of S3."""
    store = MemoryFileSystem()
    monkeypatch.setattr(fsspec, "filesystem", {"s3": store}.__getitem__)
    store.pipe("/bucket/a.png", PNG)
    yield store
    store.rm("/bucket", recursive=True)


def test_an_object_is_fetched_once(bucket: MemoryFileSystem, images: RemoteImages) -> None:
    path = images.file("s3://bucket/a.png")
    assert path.read_bytes() == PNG
    found = fetch_object("s3://bucket/a.png", LIMITS)
    assert found is not None
    assert fetch_object("s3://bucket/a.png", LIMITS, found.etag) is None
    bucket.pipe("/bucket/a.png", PNG + b"more")
    assert isinstance(fetch_object("s3://bucket/a.png", LIMITS, found.etag), Fetched)
    assert tomorrow(images).file("s3://bucket/a.png").read_bytes() == PNG + b"more"


def test_an_object_within_limits_only(bucket: MemoryFileSystem) -> None:
    size = len(PNG)
    exact = dataclasses.replace(LIMITS, max_bytes=size)
    assert isinstance(fetch_object("s3://bucket/a.png", exact), Fetched)
    with pytest.raises(UnreadableImage, match=f"more than {size - 1} bytes"):
        fetch_object("s3://bucket/a.png", dataclasses.replace(LIMITS, max_bytes=size - 1))
    with pytest.raises(Unreachable, match="more than 0 seconds"):
        fetch_object("s3://bucket/a.png", dataclasses.replace(LIMITS, seconds=0))
    with pytest.raises(UnreadableImage, match="no such object"):
        fetch_object("s3://bucket/b.png", LIMITS)


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_a_missing_package_is_named(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = {"s3": "s3fs", "gs": "gcsfs"}[scheme]
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UnreadableImage, match=f"pip install {package}"):
        fetch_object(f"{scheme}://bucket/a.png", LIMITS)


@pytest.mark.parametrize(
    "uri",
    ["file:///etc/passwd", "local:///etc/passwd", "memory://a", "s3::file:///etc/passwd",
     "zip://a::file:///b.zip", "://"],
)  # fmt: skip
def test_other_schemes_are_refused(uri: str, images: RemoteImages) -> None:
    with pytest.raises(UnreadableImage, match="none of http, https, s3 or gs"):
        images.file(uri)


# --- pins ------------------------------------------------------------------------------------


def test_paths_and_uris_side_by_side(site: str, images: RemoteImages, tmp_path: Path) -> None:
    picture().save(tmp_path / "here.png")
    pins = {
        "a": "here.png",
        "b": f"{site}/good",
        "c": f"{site}/good",
        "d": "../x",
        "e": "file:///x",
    }
    ticks: list[tuple[int, int]] = []
    files, refused = image_files(pins, tmp_path, images, lambda *tick: ticks.append(tick))
    assert files == {
        "a": tmp_path / "here.png", "b": images.file(f"{site}/good"),
        "c": images.file(f"{site}/good"),
    }  # fmt: skip
    assert refused.keys() == {"d", "e"}
    assert ASKED["/good"] == 1
    assert ticks == [(1, 2), (2, 2)]


def test_what_cannot_be_fetched_is_in_quarantine(
    site: str, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = dataclasses.replace(LIMITS, seconds=3.0)
    monkeypatch.setattr(
        "features.images.pin_images.RemoteImages", lambda folder: RemoteImages(folder, patient)
    )
    monkeypatch.setattr(remote_module, "TRIES", 1000)
    names = [site + path for path in ANSWERS] + ["http://10.0.0.1.invalid/", "s4://a/b"]
    summary = refreshed(database, tmp_path, tmp_path / "home", names)
    usable = [n for n in names if n.removeprefix(site).startswith(
        ("/good", "/spaces", "/etag", "/redirect", "/says-nonsense"))]  # fmt: skip
    assert len(database.read("SELECT pin_id FROM pin_visuals")) == len(usable) == 5
    rows = database.read("SELECT * FROM quarantine").to_pylist()
    assert len(rows) == len(names) - len(usable) == len(summary.unreadable)
    assert all(row["reason"].endswith(".") for row in rows)
