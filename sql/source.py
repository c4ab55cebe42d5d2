"""The source folder: its files read, checked for being what they say, and typed by the contract."""

import csv
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from sql.contract import BOXES, INPUTS, Field, Input

TYPES = {
    "text": pa.string(),
    "real": pa.float64(),
    "whole": pa.int64(),
    "time": pa.timestamp("us"),
}
WORDS = {"text": "text", "real": "numbers", "whole": "whole numbers", "time": "times"}
EARLIEST, LATEST = np.datetime64("1900-01-01", "us"), np.datetime64("9999-12-31", "us")


@dataclass(frozen=True)
class Rows:
    """The rows of one input: as they came, and typed; a value that cannot be read is null in
    `typed`. `malformed` are the lines of a CSV file that do not have as many fields as it."""

    contract: Input
    raw: pa.Table
    typed: pa.Table
    malformed: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.raw) + len(self.malformed)


def source_files(source: Path) -> dict[str, Path]:
    """The input files of a folder by name of the input, and boxes*.json by file name.

    Raises FileNotFoundError for a missing folder or file, ValueError where an input is there as
    Parquet and as CSV.
    """
    if not source.is_dir():
        raise FileNotFoundError(f"There is no folder {source}; name the folder of the input files.")
    files = {}
    for name in INPUTS:
        found = [p for p in (source / f"{name}.parquet", source / f"{name}.csv") if p.exists()]
        if not found:
            raise FileNotFoundError(
                f"{source} holds no {name}.parquet or {name}.csv; put it there."
            )
        if len(found) > 1:
            raise ValueError(
                f"{source} holds both {name}.parquet and {name}.csv; keep one of them."
            )
        files[name] = found[0]
    return files | {p.name: p for p in sorted(source.glob("boxes*.json"))}


def content_hashes(files: dict[str, Path]) -> dict[str, str]:
    """The SHA-256 of each file by name, hexadecimal."""
    hashes = {}
    for name, path in files.items():
        with path.open("rb") as stream:
            hashes[name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return hashes


def read_input(path: Path, contract: Input) -> Rows:
    """The rows of an input file.

    Raises ValueError where the file is not readable, or lacks a column, or a column holds
    something else than it must.
    """
    malformed: list[str] = []
    if path.suffix == ".parquet":
        raw = _read_parquet(path, contract)
    else:
        raw, malformed = _read_csv(path, contract)
    typed = [_typed(raw[field.name], field, path) for field in contract.fields]
    return Rows(contract, raw, pa.table(typed, names=contract.columns), tuple(malformed))


def read_boxes(paths: list[Path]) -> Rows:
    """The boxes of COCO files (image file_name, category, corners), in the order of the files.

    Raises ValueError for a file that is not COCO.
    """
    rows = [row for path in paths for row in _coco_rows(path)]
    names = BOXES.columns
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    typed = [pa.array(c, TYPES[f.kind]) for c, f in zip(columns, BOXES.fields, strict=True)]
    table = pa.table(typed, names=names)
    return Rows(BOXES, table, table)


def _coco_rows(path: Path) -> list[tuple[object, ...]]:
    try:
        coco = json.loads(path.read_text())
        images = {i["id"]: str(i["file_name"]) for i in coco["images"]}
        categories = {c["id"]: str(c["name"]) for c in coco["categories"]}
        rows: list[tuple[object, ...]] = []
        for a in coco["annotations"]:
            x, y, w, h = (float(v) for v in a["bbox"])
            image, category = images.get(a["image_id"]), categories.get(a["category_id"])
            rows.append((path.name, str(a["id"]), image, category, x, y, x + w, y + h))
        return rows
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is not a COCO file of boxes ({error!r}); write it again or take it away."
        ) from error


def _read_parquet(path: Path, contract: Input) -> pa.Table:
    try:
        file = pq.ParquetFile(path)
        _require(contract, file.schema_arrow.names, path)
        return file.read(columns=contract.columns).select(contract.columns)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is not a readable Parquet file; write it again.") from error


