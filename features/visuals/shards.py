"""Visual shards: PinVisuals in Arrow files, written aside and renamed into place.

A shard never changes once it is there, except where something is erased. Vectors are kept as
float16 fixed-size lists. The file is mapped into memory (Arrow IPC file format, uncompressed:
https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format), so that reading some images
costs as much as these, not as much as the shard. Shards used to be Parquet files; these are read
as well.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.visuals.columns import VisualColumns, as_columns
from features.visuals.visuals import PinVisual

SUFFIX, FORMER = ".arrow", ".parquet"
_UNREADABLE = b"unreadable"


def write_shard(
    path: Path, visuals: Sequence[PinVisual], unreadable: Mapping[str, str] | None = None
) -> None:
    """Writes a whole shard of at least one visual or, if killed, nothing under its name.

    unreadable: content hash -> why, of images that were looked at with these and are none.
    """
    table = _table(as_columns(visuals))
    table = table.replace_schema_metadata({_UNREADABLE: json.dumps(unreadable or {})})
    with written_aside(path) as aside, pa.ipc.new_file(aside, table.schema) as writer:
        writer.write_table(table)


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
    table = _opened(path)
    rows = np.arange(table.num_rows)
    if content_hashes is not None:
        wanted = pa.array(sorted(content_hashes), type=pa.string())
        rows = np.flatnonzero(pc.is_in(table["content_hash"], value_set=wanted).to_numpy())
    return _columns(table, rows).visuals() if len(rows) else []


def read_columns(path: Path, content_hashes: Sequence[str]) -> VisualColumns:
    """The visuals of the given content hashes in a shard, at least one, in the order given.

    Raises FileNotFoundError where the shard is gone and KeyError with a content hash that it lacks.
    """
    table = _opened(path)
    wanted = pa.array(content_hashes, type=pa.string())
    rows = pc.index_in(wanted, value_set=table["content_hash"].chunk(0))
    if rows.null_count:
        raise KeyError(content_hashes[rows.to_pylist().index(None)])
    return _columns(table, rows.to_numpy().astype(np.int64))


def shards_under(folder: Path) -> list[Path]:
    """All shards of all feature versions in `HOME/visuals`."""
    return sorted(path for path in folder.glob("*/*") if path.suffix in (SUFFIX, FORMER))


def shard_hashes(path: Path) -> list[str]:
    """Content hashes of the images in a shard, without reading a vector."""
    hashes: list[str] = _opened(path, ["content_hash"])["content_hash"].to_pylist()
    return hashes


def shard_unreadable(path: Path) -> dict[str, str]:
    """Content hash -> why it is no image, of those that were looked at with the shard's."""
    metadata = _opened(path, ["content_hash"]).schema.metadata or {}
    found: dict[str, str] = json.loads(metadata.get(_UNREADABLE, b"{}"))
    return found


def keep_in_shard(path: Path, keep: Callable[[str], bool]) -> bool:
    """Whether the shard had images that are not to be kept; it has them no more. A shard without
    any image left is removed.
    """
    hashes = shard_hashes(path)
    kept = [content for content in hashes if keep(content)]
    if len(kept) < len(hashes):
        if kept:
            write_shard(path, read_shard(path, kept), shard_unreadable(path))
        else:
            path.unlink()
    return len(kept) < len(hashes)


def _opened(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    if not path.exists():
        raise FileNotFoundError(
            f"The visual shard {path} is gone; delete the feature version's rows from `manifest` "
            "and run `related-pins features` to make it again."
        )
    if path.suffix == FORMER:
        return pq.read_table(path, columns=columns).combine_chunks()
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def _table(visuals: VisualColumns) -> pa.Table:
    starts = pa.array(visuals.starts.astype(np.int32))

    def objects(values: pa.Array) -> pa.ListArray:
        return pa.ListArray.from_arrays(starts, values)

    return pa.table(
        {
            "content_hash": visuals.content_hash,
            "width": pa.array(visuals.width, pa.int32()),
            "height": pa.array(visuals.height, pa.int32()),
            "whole": _lists(visuals.whole.astype(np.float16)),
            "whole_crop": _lists(visuals.whole_crop.astype(np.float16)),
            "boxes": objects(_lists(visuals.boxes)),
            "scores": objects(pa.array(visuals.scores)),
            "categories": objects(visuals.categories),
            "crops": objects(_lists(visuals.crops.astype(np.float16))),
            "padded": objects(_lists(visuals.padded.astype(np.float16))),
            "colours": objects(_lists(visuals.colours)),
        }
    )


def _lists(values: NDArray[np.generic]) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def _columns(table: pa.Table, rows: NDArray[np.int64]) -> VisualColumns:
    """Some rows of a shard, at least one; nothing else of it is touched."""
    column = {name: table[name].chunk(0) for name in table.column_names}
    starts = column["scores"].offsets.to_numpy().astype(np.int64)
    counts = np.diff(starts)[rows]
    ends = np.cumsum(counts)
    objects = np.arange(ends[-1]) + np.repeat(starts[rows] - ends + counts, counts)

    def vectors(name: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        lists = column[name] if name.startswith("whole") else column[name].values
        numbers = lists.values.to_numpy().reshape(-1, lists.type.list_size)
        return np.asarray(numbers[rows], dtype=np.float32)

    return VisualColumns(
        content_hash=column["content_hash"].take(pa.array(rows)),
        width=column["width"].to_numpy()[rows].astype(np.int64),
        height=column["height"].to_numpy()[rows].astype(np.int64),
        counts=counts,
        whole=vectors("whole", rows),
        whole_crop=vectors("whole_crop", rows),
        scores=column["scores"].values.to_numpy()[objects],
        categories=column["categories"].values.take(pa.array(objects)),
        **{name: vectors(name, objects) for name in ("boxes", "crops", "padded", "colours")},
    )
