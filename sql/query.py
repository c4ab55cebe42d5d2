"""Answers to analysts: a read-only query as a text table, CSV or JSON."""

import csv
import io
import json
import sqlite3
from datetime import datetime
from typing import Literal

import pyarrow as pa

from sql.database import Database

Format = Literal["table", "csv", "json"]


def query(database: Database, sql: str, format: str = "table") -> str:
    """The rows of one read-only SQL statement, as text that ends with a newline.

    table: aligned columns, real numbers to 6 digits, null as nothing. csv: a header line first,
    null as nothing. json: a list of objects, days and times as text. Raises ValueError for SQL that
    the database refuses (a write, too), and for another format.
    """
    from adbc_driver_manager import Error

    if format not in ("table", "csv", "json"):
        raise ValueError(f"There is no format {format}; choose table, csv or json.")
    if not _is_one_statement(sql):
        raise ValueError("The database refused the query: it takes one statement at a time.")
    try:
        rows = database.read(sql)
    except Error as error:
        reason = str(error).split("\n")[0].rstrip(".")
        raise ValueError(f"The database refused the query: {reason}.") from error
    if format == "csv":
        return _csv(rows)
    if format == "json":
        return json.dumps(rows.to_pylist(), default=_plain, ensure_ascii=False, indent=1) + "\n"
    return _table(rows)


def _is_one_statement(sql: str) -> bool:
    """
    >>> _is_one_statement("SELECT ';' -- one;"), _is_one_statement("SELECT 1; SELECT 2")
    (True, False)
    """
    ends = (i for i, c in enumerate(sql, 1) if c == ";" and sqlite3.complete_statement(sql[:i]))
    return not sql[next(ends, len(sql)) :].strip()


def _plain(value: object) -> str:
    """
    >>> _plain(datetime(2026, 11, 15, 7)), _plain(0.5)
    ('2026-11-15 07:00:00', '0.5')
    """
    return value.isoformat(" ") if isinstance(value, datetime) else str(value)


def _csv(rows: pa.Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows.column_names)
    for row in _listed(rows):
        writer.writerow("" if value is None else _plain(value) for value in row)
    return text.getvalue()


def _table(rows: pa.Table) -> str:
    cells = [[_cell(value) for value in row] for row in _listed(rows)]
    lines = [rows.column_names, *cells]
    widths = [max(len(line[i]) for line in lines) for i in range(len(rows.column_names))]
    numbers = [pa.types.is_integer(t) or pa.types.is_floating(t) for t in rows.schema.types]

    def aligned(line: list[str]) -> str:
        pairs = zip(line, widths, numbers, strict=True)
        return "  ".join(f"{c:>{w}}" if right else f"{c:<{w}}" for c, w, right in pairs).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([aligned(lines[0]), rule, *map(aligned, cells)]) + "\n"


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else " ".join(_plain(value).split())


def _listed(rows: pa.Table) -> list[tuple[object, ...]]:
    return list(zip(*(column.to_pylist() for column in rows.columns), strict=True))
