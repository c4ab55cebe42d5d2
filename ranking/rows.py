"""The rows that rankers learn from and score: which of them say something, and how text is told."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


def informative(rows: pa.Table) -> pa.Table:
    """The rows of requests with a grade above 0, ordered by request_id and candidate_pin_id.

    Rows that are so already are not copied. Raises ValueError where no request is left.
    """
    keys = ["request_id", "candidate_pin_id"]
    acted = pc.unique(rows["request_id"].filter(pc.greater(rows["grade"], 0)))
    kept = pc.indices_nonzero(pc.is_in(rows["request_id"], acted))
    if len(kept) == 0:
        raise ValueError("No request in the training days was acted on; give more days.")
    order = pc.sort_indices(rows.select(keys).take(kept), [(key, "ascending") for key in keys])
    indices = kept.take(order).to_numpy()
    return rows if np.array_equal(indices, np.arange(len(rows))) else rows.take(indices)


def request_sizes(rows: pa.Table) -> npt.NDArray[np.int64]:
    """How many rows `(R,)` each request has, in their order; a request's rows stand together.

    >>> request_sizes(pa.table({"request_id": ["a", "a", "b"]})).tolist()
    [2, 1]
    """
    requests = pc.run_end_encode(rows["request_id"].combine_chunks())
    ends = np.asarray(requests.run_ends, dtype=np.int64)
    return np.diff(ends, prepend=0)


def of_columns(rows: pa.Table, columns: Sequence[str]) -> pa.Table:
    """The columns in order; raises ValueError where one is absent."""
    absent = [name for name in columns if name not in rows.column_names]
    if absent:
        raise ValueError(f"The rows lack the columns {', '.join(absent)} that the ranker sees.")
    return rows.select(list(columns))


def is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def words(values: pa.ChunkedArray) -> tuple[str, ...]:
    """The distinct words in order, without null."""
    return tuple(sorted(pc.unique(values.cast(pa.string()).drop_null()).to_pylist()))


def write_aside(path: Path, text: str) -> None:
    """Writes the file whole or not at all."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text)
    aside.replace(path)
