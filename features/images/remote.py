"""Remote images: fetched within limits, kept in the home folder, asked for once a day.

`pins.image` may be a URI: http or https (features/images/web.py), or s3 or gs, which fsspec reads with the
access rights of the machine (https://filesystem-spec.readthedocs.io).
"""

import datetime as dt
import hashlib
import importlib
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from features.images.images import UnreadableImage, image_file
from features.images.web import Fetched, FetchLimits, Unreachable, fetch

PACKAGES = {"s3": "s3fs", "gs": "gcsfs"}
WORKERS = 16
TRIES = 3  # of a host that does not answer, in one run
BLOCK = 2**20
_PRIVATE = "RELATED_PINS_PRIVATE_IMAGES"


@dataclass(frozen=True)
class Kept:
    """What is known of an image in the cache; asked is the UTC day of the last answer."""

    uri: str
    content_hash: str
    etag: str
    last_modified: str
    asked: str


class RemoteImages:
    """Remote images by URI, each kept in a file of its own in a folder.

    A URI is asked for once a day, and its content is sent again only when it has changed: the
    server is told the version that is here (ETag or Last-Modified). Content of a server that does
    not name versions is not fetched again. While a host does not answer, what is here is used.
    """

    def __init__(self, folder: Path, limits: FetchLimits | None = None) -> None:
        self.folder = folder
        self.limits = limits or FetchLimits(allow_private=os.environ.get(_PRIVATE) == "1")
        self._failed: Counter[str] = Counter()
        self._lock = threading.Lock()

    def file(self, uri: str) -> Path:
        """The file that holds the image; fetched where it has to be.

        Raises UnreadableImage with the reason where it cannot be had.
        """
        path = self._path(uri)
        kept = _kept(path)
        today = dt.datetime.now(dt.UTC).date().isoformat()
        if kept and (kept.asked == today or not (kept.etag or kept.last_modified)):
            return path
        try:
            found = self._fetched(uri, kept)
        except Unreachable:
            if kept:
                return path
            raise
        if found is None and kept:
            _write_kept(path, Kept(**(asdict(kept) | {"asked": today})))
        elif found is not None:
            _write(path, found.data)
            content = hashlib.sha256(found.data).hexdigest()
            _write_kept(path, Kept(uri, content, found.etag, found.last_modified, today))
        return path

    def kept_file(self, uri: str) -> Path:
        """The file that holds the image as it was last fetched; nobody is asked.

        Raises UnreadableImage where it was not fetched.
        """
        path = self._path(uri)
        if _kept(path) is None:
            raise UnreadableImage("It has not been fetched; run `related-pins features`.")
        return path

    def forget(self, uri: str) -> list[Path]:
        """Deletes what is kept of a URI; the files that were there."""
        path = self._path(uri)
        gone = [file for file in (path, *path.parent.glob(f"*{path.name}*")) if file.exists()]
        for file in dict.fromkeys(gone):
            file.unlink()
        return list(dict.fromkeys(gone))

    def _path(self, uri: str) -> Path:
        name = hashlib.sha256(uri.encode(errors="surrogatepass")).hexdigest()
        return self.folder / name[:2] / name

    def _fetched(self, uri: str, kept: Kept | None) -> Fetched | None:
        scheme, _, rest = uri.partition("://")
        host = rest.split("/")[0].lower()
        if self._failed[host] >= TRIES:
            raise Unreachable(f"The host {host} did not answer {TRIES} times in this run.")
        ask = fetch if scheme.lower() in ("http", "https") else fetch_object
        try:
            versions = (kept.etag, kept.last_modified) if kept else ("", "")
            found = ask(uri, self.limits, *versions)
        except Unreachable:
            with self._lock:
                self._failed[host] += 1
            raise
        with self._lock:
            self._failed[host] = 0
        return found


def fetch_object(
    uri: str, limits: FetchLimits, etag: str = "", last_modified: str = ""
) -> Fetched | None:
    """The content of an s3 or gs object; None where it still is the version named by `etag`.

    Raises UnreadableImage for another scheme, a missing package (with its name), a missing or too
    large object; Unreachable where the store does not answer.
    """
    deadline = time.monotonic() + limits.seconds
    scheme, _, path = uri.partition("://")
    if scheme.lower() not in PACKAGES:
        raise UnreadableImage("The URI is none of http, https, s3 or gs.")
    try:
        store: Any = importlib.import_module("fsspec").filesystem(scheme.lower())
    except ImportError as error:
        package = PACKAGES[scheme.lower()]
        raise UnreadableImage(f"It needs the package {package}: pip install {package}.") from error
    try:
        size, version = store.info(path).get("size") or 0, str(store.ukey(path))
        if size > limits.max_bytes:
            raise UnreadableImage(f"The content has more than {limits.max_bytes} bytes.")
        return (
            None if version == etag else Fetched(_content(store, path, limits, deadline), version)
        )
    except UnreadableImage:
        raise
    except FileNotFoundError as error:
        raise UnreadableImage("There is no such object.") from error
    except Exception as error:  # of any of the packages
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise Unreachable(f"It cannot be fetched ({reason}).") from error


def image_files(
    images: Mapping[str, str],
    source: Path,
    remote: RemoteImages,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Path], dict[str, str]]:
    """(pin -> image file, pin -> why it has none) of pins by their image: a path in the source
    folder or a URI. progress is called with the URIs that are done, and all of them.
    """
    uris = list(dict.fromkeys(image for image in images.values() if "://" in image))
    found: dict[str, Path | UnreadableImage] = {}
    with ThreadPoolExecutor(WORKERS) as pool:
        for uri, result in zip(uris, pool.map(_tried(remote.file), uris), strict=True):
            found[uri] = result
            if progress is not None:
                progress(len(found), len(uris))
    local = _tried(lambda image: image_file(source, image))
    files, refused = {}, {}
    for pin, image in images.items():
        result = found[image] if image in found else local(image)
        if isinstance(result, UnreadableImage):
            refused[pin] = str(result)
        else:
            files[pin] = result
    return files, refused


def _tried(find: Callable[[str], Path]) -> Callable[[str], Path | UnreadableImage]:
    def found(image: str) -> Path | UnreadableImage:
        try:
            return find(image)
        except UnreadableImage as error:
            return error

    return found


def _content(store: Any, path: str, limits: FetchLimits, deadline: float) -> bytes:
    data = bytearray()
    with store.open(path, "rb") as file:
        while block := file.read(BLOCK):
            data += block
            if len(data) > limits.max_bytes:
                raise UnreadableImage(f"The content has more than {limits.max_bytes} bytes.")
            if time.monotonic() > deadline:
                raise Unreachable(f"It took more than {limits.seconds:g} seconds.")
    return bytes(data)


def _kept(path: Path) -> Kept | None:
    """What is known of the file, if it is whole."""
    try:
        kept = Kept(**json.loads(path.with_suffix(".json").read_text()))
        with path.open("rb") as file:
            whole = hashlib.file_digest(file, "sha256").hexdigest() == kept.content_hash
        return kept if whole else None
    except (OSError, ValueError, TypeError):
        return None


def _write_kept(path: Path, kept: Kept) -> None:
    _write(path.with_suffix(".json"), json.dumps(asdict(kept)).encode())


def _write(path: Path, data: bytes) -> None:
    """Written aside and renamed, so that a file under its name is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{os.getpid()}.part")
    aside.write_bytes(data)
    aside.replace(path)
