"""Input tables of every bad kind: each row is kept or set aside with a reason, or one sentence of
ValueError comes before anything is written; nothing else is ever raised."""

import csv
import decimal
import io
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from sql.checks import MAX_SIDE, Verdicts, check_all
from sql.contract import BOXES, INPUTS
from sql.database import Database, open_database
from sql.ingest import ingest
from sql.source import MAX_KEY_BYTES, TYPES, Rows, content_hashes, read_boxes, read_input
from sql.tables import METADATA
from tests.sql.test_ingest import assert_nothing_is_lost, contents

DAY = date(2026, 11, 2)
END = datetime(2026, 11, 3)
AT = datetime(2026, 11, 2, 10, tzinfo=UTC)
N = 8  # rows per table
ARROW = {"text": pa.string(), "real": pa.float64(), "whole": pa.int64(),
         "time": pa.timestamp("us", "UTC")}  # fmt: skip


def clean() -> dict[str, pa.Table]:
    """A log of N rows per table in which nothing is wrong."""
    ids = [f"p{i}" for i in range(N)]
    others = ids[1:] + ids[:1]
    requests = [f"r{i}" for i in range(N)]
    later = [AT + timedelta(minutes=1)] * N
    columns: dict[str, dict[str, list[Any]]] = {
        "pins": {"pin_id": ids, "image": [f"{p}.jpg" for p in ids], "title": ["Bag"] * N,
                 "board": ["bags"] * N, "created_at": [AT] * N},
        "requests": {"request_id": requests, "user_id": ["u"] * N, "query_pin_id": ids,
                     "requested_at": [AT] * N, "policy": ["random"] * N, "platform": ["web"] * N},
        "impressions": {"request_id": requests, "candidate_pin_id": others,
                        "position": [1] * N, "propensity": [0.5] * N},
        "engagements": {"request_id": requests, "candidate_pin_id": others,
                        "action": ["save"] * N, "engaged_at": later},
        "candidates": {"query_pin_id": ids, "candidate_pin_id": others, "source": ["board"] * N},
        "crops": {"crop_id": [f"c{i}" for i in range(N)], "user_id": ["u"] * N, "pin_id": ids,
                  "x1": [1.0] * N, "y1": [1.0] * N, "x2": [9.0] * N, "y2": [9.0] * N,
                  "cropped_at": later},
    }  # fmt: skip
    return {
        name: pa.table({f.name: pa.array(columns[name][f.name], ARROW[f.kind])
                        for f in contract.fields})
        for name, contract in INPUTS.items()
    }  # fmt: skip


def texts(*values: str | None) -> pa.Array:
    return pa.array(list(itertools.islice(itertools.cycle(values), N)), pa.string())


def reals(*values: float | None) -> pa.Array:
    return pa.array(list(itertools.islice(itertools.cycle(values), N)), pa.float64())


def wholes(kind: pa.DataType, *values: int) -> pa.Array:
    return pa.array(list(itertools.islice(itertools.cycle(values), N)), kind)


def raw_bytes(value: bytes) -> pa.Array:
    """Text that is not UTF-8, as a damaged writer leaves it."""
    return pa.Array.from_buffers(
        pa.string(), N, pa.array([value] * N, pa.binary()).buffers(), null_count=0
    )


def recast(kind: pa.DataType) -> Callable[[pa.Array], pa.Array]:
    """The same values in another type, where there is such a cast; else as text in that type."""

    def change(column: pa.Array) -> pa.Array:
        try:
            return column.cast(kind, safe=False)
        except pa.ArrowException:
            return wholes(pa.int8(), 1)

    return change


def decimals(column: pa.Array) -> pa.Array:
    given = (pa.types.is_integer(column.type) or pa.types.is_floating(column.type))  # fmt: skip
    values = column.to_pylist() if given else [1] * N
    return pa.array([decimal.Decimal(str(v)) for v in values], pa.decimal128(38, 6))


