"""Visual shards: PinVisuals in Parquet files, written aside and renamed into place.

A shard never changes once it is there, except where something is erased. Vectors are kept as
float16 fixed-size lists.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.visuals.visuals import PinVisual

_UNREADABLE = b"unreadable"
_REPEATED = ["categories.list.element"]  # a dictionary of vectors makes a shard larger and slower


def write_shard(
    path: Path, visuals: Sequence[PinVisual], unreadable: Mapping[str, str] | None = None
) -> None:
    """Writes a whole shard or, if killed, nothing under its name.

    unreadable: content hash -> why, of images that were looked at with these and are none.
    """
    table = _table(visuals).replace_schema_metadata({_UNREADABLE: json.dumps(unreadable or {})})
    with written_aside(path) as aside:
        pq.write_table(table, aside, compression="zstd", use_dictionary=_REPEATED)


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """The path to write at; what is there on leaving is renamed to `path`, once it is on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    yield aside
    with aside.open("rb") as file:
        os.fsync(file.fileno())
    aside.replace(path)


def read_shard(path: Path, content_hashes: Iterable[str] | None = None) -> list[PinVisual]:
    """The PinVisuals of a shard, all or those of the given content hashes, in the file's order.

    Vectors come back as float32, unit to float16 precision. Raises FileNotFoundError where the
    shard is gone.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"The visual shard {path} is gone; delete the feature version's rows from `manifest` "
            "and run `related-pins features` to make it again."
        )
    table = pq.read_table(path)
    if content_hashes is not None:
        wanted = pa.array(sorted(content_hashes), type=pa.string())
        table = table.filter(pc.is_in(table["content_hash"], value_set=wanted))
    return _visuals(table.combine_chunks())


def shard_hashes(path: Path) -> list[str]:
    """Content hashes of the images in a shard, without reading a vector."""
    hashes: list[str] = pq.read_table(path, columns=["content_hash"])["content_hash"].to_pylist()
    return hashes


def shard_unreadable(path: Path) -> dict[str, str]:
    """Content hash -> why it is no image, of those that were looked at with the shard's."""
    metadata = pq.read_schema(path).metadata or {}
    found: dict[str, str] = json.loads(metadata.get(_UNREADABLE, b"{}"))
    return found


def _table(visuals: Sequence[PinVisual]) -> pa.Table:
    whole = np.stack([v.whole for v in visuals]).astype(np.float16)
    whole_crop = np.stack([v.whole_crop for v in visuals]).astype(np.float16)
    dimension = whole_crop.shape[1]
    categories = [category for v in visuals for category in v.categories]
    starts = np.cumsum([0] + [len(v.scores) for v in visuals]).astype(np.int32)

    def objects(values: pa.Array) -> pa.ListArray:
        return pa.ListArray.from_arrays(pa.array(starts), values)

    def stack(name: str, width: int) -> NDArray[np.float32]:
        return np.concatenate([getattr(v, name).reshape(-1, width) for v in visuals])

    return pa.table(
        {
            "content_hash": pa.array([v.content_hash for v in visuals]),
            "width": pa.array([v.width for v in visuals], pa.int32()),
            "height": pa.array([v.height for v in visuals], pa.int32()),
            "whole": _lists(whole, whole.shape[1]),
            "whole_crop": _lists(whole_crop, dimension),
            "boxes": objects(_lists(stack("boxes", 4), 4)),
            "scores": objects(pa.array(stack("scores", 1).ravel())),
            "categories": objects(pa.array(categories, pa.string())),
            "crops": objects(_lists(stack("crops", dimension).astype(np.float16), dimension)),
            "padded": objects(_lists(stack("padded", dimension).astype(np.float16), dimension)),
            "colours": objects(_lists(stack("colours", 3), 3)),
        }
    )


def _lists(values: NDArray[np.generic], width: int) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), width)


def _visuals(table: pa.Table) -> list[PinVisual]:
    if not table.num_rows:
        return []
    dimension = table.schema.field("whole_crop").type.list_size
    column = {name: table[name].combine_chunks() for name in table.column_names}
    counts = pc.list_value_length(column["scores"]).to_numpy()
    bounds = np.cumsum([0, *counts])

    def vectors(name: str, width: int) -> NDArray[np.float32]:
        values = column[name].flatten()
        values = values.flatten() if name not in ("whole", "whole_crop") else values
        numbers = values.to_numpy(zero_copy_only=False)
        return np.asarray(numbers, dtype=np.float32).reshape(-1, width)

    whole = vectors("whole", table.schema.field("whole").type.list_size)
    whole_crop = vectors("whole_crop", dimension)
    boxes, colours = vectors("boxes", 4), vectors("colours", 3)
    crops, padded = vectors("crops", dimension), vectors("padded", dimension)
    scores = column["scores"].flatten().to_numpy(zero_copy_only=False)
    categories = column["categories"].flatten().to_pylist()
    hashes = column["content_hash"].to_pylist()
    widths, heights = column["width"].to_pylist(), column["height"].to_pylist()
    return [
        PinVisual(
            content_hash=hashes[row],
            width=widths[row],
            height=heights[row],
            whole=whole[row],
            whole_crop=whole_crop[row],
            boxes=boxes[start:end],
            scores=scores[start:end],
            categories=tuple(categories[start:end]),
            crops=crops[start:end],
            padded=padded[start:end],
            colours=colours[start:end],
        )
        for row, (start, end) in enumerate(pairwise(bounds))
    ]
