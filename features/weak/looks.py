"""Looks: embeddings of boxes of images, kept in a file so that none is computed twice."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image as pil

from features.embedding.embedding import Embedder, cut
from features.images.images import Image, UnreadableImage, load_image

Boxes = NDArray[np.float64]
KEEP_EVERY = 500  # photos after which the file is written


class Looks:
    """The tight crops' embeddings, in `folder/looks-<version of the embedder>.parquet`.

    A look's key is the content of the image and the box to a tenth of a pixel. A reader sees a
    whole file, before or after.
    """

    def __init__(self, folder: Path, embedder: Embedder) -> None:
        self.embedder = embedder
        self.path = folder / f"looks-{embedder.version}.parquet"
        self._known: dict[str, NDArray[np.float32]] = {}
        if self.path.exists():
            rows = pq.read_table(self.path).to_pydict()
            vectors = (np.array(vector, dtype=np.float32) for vector in rows["vector"])
            self._known = dict(zip(rows["key"], vectors, strict=True))

    def of(
        self,
        photos: Sequence[Path],
        boxes: Callable[[int, Image], Boxes],
        progress: Callable[[int], None] | None = None,
    ) -> tuple[list[NDArray[np.float32]], Mapping[int, str]]:
        """Looks `(N, D)` float32 of the boxes `(N, 4)` xyxy that each photo has by `boxes(number,
        image)`, `(0, D)` for a photo that cannot be read; and by its number why it cannot.

        progress is called with the number of photos that are done.
        """
        looks, unreadable = [], {}
        for number, path in enumerate(photos):
            try:
                image = load_image(path)
                looks.append(self._of_image(image, boxes(number, image)))
            except UnreadableImage as error:
                unreadable[number] = str(error)
                looks.append(np.zeros((0, self.embedder.dimension), dtype=np.float32))
            if (number + 1) % KEEP_EVERY == 0:
                self.keep()
            if progress is not None:
                progress(number + 1)
        self.keep()
        return looks, unreadable

    def _of_image(self, image: Image, boxes: Boxes) -> NDArray[np.float32]:
        keys = [f"{image.content_hash} {' '.join(f'{e:.1f}' for e in box)}" for box in boxes]
        new = [row for row, key in enumerate(keys) if key not in self._known]
        photo, side = pil.fromarray(image.pixels), self.embedder.side
        crops = [cut(photo, boxes[row].tolist(), side) for row in new]
        vectors = self.embedder.embed(crops)
        self._known |= {keys[row]: vector for row, vector in zip(new, vectors, strict=True)}
        found = [self._known[key] for key in keys]
        return np.stack(found) if found else vectors

    def keep(self) -> None:
        """Write the file aside and put it in place."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        vectors = [vector.tolist() for vector in self._known.values()]
        columns = {
            "key": pa.array(list(self._known), pa.string()),
            "vector": pa.array(vectors, pa.list_(pa.float32())),
        }
        aside = self.path.with_suffix(".tmp")
        pq.write_table(pa.table(columns), aside)
        aside.replace(self.path)
