"""Generations of an index: folders of files that never change, and which of them is current.

A generation is written aside, its files are flushed to disk, and then `current.json` is replaced
by one that names it: a reader finds the old generation or the new one, whole. Who has mapped the
old one keeps it, since files that are mapped outlive their names.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FORMAT = "related-pins index 1"
CURRENT = "current.json"


class DamagedIndex(ValueError):
    """The files of an index are not those that were written."""


@dataclass(frozen=True)
class Generation:
    """What current.json says. name: of its folder. vectors: which vectors of objects it holds.
    state: fingerprint of the pins and contents in it. objects_by, images_by: how their vectors are
    searched. server: URL of the Milvus that holds it all, or None. files: name -> (bytes, SHA-256).
    """

    name: str
    feature_version: str
    vectors: str
    state: str
    n_objects: int
    n_images: int
    n_pins: int
    categories: tuple[str, ...]
    objects_by: str
    images_by: str
    server: str | None
    made_at: str
    files: dict[str, tuple[int, str]]

    @property
    def n_bytes(self) -> int:
        return sum(size for size, _ in self.files.values())


def damaged(folder: Path, what: str) -> DamagedIndex:
    return DamagedIndex(
        f"The index in {folder} is damaged ({what}); run `related-pins index build` to make it "
        "again from the visual shards."
    )


def missing(folder: Path) -> ValueError:
    return ValueError(
        f"There is no index of feature version {folder.name} in {folder.parent.parent}; "
        "run `related-pins index build`."
    )


def index_folder(home: Path, feature_version: str) -> Path:
    return home / "index" / feature_version


def current(folder: Path) -> Generation | None:
    """The current generation, or None where there is none; raises DamagedIndex for a file that is
    not an index's."""
    try:
        found = json.loads((folder / CURRENT).read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise damaged(folder, f"{CURRENT} is not JSON") from error
    if not isinstance(found, dict) or found.pop("format", None) != FORMAT:
        raise damaged(folder, f"{CURRENT} is not of this program's version")
    try:
        files = {Path(name).name: (int(n), str(sha)) for name, (n, sha) in found["files"].items()}
        names = {"name": Path(found["name"]).name, "categories": tuple(found["categories"])}
        return Generation(**found | names | {"files": files})
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise damaged(folder, f"{CURRENT} lacks something") from error


def check(folder: Path, generation: Generation) -> Path:
    """The folder of a generation whose files have the sizes and hashes they were written with;
    reads each of them once. Raises FileNotFoundError or DamagedIndex.
    """
    place = folder / generation.name
    for name, (n_bytes, sha) in generation.files.items():
        path = place / name
        if path.stat().st_size != n_bytes:
            raise damaged(folder, f"{name} has {path.stat().st_size:,} bytes, not {n_bytes:,}")
        if _sha256(path) != sha:
            raise damaged(folder, f"{name} has another content than was written")
    return place


def swap_in(
    folder: Path, described: Mapping[str, Any], write: Callable[[Path], Mapping[str, str]]
) -> Generation:
    """Writes a new generation aside with `write`, makes it the current one and deletes all others;
    killed before it is current, it leaves the old one as it was. The caller holds the lock.

    described: the fields of Generation that the caller knows; `write` returns the others.
    """
    now = datetime.now(UTC)
    name = now.strftime("%Y%m%dT%H%M%S%fZ")
    clear(folder)
    (folder / name).mkdir(parents=True)
    written = write(folder / name)
    files = {path.name: _flushed(path) for path in sorted((folder / name).iterdir())}
    made_at = now.isoformat(timespec="seconds")
    made = Generation(name=name, made_at=made_at, files=files, **{**described, **written})
    _write_current(folder, made)
    clear(folder)
    return made


def clear(folder: Path) -> list[Path]:
    """Deletes what is not of the current generation: old ones, and what a killed process left.

    Where current.json is damaged, nothing is current. Returns what went.
    """
    if not folder.is_dir():
        return []
    try:
        found = current(folder)
    except DamagedIndex:
        found = None
    kept = () if found is None else (CURRENT, found.name)
    gone = [path for path in sorted(folder.iterdir()) if path.name not in kept]
    for path in gone:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return gone


def _write_current(folder: Path, generation: Generation) -> None:
    aside = folder / f".{CURRENT}.{os.getpid()}"
    aside.write_text(json.dumps({"format": FORMAT, **asdict(generation)}, indent=1) + "\n")
    _flush(aside)
    _flush(folder / generation.name)
    aside.replace(folder / CURRENT)
    _flush(folder)


def _flushed(path: Path) -> tuple[int, str]:
    _flush(path)
    return path.stat().st_size, _sha256(path)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
