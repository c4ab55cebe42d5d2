"""The index in a Milvus server (https://milvus.io), for teams that outgrow files and one process.

Two collections per generation, objects and images, behind aliases that readers use: a build writes
new ones aside and moves the aliases, an update changes them in place. A URL without a host is a
file of Milvus Lite, which serves one process at a time.
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from features.search.generation import Generation
from features.search.results import Match

if TYPE_CHECKING:
    from pymilvus import MilvusClient

TOKEN = "RELATED_PINS_MILVUS_TOKEN"
SCHEMES = {"milvus": "http", "milvus+https": "https"}
KINDS = ("objects", "images")
_MATCH = ["content_hash", "pins", "object_no", "category", "score", "box", "colour"]
Vectors = NDArray[np.float32]


class MilvusIndex:
    """The index of a feature version on a server; see ObjectIndex."""

    def __init__(self, generation: Generation) -> None:
        assert generation.server is not None
        self.feature_version = generation.feature_version
        self.generation = generation.name
        self.n_objects = generation.n_objects
        self.n_images = generation.n_images
        self.categories = generation.categories
        self.server = generation.server
        with reached(self.server) as client:
            self.widths = {
                kind: _width(client, alias(kind, self.feature_version)) for kind in KINDS
            }

    def search_objects(
        self, vectors: Vectors, top: int, categories: Sequence[str] | None = None
    ) -> list[list[Match]]:
        where = "" if categories is None else f"category in {quoted(list(categories))}"
        if categories is not None and not categories:
            return [[] for _ in vectors]
        return self._search("objects", vectors, top, where, _MATCH)

    def search_images(self, vectors: Vectors, top: int) -> list[list[Match]]:
        return self._search("images", vectors, top, "", _MATCH[:2])

    def same_image(self, pin_id: str) -> tuple[str, ...]:
        return tuple(self._image(pin_id)["pins"])

    def look_up(self, pin_id: str, object_no: int | None = None) -> tuple[Match, Vectors]:
        image = self._image(pin_id)
        if object_no is None:
            return _match(image, 1.0), np.array(image["vector"], dtype=np.float32)
        where = f"content_hash == {quoted(image['content_hash'])}"
        with reached(self.server) as client:
            rows = client.query(
                alias("objects", self.feature_version),
                filter=where,
                output_fields=[*_MATCH, "vector"],
            )
        for row in rows:
            if row["object_no"] == object_no:
                return _match(row, 1.0), np.array(row["vector"], dtype=np.float32)
        raise ValueError(f"Pin {pin_id} has no object {object_no}; it has {len(rows)}.")

    def whole(self, pin_ids: Sequence[str]) -> Vectors:
        rows = [self._image(pin)["vector"] for pin in pin_ids]
        return np.array(rows, dtype=np.float32).reshape(-1, self.widths["images"])

    def _search(
        self, kind: str, vectors: Vectors, top: int, where: str, fields: list[str]
    ) -> list[list[Match]]:
        if vectors.ndim != 2 or vectors.shape[1] != self.widths[kind]:
            raise ValueError(
                f"Queries are (Q, {self.widths[kind]}) vectors of the index's feature version, "
                f"not {vectors.shape}."
            )
        if top < 1:
            raise ValueError(f"top is at least 1, not {top}.")
        if not len(vectors):
            return []
        with reached(self.server) as client:
            found = client.search(
                alias(kind, self.feature_version), data=vectors.astype(np.float32).tolist(),
                limit=top, filter=where, output_fields=fields,
            )  # fmt: skip
        return [[_match(hit["entity"], hit["distance"]) for hit in hits] for hits in found]

    def _image(self, pin_id: str) -> dict[str, Any]:
        where = f"array_contains(pins, {quoted(pin_id)})"
        with reached(self.server) as client:
            rows = client.query(
                alias("images", self.feature_version), filter=where, limit=1,
                output_fields=["content_hash", "pins", "vector"],
            )  # fmt: skip
        if not rows:
            raise ValueError(
                f"There is no pin {pin_id} in the index; if it is new, run "
                "`related-pins index update`."
            )
        return dict(rows[0])


def open_milvus(generation: Generation) -> MilvusIndex:
    """The index that current.json says is on a server; OSError where it cannot be reached."""
    return MilvusIndex(generation)


@contextmanager
def reached(server: str) -> "Iterator[MilvusClient]":
    """A client of the server, one per process; what goes wrong there is an OSError in a sentence.

    Raises ValueError for a URL that is none, or where pymilvus is not installed.
    """
    try:
        from pymilvus import MilvusException
    except ImportError as error:
        raise ValueError(
            f"{server} needs pymilvus; run `pip install 'related-pins[milvus]'`."
        ) from error
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # errors are raised as well
    try:
        yield _client(server)
    except MilvusException as error:
        raise OSError(
            f"The search index at {server} cannot be reached or refuses: {error.message} Start or "
            f"correct the server (its token is read from {TOKEN}) and run this again."
        ) from error


def alias(kind: str, version: str) -> str:
    """The name that readers use for the collection of 'objects' or 'images'."""
    return f"{kind}_{version}"


def quoted(value: str | Sequence[str]) -> str:
    r"""A value in a filter of Milvus.

    >>> print(quoted(["it's", 'a "bag"']))
    ["it's", "a \"bag\""]
    """
    return json.dumps(value, ensure_ascii=False)


@cache
def _client(server: str) -> "MilvusClient":
    from pymilvus import MilvusClient

    parts = urlsplit(server)
    if parts.scheme not in SCHEMES or parts.password or not parts.netloc + parts.path:
        raise ValueError(
            f"{parts.scheme}://... is no index; give milvus://HOST:PORT, milvus+https://HOST:PORT, "
            f"with /DATABASE or not, or milvus:///FILE, and put a token into {TOKEN}."
        )
    if not parts.netloc:
        return MilvusClient(parts.path)
    return MilvusClient(
        f"{SCHEMES[parts.scheme]}://{parts.netloc}", token=os.environ.get(TOKEN, ""),
        db_name=parts.path.strip("/"),
    )  # fmt: skip


def _match(row: Mapping[str, Any], cosine: float) -> Match:
    box, colour = row.get("box"), row.get("colour")
    return Match(
        row["pins"][0], row["content_hash"], row.get("object_no"), row.get("category"),
        row.get("score"), (box[0], box[1], box[2], box[3]) if box else None,
        min(1.0, max(-1.0, cosine)), (colour[0], colour[1], colour[2]) if colour else None,
    )  # fmt: skip


def _width(client: "MilvusClient", name: str) -> int:
    fields = client.describe_collection(name)["fields"]
    return int(next(field["params"]["dim"] for field in fields if field["name"] == "vector"))
