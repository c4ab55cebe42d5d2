"""Arrow tables in the shape in which the database stores them, and back.

SQLite has no type for days and times: they are stored as text, 'YYYY-MM-DD' and
'YYYY-MM-DD HH:MM:SS.ffffff', which compare as they should and which SQLAlchemy reads back.
"""

from functools import cache

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from sql.tables import METADATA


def arrow_type(column: sa.Column[object], dialect: str = "arrow") -> pa.DataType:
    """The Arrow type of a column: as read ("arrow"), or as "sqlite" or "postgresql" stores it."""
    if isinstance(column.type, sa.Date):
        return pa.string() if dialect == "sqlite" else pa.date32()
    if isinstance(column.type, sa.DateTime):
        return pa.string() if dialect == "sqlite" else pa.timestamp("us")
    if isinstance(column.type, sa.BigInteger):
        return pa.int64()
    if isinstance(column.type, sa.Integer):
        return pa.int32() if dialect == "postgresql" else pa.int64()
    if isinstance(column.type, sa.Double):
        return pa.float64()
    return pa.string()


@cache
def known_types() -> dict[str, pa.DataType]:
    """The Arrow type of every column name in the schema; a name means one type everywhere."""
    return {c.name: arrow_type(c) for t in METADATA.tables.values() for c in t.columns}


def stored(rows: pa.Table, table: sa.Table, dialect: str) -> pa.Table:
    """`rows` with exactly the columns of `table`, in the types that the database stores.

    Columns go by name; missing ones and NaN become null. Raises ValueError for a column that the
    table does not have.
    """
    unknown = set(rows.column_names) - set(table.columns.keys())
    if unknown:
        raise ValueError(f"Table {table.name} has no column {', '.join(sorted(unknown))}.")
    columns = [
        _store(rows[c.name], arrow_type(c), arrow_type(c, dialect))
        if c.name in rows.column_names
        else pa.nulls(len(rows), arrow_type(c, dialect))
        for c in table.columns
    ]
    return pa.table(columns, names=table.columns.keys())


def _store(values: pa.ChunkedArray, read_as: pa.DataType, stored_as: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_floating(values.type) and read_as == pa.float64():
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    if pa.types.is_timestamp(read_as) and pa.types.is_timestamp(values.type):
        values = values.cast(pa.timestamp("us", values.type.tz), safe=False)
    if values.type != read_as:
        values = values.cast(read_as)
    if read_as == stored_as:
        return values
    if pa.types.is_temporal(read_as) and len(values) == 0:
        return pa.chunked_array([], stored_as)
    if pa.types.is_date(read_as):
        return values.cast(pa.string())
    if pa.types.is_timestamp(read_as):
        return pc.strftime(values, "%Y-%m-%d %H:%M:%S")
    return values.cast(stored_as)


def restored(rows: pa.Table) -> pa.Table:
    """`rows` of a query with every column whose name is known in the type of that name.

    A column that cannot take the type (a name given to something else) stays as it is. Whole
    numbers become int64 and PostgreSQL's numeric float64.
    """
    columns = [
        _restore(rows.column(i), field, known_types().get(field.name))
        for i, field in enumerate(rows.schema)
    ]
    return pa.table(columns, names=rows.column_names)


def _restore(values: pa.ChunkedArray, field: pa.Field, known: pa.DataType | None) -> pa.Array:
    if isinstance(values.type, pa.ExtensionType) or pa.types.is_decimal(values.type):
        values = values.cast(pa.string())
    if b"numeric" in (field.metadata or {}).get(b"ADBC:postgresql:typname", b""):
        values = values.cast(pa.float64())
    if pa.types.is_integer(values.type):
        values = values.cast(pa.int64())
    if known is None or values.type == known:
        return values
    if values.null_count == len(values):
        return pa.chunked_array([pa.nulls(len(values), known)])
    try:
        return values.cast(known)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return values
