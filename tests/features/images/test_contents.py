import hashlib
import os
import time
from pathlib import Path

import pytest

from features.images import contents as contents_module
from features.images.contents import Contents, forget_contents
from features.images.images import UnreadableImage
from features.visuals.shards import write_shard
from tests.features.visuals.visuals_for_tests import random_visual

ONE, TWO, NONE = (f"{number:064x}" for number in (1, 2, 3))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    paths = {name: tmp_path / f"{name}.jpg" for name in ("p1", "p2", "p3")}
    for name, path in paths.items():
        path.write_bytes(name.encode())
    return paths


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are read, as they are read."""
    seen: list[Path] = []
    digest = contents_module._digest

    def noted(path: Path) -> str | UnreadableImage:
        seen.append(path)
        return digest(path)

    monkeypatch.setattr(contents_module, "_digest", noted)
    return seen


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were just written may be kept in mind."""
    monkeypatch.setattr(contents_module, "SETTLED", 0)


def hashes(home: Path, files: dict[str, Path]) -> dict[str, str]:
    with Contents(home) as known:
        return known.hashes(files)[0]


def true_hashes(files: dict[str, Path]) -> dict[str, str]:
    return {n: hashlib.sha256(path.read_bytes()).hexdigest() for n, path in files.items()}


@pytest.mark.usefixtures("settled")
def test_a_file_that_stays_is_read_once(
    files: dict[str, Path], read: list[Path], tmp_path: Path
) -> None:
    for _ in range(2):
        assert hashes(tmp_path / "home", files) == true_hashes(files)
    assert sorted(read) == sorted(files.values())
    forget_contents(tmp_path / "home")
    assert hashes(tmp_path / "home", files) == true_hashes(files)
    assert len(read) == 2 * len(files)


@pytest.mark.usefixtures("settled")
def test_a_change_is_seen_though_size_and_time_of_modification_stay(
    files: dict[str, Path], tmp_path: Path
) -> None:
    hashes(tmp_path / "home", files)
    before = files["p1"].stat()
    time.sleep(0.02)  # more than a tick of the file system's clock
    files["p1"].write_bytes(b"q1")
    os.utime(files["p1"], ns=(before.st_atime_ns, before.st_mtime_ns))  # as touch -r does
    other = tmp_path / "other.jpg"
    other.write_bytes(b"q2")
    os.utime(other, ns=(before.st_atime_ns, files["p2"].stat().st_mtime_ns))
    other.replace(files["p2"])
    assert files["p1"].stat().st_mtime_ns == before.st_mtime_ns
    assert hashes(tmp_path / "home", files) == true_hashes(files)


def test_a_file_that_has_just_been_written_is_read_again(
    files: dict[str, Path], read: list[Path], tmp_path: Path
) -> None:
    for _ in range(2):
        hashes(tmp_path / "home", files)
    assert len(read) == 2 * len(files)


@pytest.mark.usefixtures("settled")
def test_a_file_that_is_gone_is_unreadable(files: dict[str, Path], tmp_path: Path) -> None:
    hashes(tmp_path / "home", files)
    files["p1"].unlink()
    with Contents(tmp_path / "home") as known:
        found, unreadable = known.hashes(files)
    assert (set(found), set(unreadable)) == ({"p2", "p3"}, {"p1"})


def test_what_is_damaged_is_found_again(files: dict[str, Path], tmp_path: Path) -> None:
    hashes(tmp_path, files)
    (tmp_path / "contents" / "known.db").write_bytes(b"no database" * 1000)
    assert hashes(tmp_path, files) == true_hashes(files)


def test_images_are_known_while_their_shard_is(tmp_path: Path) -> None:
    visuals = [random_visual(1, ("bag",)), random_visual(2)]
    for name, visual in zip("ab", visuals, strict=True):
        write_shard(tmp_path / name, [visual], {NONE: "It is empty."} if name == "b" else {})
    with Contents(tmp_path) as known:
        known.keep_only("v1", ["a", "b"])
        known.keep_only("v2", ["a"])
        wanted = [ONE, TWO, NONE, "ff"]
        assert known.find("v1", wanted) == ({ONE: "a", TWO: "b"}, {NONE: "It is empty."})
        assert known.find("v2", wanted) == ({ONE: "a"}, {})
        known.keep_only("v1", ["a"])
    with Contents(tmp_path) as known:
        assert known.find("v1", wanted) == ({ONE: "a"}, {})
        assert known.find("v3", wanted) == ({}, {})