def _read_csv(path: Path, contract: Input) -> tuple[pa.Table, list[str]]:
    malformed: list[str] = []

    def skip(row: pyarrow.csv.InvalidRow) -> str:
        malformed.append(row.text)
        return "skip"

    with path.open(newline="", encoding="utf-8-sig", errors="replace") as stream:
        header = next(csv.reader(stream), [])
    _require(contract, header, path)
    try:
        table = pyarrow.csv.read_csv(
            path,
            parse_options=pyarrow.csv.ParseOptions(
                newlines_in_values=True, invalid_row_handler=skip
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()),
                include_columns=contract.columns,
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
    except pa.ArrowException as error:
        raise ValueError(f"{path} is not a readable CSV file; write it again.") from error
    return table, malformed


def _require(contract: Input, names: list[str], path: Path) -> None:
    missing = [c for c in contract.columns if names.count(c) != 1]
    if missing:
        raise ValueError(
            f"{path} must have one column {missing[0]}; its columns must be "
            f"{', '.join(contract.columns)}."
        )


def _typed(values: pa.ChunkedArray, field: Field, path: Path) -> pa.ChunkedArray:
    kind, target = field.kind, TYPES[field.kind]
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_null(values.type):
        return values.cast(target)
    is_text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    is_text = is_text or pa.types.is_string_view(values.type)
    is_number = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
    if kind == "text" and (is_text or pa.types.is_integer(values.type)):
        text = values.cast(target)
        return pc.if_else(pc.equal(text, ""), None, text)
    if kind == "time" and pa.types.is_temporal(values.type) and not pa.types.is_time(values.type):
        return _in_range(_utc(values))
    if kind == "time" and is_text:
        times = _in_range(_times(values.cast(pa.string())))
        if (
            path.suffix == ".csv"
            or times.null_count < len(times)
            or values.null_count == len(times)
        ):
            return times
    if kind in ("real", "whole") and (is_number or (is_text and path.suffix == ".csv")):
        return _numbers(values, whole=kind == "whole")
    raise ValueError(
        f"{path}: column {field.name} holds {values.type}, but must hold {WORDS[kind]}."
    )


def _utc(values: pa.ChunkedArray) -> pa.ChunkedArray:
    zone = values.type.tz if pa.types.is_timestamp(values.type) else None
    return values.cast(pa.timestamp("us", zone), safe=False).cast(pa.timestamp("us"))


def _times(values: pa.ChunkedArray) -> pa.ChunkedArray:
    import pandas as pd

    times = pd.to_datetime(values.to_pandas(), errors="coerce", utc=True, format="ISO8601")
    return pa.chunked_array([pa.array(times.dt.tz_localize(None), pa.timestamp("us"), safe=False)])


def _in_range(times: pa.ChunkedArray) -> pa.ChunkedArray:
    low, high = pa.scalar(EARLIEST), pa.scalar(LATEST)
    inside = pc.and_(pc.greater_equal(times, low), pc.less(times, high))
    return pc.if_else(inside, times, None)


def _numbers(values: pa.ChunkedArray, *, whole: bool) -> pa.ChunkedArray:
    if pa.types.is_integer(values.type) and whole:
        return values.cast(pa.int64(), safe=False)
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        number = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
        text = pc.utf8_trim_whitespace(values.cast(pa.string()))
        values = pc.if_else(pc.match_substring_regex(text, number), text, None)
        values = pc.if_else(pc.starts_with(values, "+"), pc.utf8_slice_codeunits(values, 1), values)
    reals = values.cast(pa.float64(), safe=False)
    reals = pc.if_else(pc.is_finite(reals), reals, None)
    if not whole:
        return reals
    small = pc.and_(pc.equal(reals, pc.floor(reals)), pc.less(pc.abs(reals), 2.0**53))
    return pc.if_else(small, reals, None).cast(pa.int64())
