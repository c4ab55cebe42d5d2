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
MAX_KEY_BYTES = 512  # three such keys fit into one entry of a PostgreSQL index (2,704 bytes)
CSV_BLOCK = 16 * 2**20  # bytes; a row must fit into one


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

    Only regular files count. Raises FileNotFoundError for a missing folder or file, ValueError
    where an input is there as Parquet and as CSV.
    """
    if not source.is_dir():
        raise FileNotFoundError(f"There is no folder {source}; name the folder of the input files.")
    files = {}
    for name in INPUTS:
        found = [p for p in (source / f"{name}.parquet", source / f"{name}.csv") if p.is_file()]
        if not found:
            raise FileNotFoundError(
                f"{source} holds no {name}.parquet or {name}.csv; put it there."
            )
        if len(found) > 1:
            raise ValueError(
                f"{source} holds both {name}.parquet and {name}.csv; keep one of them."
            )
        files[name] = found[0]
    return files | {p.name: p for p in sorted(source.glob("boxes*.json")) if p.is_file()}


def content_hashes(files: dict[str, Path]) -> dict[str, str]:
    """The SHA-256 of each file by name, hexadecimal. Raises ValueError for a file that may not be
    read.
    """
    hashes = {}
    for name, path in files.items():
        try:
            with path.open("rb") as stream:
                hashes[name] = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise ValueError(
                f"{path} cannot be read ({error.strerror}); give this user the right to read it."
            ) from error
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
    typed = []
    for number, field in enumerate(contract.fields):
        try:
            values = _decoded(raw.column(number))
            typed.append(_typed(values, field, path, is_key=field.name in contract.key))
        except pa.ArrowException as error:
            raise ValueError(
                f"{path}: column {field.name} ({raw.column(number).type}) cannot be read as "
                f"{WORDS[field.kind]} ({_one_line(error)}); write it again."
            ) from error
        raw = raw.set_column(number, field.name, values)
    return Rows(contract, raw, pa.table(typed, names=contract.columns), tuple(sorted(malformed)))


def read_boxes(paths: list[Path]) -> Rows:
    """The boxes of COCO files (image file_name, category, corners), in the order of the files.

    Raises ValueError for a file that is not COCO.
    """
    rows = [row for path in paths for row in _coco_rows(path)]
    names = BOXES.columns
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    raw = [pa.chunked_array([pa.array(c, TYPES[f.kind])])
           for c, f in zip(columns, BOXES.fields, strict=True)]  # fmt: skip
    typed = [_text(c, is_key=f.name in BOXES.key) if f.kind == "text" else c
             for c, f in zip(raw, BOXES.fields, strict=True)]  # fmt: skip
    return Rows(BOXES, pa.table(raw, names=names), pa.table(typed, names=names))


def _coco_rows(path: Path) -> list[tuple[object, ...]]:
    try:
        coco = json.loads(path.read_text(encoding="utf-8"))
        images = {i["id"]: _utf8(i["file_name"]) for i in coco["images"]}
        categories = {c["id"]: _utf8(c["name"]) for c in coco["categories"]}
        name, rows = _utf8(path.name), list[tuple[object, ...]]()
        for a in coco["annotations"]:
            x, y, w, h = (float(v) for v in a["bbox"])
            image, category = images.get(a["image_id"]), categories.get(a["category_id"])
            rows.append((name, _utf8(a["id"]), image, category, x, y, x + w, y + h))
        return rows
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError,
            RecursionError) as error:  # fmt: skip
        raise ValueError(
            f"{path} is not a COCO file of boxes ({_one_line(error)}); write it again or take it "
            "away."
        ) from error


def _utf8(value: object) -> str | None:
    """The value as text, or None where it holds half a surrogate pair, which UTF-8 cannot say."""
    text = str(value)
    return None if any("\ud800" <= letter <= "\udfff" for letter in text) else text


def _read_parquet(path: Path, contract: Input) -> pa.Table:
    try:
        file = pq.ParquetFile(path)
        _require(contract, file.schema_arrow.names, path)
        return file.read(columns=contract.columns).select(contract.columns)
    except (pa.ArrowException, OSError, UnicodeError, LookupError) as error:
        raise ValueError(f"{path} is not a readable Parquet file; write it again.") from error


def _read_csv(path: Path, contract: Input) -> tuple[pa.Table, list[str]]:
    malformed: list[str] = []

    def skip(row: pyarrow.csv.InvalidRow) -> str:
        malformed.append(row.text)
        return "skip"

    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            header = next(csv.reader(stream), [])
            while stream.read(CSV_BLOCK):  # the handler of invalid rows cannot refuse bytes
                pass
        _require(contract, header, path)
        table = pyarrow.csv.read_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(block_size=CSV_BLOCK),
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
    except (pa.ArrowException, csv.Error, UnicodeError) as error:
        raise ValueError(f"{path} is not a readable CSV file; write it again.") from error
    return table, malformed


def _require(contract: Input, names: list[str], path: Path) -> None:
    missing = [c for c in contract.columns if names.count(c) != 1]
    if missing:
        raise ValueError(
            f"{path} must have one column {missing[0]}; its columns must be "
            f"{', '.join(contract.columns)}."
        )


def _decoded(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values without dictionary, and text as plain strings."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    return values.cast(pa.string()) if pa.types.is_string_view(values.type) else values


def _typed(values: pa.ChunkedArray, field: Field, path: Path, *, is_key: bool) -> pa.ChunkedArray:
    kind, found = field.kind, values.type
    if pa.types.is_null(found):
        return values.cast(TYPES[kind])
    is_text = pa.types.is_string(found) or pa.types.is_large_string(found)
    is_number = (
        pa.types.is_integer(found) or pa.types.is_floating(found) or pa.types.is_decimal(found)
    )
    if kind == "text" and (is_text or pa.types.is_integer(found)):
        return _text(values, is_key=is_key)
    if kind == "time" and (pa.types.is_timestamp(found) or pa.types.is_date(found)):
        return _utc(values)
    if kind == "time" and is_text:
        times = _times(values)
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


def _text(values: pa.ChunkedArray, *, is_key: bool) -> pa.ChunkedArray:
    """The text; null where it is empty, holds a NUL, which PostgreSQL cannot store, or is a key
    too long for an index. Raises ArrowInvalid where the bytes are not UTF-8.
    """
    text = values.cast(pa.string())
    text.validate(full=True)
    unfit = pc.or_(pc.equal(text, ""), pc.match_substring(text, "\0"))
    if is_key:
        unfit = pc.or_(unfit, pc.greater(pc.binary_length(text), MAX_KEY_BYTES))
    return pc.if_else(unfit, None, text)


def _utc(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The times without zone, in UTC; null where outside of the years 1900 to 9999.

    Raises ArrowInvalid for a zone that does not exist.
    """
    if pa.types.is_timestamp(values.type) and values.type.tz:
        pa.array([0], values.type).cast(pa.string())
        values = values.cast(pa.timestamp(values.type.unit))
    if values.type != pa.timestamp("ns"):  # nanoseconds end in 2262
        values = _in_range(values)
    return _in_range(values.cast(pa.timestamp("us"), safe=False))


def _times(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """ISO 8601 times, with or without zone (then UTC), of text; null where it is none.

    Words such as "now" and "today", which pandas would read, are none.
    """
    import pandas as pd

    text = values.cast(pa.string())
    text = pc.if_else(pc.match_substring_regex(text, r"^\s*\d"), text, None)
    times = pd.to_datetime(text.to_pandas(), errors="coerce", utc=True, format="ISO8601")
    naive = pa.array(times.dt.tz_localize(None), pa.timestamp("us"), safe=False)
    return _in_range(pa.chunked_array([naive]))


def _in_range(times: pa.ChunkedArray) -> pa.ChunkedArray:
    low, high = (pa.scalar(day).cast(times.type) for day in (EARLIEST, LATEST))
    inside = pc.and_(pc.greater_equal(times, low), pc.less(times, high))
    return pc.if_else(inside, times, None)


def _numbers(values: pa.ChunkedArray, *, whole: bool) -> pa.ChunkedArray:
    if pa.types.is_integer(values.type) and whole:
        return values.cast(pa.int64(), safe=False)
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
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


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