INT64 = np.iinfo(np.int64)
BAD: dict[str, Callable[[pa.Array], pa.Array]] = {
    "all null": lambda c: pa.nulls(N, c.type),
    "null type": lambda c: pa.nulls(N),
    "some null": lambda c: pc.if_else(pa.array([True, False] * (N // 2)), c, None),
    "dictionary": lambda c: c.dictionary_encode(),
    "dictionary with nulls": lambda c: pc.if_else(pa.array([i > 2 for i in range(N)]), c, None)
    .dictionary_encode(),
    "one value": lambda c: pa.array([c[0].as_py()] * N, c.type),
    "large_string": recast(pa.large_string()),
    "string": recast(pa.string()),
    "string_view": recast(pa.string_view()),
    "binary": recast(pa.binary()),
    "decimal": decimals,
    "list": lambda c: pa.array([[v] for v in c.to_pylist()], pa.list_(c.type)),
    "struct": lambda c: pa.array([{"value": v} for v in c.to_pylist()],
                                 pa.struct([("value", c.type)])),
    "map": lambda c: pa.array([[("k", v)] for v in c.to_pylist()], pa.map_(pa.string(), c.type)),
    "bool": lambda c: pa.array([True, False] * (N // 2)),
    "time of day": lambda c: wholes(pa.time64("us"), 1),
    "duration": lambda c: wholes(pa.duration("us"), 1),
    "date32": lambda c: wholes(pa.date32(), 20_000, -(2**31), 2**31 - 1),
    "date64": lambda c: wholes(pa.date64(), 86_400_000 * 20_000),
    "seconds": lambda c: wholes(pa.timestamp("s"), 1_793_000_000, 2**50),
    "milliseconds that overflow": lambda c: wholes(pa.timestamp("ms"), INT64.max, INT64.min, 2**62),
    "microseconds far out": lambda c: wholes(pa.timestamp("us"), INT64.max, INT64.min + 1, 0),
    "nanoseconds": lambda c: wholes(pa.timestamp("ns"), 1_793_613_600_000_000_001, INT64.max),
    "another zone": lambda c: wholes(pa.timestamp("us", "Asia/Kolkata"), 1_793_613_600_000_000),
    "an offset": lambda c: wholes(pa.timestamp("us", "+14:00"), 1_793_613_600_000_000),
    "a zone that is none": lambda c: wholes(pa.timestamp("us", "Mars/Olympus"), 1, 2),
    "times as text": lambda c: texts(
        "2026-11-02T10:00:00Z", "2026-11-02 10:00:00", "2026-11-02T15:30:00+05:30", "2026-11-02",
        "now", "today", "99999-01-01", "02/11/2026",
    ),
    "NaN and infinity": lambda c: reals(float("nan"), float("inf"), float("-inf"), -0.0),
    "huge reals": lambda c: reals(1e308, -1e308, 5e-324, 2.0**53),
    "halves": lambda c: reals(0.5, 1.5, -0.5, 1.0),
    "float16": lambda c: pa.array(np.arange(N, dtype=np.float16)),
    "float32": lambda c: pa.array(np.linspace(0, 3.4e38, N, dtype=np.float32)),
    "zero and below": lambda c: wholes(pa.int64(), 0, -1, INT64.min),
    "int64 ends": lambda c: wholes(pa.int64(), INT64.max, INT64.min, 2**31, 2**53 + 1),
    "uint64 end": lambda c: wholes(pa.uint64(), 2**64 - 1, 2**63, 1),
    "int8": lambda c: wholes(pa.int8(), -128, 127, 1),
    "numbers as text": lambda c: texts("1", "+1", "1e3", "0x1", "1_0", "١", "nan", ""),
    "empty text": lambda c: texts("", " ", None),
    "NUL": lambda c: texts("\0", "a\0b", "a\0", "ok"),
    "not UTF-8": lambda c: raw_bytes(b"\xff\xfe"),
    "half a surrogate pair": lambda c: raw_bytes(b"\xed\xa0\x80"),
    "a million characters": lambda c: texts("x" * 1_000_000, "x"),
    "over the longest key": lambda c: texts("é" * (MAX_KEY_BYTES // 2 + 1), "é"),
    "one id in many forms": lambda c: texts(
        "é", "e\u0301", "É", " é", "é ", "E\u0301", "\u200bé", "ｅ́"
    ),
    "controls and markup": lambda c: texts("\x7f", "\u202e", "a/b", "a#2", "'; DROP TABLE pins --",
                                           "<script>", "%s :name {0}", "\ufffe"),
    "paths": lambda c: texts("../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "a/../b.jpg",
                             "ftp://h/a.jpg", "javascript:/x", "..", "HTTPS://h/a/../b.jpg"),
}  # fmt: skip
COLUMNS = [(c.name, f.name) for c in INPUTS.values() for f in c.fields]
CASES = list(itertools.product(COLUMNS, BAD))


@pytest.fixture(scope="module")
def clean_rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rows]:
    folder = write(clean(), tmp_path_factory.mktemp("clean"))
    rows = {n: read_input(folder / f"{n}.parquet", c) for n, c in INPUTS.items()}
    return rows | {"true_boxes": read_boxes([])}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database at the newest schema, to be copied."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    database = open_database(path)
    database.upgrade()
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def write(tables: dict[str, pa.Table], folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet")
    return folder


def fresh(template: Path, folder: Path, name: str = "fresh.db") -> Database:
    path = folder / name
    shutil.copy(template, path)
    return open_database(path)


def replaced(table: pa.Table, column: str, bad: str) -> pa.Table:
    number = table.column_names.index(column)
    return table.set_column(number, column, BAD[bad](table[column].combine_chunks()))


def refusal(error: ValueError, path: Path, words: str = "") -> None:
    """The error's text must be one sentence that names the file."""
    text = str(error)
    assert type(error) is ValueError
    assert str(path) in text
    assert words in text
    assert text.endswith(".")
    assert "\n" not in text


def assert_sound(verdicts: Verdicts, n: int) -> None:
    """Every row has one verdict, and what is kept is what the tables may hold."""
    assert len(verdicts.codes) + len(verdicts.rows.malformed) == n
    assert set(verdicts.codes) <= {-1, -2, *range(len(verdicts.reasons))}
    contract, kept = verdicts.rows.contract, verdicts.kept()
    key = list(zip(*(kept[c].to_pylist() for c in contract.key), strict=True))
    assert len(set(key)) == len(key)
    for field in contract.fields:
        values = kept[field.name].to_pylist()
        assert not (field.required and None in values)
        assert_storable(field.kind, [v for v in values if v is not None])
        if field.name in contract.key:
            assert all(len(v.encode()) <= MAX_KEY_BYTES for v in values)
    for edge in {"x1", "y1", "x2", "y2"} & set(contract.columns):
        assert all(abs(v) <= MAX_SIDE for v in kept[edge].to_pylist())


def assert_storable(kind: str, values: list[Any]) -> None:
    if kind == "text":
        assert all(v and "\0" not in v and v.encode() for v in values)
    elif kind == "real":
        assert np.isfinite(values).all()
    elif kind == "whole":
        assert all(1 <= v < 2**31 for v in values)
    else:
        assert all(datetime(1900, 1, 1) <= v < END for v in values)


def test_there_are_more_than_a_thousand_cases() -> None:
    assert len(set(CASES)) + len(CSV_CASES) + len(DAMAGED) >= 1_500


@pytest.mark.parametrize("bad", BAD)
def test_any_column_of_any_type(bad: str, clean_rows: dict[str, Rows], tmp_path: Path) -> None:
    good = clean()
    for name, column in COLUMNS:
        path = tmp_path / f"{name}.parquet"
        pq.write_table(replaced(good[name], column, bad), path)
        try:
            rows = read_input(path, INPUTS[name])
        except ValueError as error:
            refusal(error, path, f"column {column} ")
            continue
        for found in check_all(clean_rows | {name: rows}, END).values():
            if found.rows.contract.name in INPUTS:
                assert_sound(found, N)


def survivors(folder: Path, seed: int) -> dict[str, pa.Table]:
    """The log with one column of each table bad in another way, of those that are not refused."""
    tables, rng = clean(), np.random.default_rng(seed)
    ways = itertools.islice(itertools.cycle(BAD), seed * len(INPUTS), None)
    for (name, contract), bad in zip(INPUTS.items(), ways, strict=False):
        for column in rng.permutation(contract.columns):
            changed = replaced(tables[name], column, bad)
            pq.write_table(changed, folder / "probe.parquet")
            try:
                read_input(folder / "probe.parquet", contract)
            except ValueError:
                continue
            tables[name] = changed
            break
    return tables


def assert_ingests(database: Database, folder: Path) -> None:
    """Nothing is lost, and a second time, asked anew, gives the same database."""
    first = ingest(database, folder, DAY)
    assert_nothing_is_lost(database, first)
    before = contents(database)
    assert ingest(database, folder, DAY).unchanged
    with database.engine.begin() as connection:
        manifest = METADATA.tables["manifest"]
        connection.execute(sa.delete(manifest).where(manifest.c.step == "ingest"))
    ingest(database, folder, DAY)
    assert contents(database) == before


@pytest.mark.parametrize("seed", range(-(-len(BAD) // len(INPUTS))))
def test_what_is_not_refused_is_stored(seed: int, template: Path, tmp_path: Path) -> None:
    folder = write(survivors(tmp_path, seed), tmp_path / "source")
    assert_ingests(fresh(template, tmp_path), folder)


@pytest.fixture
def server(postgres_url: str) -> Iterator[Database]:
    database = open_database(postgres_url)
    with database.engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    database.upgrade()
    yield database
    database.engine.dispose()


def test_postgresql_stores_what_sqlite_stores(
    server: Database, template: Path, tmp_path: Path
) -> None:
    tables = clean()
    for name, column, bad in (
        ("pins", "title", "NUL"), ("pins", "pin_id", "over the longest key"),
        ("requests", "user_id", "a million characters"), ("requests", "platform", "NUL"),
        ("impressions", "position", "int64 ends"), ("impressions", "propensity", "huge reals"),
        ("engagements", "engaged_at", "microseconds far out"),
        ("candidates", "source", "controls and markup"),
        ("crops", "crop_id", "one id in many forms"), ("crops", "x2", "NaN and infinity"),
    ):  # fmt: skip
        tables[name] = replaced(tables[name], column, bad)
    folder, here = write(tables, tmp_path / "source"), fresh(template, tmp_path)
    for database in (server, here):
        assert_nothing_is_lost(database, ingest(database, folder, DAY))
    assert contents(server) == contents(here)


# --- whole files ---------------------------------------------------------------------------


def as_csv(table: pa.Table, **options: Any) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, **({"lineterminator": "\n"} | options))
    writer.writerow(table.column_names)
    writer.writerows([["" if v is None else v for v in row.values()] for row in table.to_pylist()])
    return stream.getvalue()


def lines(table: pa.Table) -> list[str]:
    return as_csv(table).splitlines()


CSV: dict[str, Callable[[pa.Table], str | bytes]] = {
    "plain": as_csv,
    "byte order mark": lambda t: as_csv(t).encode("utf-8-sig"),
    "all quoted": lambda t: as_csv(t, quoting=csv.QUOTE_ALL),
    "CRLF": lambda t: as_csv(t, lineterminator="\r\n"),
    "CR": lambda t: as_csv(t, lineterminator="\r"),
    "no last newline": lambda t: as_csv(t).rstrip("\n"),
    "extra column": lambda t: as_csv(t.append_column("extra", texts("a,b", 'c"d', "e\nf"))),
    "extra column twice": lambda t: as_csv(
        t.append_column("extra", texts("a"))
    ).replace(",extra\n", ",extra,extra\n").replace(",a\n", ",a,b\n"),
    "columns backwards": lambda t: as_csv(t.select(t.column_names[::-1])),
    "newline within": lambda t: as_csv(t.set_column(0, t.column_names[0], texts("a\nb", "c\r\nd"))),
    "quotes within": lambda t: as_csv(t.set_column(0, t.column_names[0], texts('a"b', '""', '"'))),
    "semicolons": lambda t: as_csv(t, delimiter=";"),
    "tabs": lambda t: as_csv(t, delimiter="\t"),
    "UTF-16": lambda t: as_csv(t).encode("utf-16"),
    "Latin-1": lambda t: as_csv(t.set_column(0, t.column_names[0], texts("é"))).encode("latin-1"),
    "NUL": lambda t: as_csv(t.set_column(0, t.column_names[0], texts("a\0b", "c"))),
    "NUL in the header": lambda t: as_csv(t).replace(t.column_names[0], "a\0", 1),
    "empty": lambda t: "",
    "byte order mark alone": lambda t: b"\xef\xbb\xbf",
    "newlines alone": lambda t: "\n\n\n",
    "header alone": lambda t: lines(t)[0] + "\n",
    "header twice": lambda t: "\n".join([lines(t)[0], *lines(t)]),
    "no header": lambda t: "\n".join(lines(t)[1:]),
    "header in capitals": lambda t: "\n".join([lines(t)[0].upper(), *lines(t)[1:]]),
    "header with spaces": lambda t: "\n".join([lines(t)[0].replace(",", ", "), *lines(t)[1:]]),
    "a column missing": lambda t: as_csv(t.drop_columns([t.column_names[-1]])),
    "a column twice": lambda t: as_csv(t.append_column(t.column_names[0], texts("a"))),
    "blank lines": lambda t: "\n\n".join(lines(t)),
    "too many fields": lambda t: as_csv(t) + ",".join("abcdefghijkl") + "\n",
    "too few fields": lambda t: as_csv(t) + "a\n",
    "too many, not UTF-8": lambda t: as_csv(t).encode() + b"\xff,\xfe," + b"a," * 9 + b"\n",
    "an open quote": lambda t: as_csv(t) + '"never closed',
    "a million characters": lambda t: as_csv(
        t.set_column(0, t.column_names[0], texts("x" * 1_000_000, "y"))
    ),
    "a header of a million characters": lambda t: "x" * 1_000_000 + "," + as_csv(t),
    "a Parquet file": lambda t: parquet_bytes(t),
    "a picture": lambda t: b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
}  # fmt: skip
CSV_CASES = list(itertools.product(INPUTS, CSV))


def parquet_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())


@pytest.mark.parametrize("kind", CSV)
def test_any_csv_file(kind: str, clean_rows: dict[str, Rows], tmp_path: Path) -> None:
    for name, table in clean().items():
        path, content = tmp_path / f"{name}.csv", CSV[kind](table)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        try:
            rows = read_input(path, INPUTS[name])
        except ValueError as error:
            refusal(error, path)
            continue
        assert_sound(check_all(clean_rows | {name: rows}, END)[name], len(rows))
        assert len(rows) == expected_rows(content)


def expected_rows(content: str | bytes) -> int:
    """The number of records after the header, as Python's csv module counts them."""
    text = content.decode("utf-8-sig", "replace") if isinstance(content, bytes) else content
    csv.field_size_limit(2**30)
    return sum(bool(row) for row in csv.reader(io.StringIO(text, newline=""))) - 1


def test_well_formed_csv_files_are_read_whole(clean_rows: dict[str, Rows], tmp_path: Path) -> None:
    same = ("plain", "byte order mark", "all quoted", "CRLF", "no last newline", "extra column",
            "extra column twice", "columns backwards", "blank lines")  # fmt: skip
    for name, kind in itertools.product(INPUTS, same):
        path, content = tmp_path / f"{name}.csv", CSV[kind](clean()[name])
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        assert read_input(path, INPUTS[name]).typed.equals(clean_rows[name].typed), (name, kind)


def damaged(seed: int) -> tuple[str, bytes]:
    """A Parquet file that was cut off, or some bytes of which were changed."""
    rng = np.random.default_rng(seed)
    name = list(INPUTS)[seed % len(INPUTS)]
    data = bytearray(parquet_bytes(clean()[name]))
    if seed % 5 == 0:
        return name, bytes(data[: rng.integers(len(data))])
    for at in rng.integers(0, len(data), 1 + seed % 7):
        data[at] = rng.integers(256)
    return name, bytes(data)


DAMAGED = range(240)


def test_damaged_parquet_files(clean_rows: dict[str, Rows], tmp_path: Path) -> None:
    refused = 0
    for seed in DAMAGED:
        name, data = damaged(seed)
        path = tmp_path / f"{name}.parquet"
        path.write_bytes(data)
        try:
            rows = read_input(path, INPUTS[name])
        except ValueError as error:
            refusal(error, path)
            refused += 1
            continue
        assert_sound(check_all(clean_rows | {name: rows}, END)[name], len(rows))
    assert refused > len(DAMAGED) / 4


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(INPUTS)), st.data())
def test_any_text_in_a_csv_file(name: str, data: st.DataObject) -> None:
    contract = INPUTS[name]
    cells = st.one_of(
        st.text(st.characters(codec="utf-8"), max_size=8), st.floats().map(str),
        st.integers().map(str), st.datetimes().map(str),
        st.sampled_from(["", "NULL", "NaN", "1", "2026-11-02", "p1", "save", "random"]),
    )  # fmt: skip
    n = len(contract.columns)
    found = data.draw(st.lists(st.lists(cells, min_size=n, max_size=n), max_size=6))
    table = pa.table([[row[i] for row in found] for i in range(n)] or [[]] * n,
                     names=contract.columns)  # fmt: skip
    text = as_csv(table, quoting=csv.QUOTE_ALL)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.csv"
        path.write_text(text, newline="")
        rows = read_input(path, contract)
    assert len(rows) == len(found)
    assert_sound(check_all(empty_inputs() | {name: rows}, END)[name], len(found))


def empty_inputs() -> dict[str, Rows]:
    inputs = {}
    for contract in (*INPUTS.values(), BOXES):
        empty = pa.schema([(f.name, TYPES[f.kind]) for f in contract.fields]).empty_table()
        inputs[contract.name] = Rows(contract, empty, empty)
    return inputs


def coco(file: object = "p0.jpg", name: object = "bag", **annotation: object) -> str:
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 2, 2]} | annotation
    return json.dumps({"images": [{"id": 1, "file_name": file}],
                       "categories": [{"id": 1, "name": name}], "annotations": [box]})  # fmt: skip


BOXES_SET_ASIDE = {
    "NaN edge": coco(bbox=[float("nan"), 1, 2, 2]),
    "infinite side": coco(bbox=[1, 1, float("inf"), 2]),
    "edge far out": coco(bbox=[1, 1, 1e300, 2]),
    "no width": coco(bbox=[1, 1, 0, 2]),
    "negative height": coco(bbox=[1, 1, 2, -2]),
    "NUL in the category": coco(name="b\0g"),
    "half a surrogate pair in the category": coco(name="\ud800"),
    "half a surrogate pair in the file name": coco(file="\udfff"),
    "another file": coco(file="../p0.jpg"),
    "unknown category": coco(category_id=9),
}
BOXES_REFUSED = {
    "not JSON": "{",
    "not UTF-8": b"\xff",
    "a list": "[]",
    "too deep": "[" * 100_000,
    "a side that is no number": coco(bbox=[1, 1, "wide", 2]),
    "three sides": coco(bbox=[1, 1, 2]),
    "a side too large for a float": coco(bbox=[1, 1, 10**400, 2]),
    "a number of 10,000 digits": coco().replace("[1,", "[" + "1" * 10_000 + ","),
    "a list for a key": coco(image_id=[1]),
    "images by name": json.dumps({"images": {"a": 1}, "categories": [], "annotations": []}),
}


@pytest.mark.parametrize("what", BOXES_SET_ASIDE)
def test_a_bad_true_box_is_set_aside(what: str, template: Path, tmp_path: Path) -> None:
    folder = write(clean(), tmp_path / "source")
    (folder / "boxes.json").write_text(BOXES_SET_ASIDE[what])
    database = fresh(template, tmp_path)
    assert_ingests(database, folder)
    quarantined = database.read("SELECT * FROM quarantine WHERE source_table = 'true_boxes'")
    assert len(quarantined) == 1


@pytest.mark.parametrize("id_", ["\ud800", "\0", "x" * 3000, None, [1], 1.5])
def test_any_id_of_a_true_box(id_: object, template: Path, tmp_path: Path) -> None:
    folder = write(clean(), tmp_path / "source")
    (folder / "boxes.json").write_text(coco(id=id_, bbox=[1, 1, 0, 2]))
    assert_ingests(fresh(template, tmp_path), folder)


@pytest.mark.parametrize("what", BOXES_REFUSED)
def test_what_is_no_coco_file_is_refused(what: str, tmp_path: Path) -> None:
    path, content = tmp_path / "boxes.json", BOXES_REFUSED[what]
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match="not a COCO file") as caught:
        read_boxes([path])
    refusal(caught.value, path)


def test_what_is_no_file_is_not_there(template: Path, tmp_path: Path) -> None:
    folder = write(clean(), tmp_path / "source")
    database, crops = fresh(template, tmp_path), folder / "crops.parquet"
    (folder / "boxes.json").mkdir()
    crops.unlink()
    for make in (crops.mkdir, lambda: os.mkfifo(crops), lambda: crops.symlink_to(crops)):
        make()
        with pytest.raises(FileNotFoundError, match="holds no crops"):
            ingest(database, folder, DAY)
        crops.rmdir() if crops.is_dir() else crops.unlink()
    assert all(rows == [] for rows in contents(database).values())


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "pins.parquet"
    path.touch()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ValueError, match="Permission denied") as caught:
        content_hashes({"pins": path})
    refusal(caught.value, path)


def test_a_refused_file_leaves_the_database_as_it_was(template: Path, tmp_path: Path) -> None:
    folder, database = write(clean(), tmp_path / "source"), fresh(template, tmp_path)
    ingest(database, folder, DAY)
    before = contents(database)
    for name, column, bad in (("pins", "image", "list"), ("impressions", "request_id", "not UTF-8"),
                              ("crops", "cropped_at", "a zone that is none")):  # fmt: skip
        table = clean()[name]
        write({name: replaced(table, column, bad)}, folder)
        with pytest.raises(ValueError, match=column):
            ingest(database, folder, DAY)
        write({name: table}, folder)
        assert contents(database) == before
