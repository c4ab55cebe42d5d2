"""Pictures of pins, made small from the images of the source folder; a few are kept in memory."""

import hashlib
import io
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from PIL import Image as pil

from features.images.images import Image, UnreadableImage, load_image
from features.images.pin_images import PinImages

SIZES = (240, 480, 1080)
KEPT_BYTES = 64 * 2**20
DECODED_AT_ONCE = 2
QUALITY = 85


@dataclass(frozen=True)
class Source:
    """The image file of a pin as it is now; `etag` changes with it."""

    path: Path
    etag: str


class Pictures:
    """JPEGs of pins whose longest side is one of SIZES. Safe to share between threads."""

    def __init__(self, source: Path, home: Path) -> None:
        self.images = PinImages(source, home)
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._decoding = threading.BoundedSemaphore(DECODED_AT_ONCE)

    def find(self, image: str) -> Source:
        """The file of an image: a path inside the source folder, or a URI that was fetched before;
        nothing is fetched now. Raises UnreadableImage with the reason where there is none.
        """
        path = self.images.file(image)
        try:
            status = path.stat()
        except (OSError, ValueError) as error:
            raise UnreadableImage("The image file is not there.") from error
        state = f"{path} {status.st_mtime_ns} {status.st_size}"
        return Source(path, hashlib.sha256(state.encode(errors="replace")).hexdigest()[:20])

    def load(self, image: str) -> Image:
        """The whole image. Raises UnreadableImage with the reason where it cannot be read."""
        path = self.find(image).path
        with self._decoding:
            return load_image(path)

    def jpeg(self, found: Source, size: int) -> bytes:
        """The image in a square of `size` pixels, never enlarged. Raises UnreadableImage."""
        key = (found.etag, size)
        with self._lock:
            if data := self._kept.get(key):
                self._kept.move_to_end(key)
                return data
        with self._decoding:
            picture = pil.fromarray(load_image(found.path).pixels)
            picture.thumbnail((size, size))
            buffer = io.BytesIO()
            picture.save(buffer, "JPEG", quality=QUALITY)
        self._keep(key, data := buffer.getvalue())
        return data

    def _keep(self, key: tuple[str, int], data: bytes) -> None:
        with self._lock:
            self._bytes += len(data) - len(self._kept.pop(key, b""))
            self._kept[key] = data
            while self._bytes > KEPT_BYTES:
                self._bytes -= len(self._kept.popitem(last=False)[1])
