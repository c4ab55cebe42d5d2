"""Writing the index into a Milvus server; see features/search/milvus.py."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from features.search.milvus import KINDS, alias, quoted, reached
from features.visuals.visuals import PinVisual

if TYPE_CHECKING:
    from pymilvus import MilvusClient

MAX_PINS = 4096  # that are named of one image: the capacity of an array in Milvus
_BATCH = 500
Pins = Mapping[str, Sequence[str]]
Name = Callable[[str], str]
Row = dict[str, Any]


def build_milvus(
    server: str, version: str, generation: str, visuals: Iterable[list[PinVisual]], pins: Pins,
    vectors: str,
) -> dict[str, int]:  # fmt: skip
    """Writes new collections aside, moves the aliases to them and drops the old ones; n_objects and
    n_images. Killed, it leaves the old ones where readers find them."""

    def name(kind: str) -> str:
        return f"{alias(kind, version)}_{generation}"

    with reached(server) as client:
        _drop_all_but(client, version, _current(client, version))
        _insert(client, name, visuals, pins, vectors)
        for kind in KINDS:
            there = alias(kind, version) in client.list_aliases()["aliases"]
            move = client.alter_alias if there else client.create_alias
            move(name(kind), alias(kind, version))
        _drop_all_but(client, version, _current(client, version))
        return _counts(client, version)


def update_milvus(
    server: str, version: str, visuals: Iterable[list[PinVisual]], pins: Pins, before: Pins,
    vectors: str,
) -> dict[str, int]:  # fmt: skip
    """Makes the collections hold the images of `pins`, of which those of `before` are there: others
    go, and `visuals` come; n_objects and n_images. Killed and called again, it goes on."""
    gone = [content for content in before if content not in pins]
    renamed = [h for h in before if h in pins and sorted(pins[h])[:MAX_PINS] != sorted(before[h])]
    with reached(server) as client:
        for kind in reversed(KINDS):  # `before` is read from the images
            name = alias(kind, version)
            for part in _parts(gone):
                client.delete(name, filter=f"content_hash in {quoted(part)}")
            for part in _parts(renamed):
                where = f"content_hash in {quoted(part)}"
                rows = client.query(name, filter=where, output_fields=["*"])
                client.upsert(name, [row | _pins(pins, row["content_hash"]) for row in rows])
        _insert(client, lambda kind: alias(kind, version), visuals, pins, vectors)
        return _counts(client, version)


def pins_in_milvus(server: str, version: str) -> dict[str, list[str]]:
    """The pins that show each image, by content hash."""
    with reached(server) as client:
        batches = client.query_iterator(
            alias("images", version), batch_size=1000, output_fields=["content_hash", "pins"]
        )
        found: dict[str, list[str]] = {}
        while rows := batches.next():
            found |= {row["content_hash"]: sorted(row["pins"]) for row in rows}
        batches.close()
        return found


def drop_milvus(server: str, version: str) -> None:
    """Drops everything of a feature version."""
    with reached(server) as client:
        for kind in KINDS:
            if alias(kind, version) in client.list_aliases()["aliases"]:
                client.drop_alias(alias(kind, version))
        _drop_all_but(client, version, set())


def _insert(
    client: "MilvusClient", name: Name, visuals: Iterable[list[PinVisual]], pins: Pins, vectors: str
) -> None:
    for some in visuals:
        for kind, rows in (
            ("objects", _objects(some, pins, vectors)),
            ("images", _images(some, pins)),
        ):
            width = getattr(some[0], vectors).shape[1] if kind == "objects" else len(some[0].whole)
            if not client.has_collection(name(kind)):
                _create(client, name(kind), kind, width)
            for part in _parts(rows):
                client.upsert(name(kind), part)


def _create(client: "MilvusClient", name: str, kind: str, width: int) -> None:
    from pymilvus import DataType

    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=128)
    schema.add_field("content_hash", DataType.VARCHAR, max_length=64)
    array = {"datatype": DataType.ARRAY, "element_type": DataType.FLOAT}
    schema.add_field("pins", DataType.ARRAY, element_type=DataType.VARCHAR, max_length=512,
                     max_capacity=MAX_PINS)  # fmt: skip
    if kind == "objects":
        schema.add_field("object_no", DataType.INT32)
        schema.add_field("category", DataType.VARCHAR, max_length=256)
        schema.add_field("score", DataType.FLOAT)
        schema.add_field("box", max_capacity=4, **array)
        schema.add_field("colour", max_capacity=3, **array)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=width)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="AUTOINDEX", metric_type="IP")
    client.create_collection(name, schema=schema, index_params=index, consistency_level="Strong")


def _objects(visuals: Sequence[PinVisual], pins: Pins, vectors: str) -> list[Row]:
    return [
        {
            "id": f"{visual.content_hash}/{number}", "object_no": number,
            "category": visual.categories[number], "score": float(visual.scores[number]),
            "box": visual.boxes[number].tolist(), "colour": visual.colours[number].tolist(),
            "vector": _vector(getattr(visual, vectors)[number]),
            **_pins(pins, visual.content_hash),
        }
        for visual in visuals for number in range(len(visual.scores))
    ]  # fmt: skip


def _images(visuals: Sequence[PinVisual], pins: Pins) -> list[Row]:
    return [
        {"id": v.content_hash, "vector": _vector(v.whole), **_pins(pins, v.content_hash)}
        for v in visuals
    ]


def _pins(pins: Pins, content: str) -> Row:
    return {"content_hash": content, "pins": sorted(pins[content])[:MAX_PINS]}


def _vector(values: NDArray[np.float32]) -> list[float]:
    numbers: list[float] = values.astype(np.float32).tolist()
    return numbers


def _current(client: "MilvusClient", version: str) -> set[str]:
    """The collections that the aliases stand for."""
    there = set(client.list_aliases()["aliases"])
    wanted = [alias(kind, version) for kind in KINDS]
    return {client.describe_alias(name)["collection_name"] for name in wanted if name in there}


def _drop_all_but(client: "MilvusClient", version: str, kept: set[str]) -> None:
    mine = tuple(f"{alias(kind, version)}_" for kind in KINDS)
    for name in client.list_collections():
        if name.startswith(mine) and name not in kept:
            client.drop_collection(name)


def _counts(client: "MilvusClient", version: str) -> dict[str, int]:
    return {
        f"n_{kind}": int(
            client.query(alias(kind, version), filter="", output_fields=["count(*)"])[0]["count(*)"]
        )
        for kind in KINDS
    }


def _parts(values: Sequence[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(values), _BATCH):
        yield list(values[start : start + _BATCH])
