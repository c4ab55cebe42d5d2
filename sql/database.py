"""The database: Arrow tables in and out, the schema, and what has been done."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from sql import exchanges, manifest, partitions
from sql.arrow import known_types, restored, stored
from sql.changes import Change
from sql.connections import connect_arrow, create_engine
from sql.manifest import fingerprint

__all__ = ["Change", "Database", "fingerprint", "open_database"]

BATCH_ROWS = 65_536
_SQLITE_BATCH = "adbc.sqlite.query.batch_rows"
_TEXT = "''"
_EXAMPLES = {pa.int64(): "0", pa.float64(): "0.5"}


@dataclass(frozen=True)
class Database:
    """A SQLite file or a PostgreSQL database; `url` is what SQLAlchemy calls it."""

    url: str
    engine: sa.Engine

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    def upgrade(self) -> None:
        """Create or migrate the tables to the newest schema, then the views."""
        from sql.schema import upgrade

        upgrade(self.engine)

    def read(self, query: str | sa.Select[Any] | sa.TextClause, **params: object) -> pa.Table:
        """The rows of a query, read-only; `:name` in text stands for a parameter (a list for IN).

        Columns named as in the schema have its types: DATE -> date32, DateTime -> timestamp[us]
        (UTC), counts int64, reals float64, also when all null or when there is no row.
        """
        with self._cursor(write=False) as cursor:
            if self.is_sqlite:  # types are inferred from the first batch: make it the only one
                cursor.adbc_statement.set_options(**{_SQLITE_BATCH: 2**30})
            cursor.execute(self._render(query, params))
            return restored(cursor.fetch_arrow_table())

    def batches(self, query: str | sa.Select[Any], **params: object) -> Iterator[pa.RecordBatch]:
        """As `read`, streamed in batches of at most 65,536 rows; none where there is no row.

        All batches have one schema. Exhaust or close the iterator before using `engine`.
        """
        text = self._render(query, params)
        with self._cursor(write=False) as cursor:
            if self.is_sqlite:
                text = _with_example_row(cursor, text)
                cursor.adbc_statement.set_options(**{_SQLITE_BATCH: BATCH_ROWS})
            cursor.execute(text)
            n_examples = int(self.is_sqlite)
            for batch in cursor.fetch_record_batch():
                rows = restored(pa.Table.from_batches([batch.slice(n_examples)]))
                n_examples = 0
                yield from rows.combine_chunks().to_batches(BATCH_ROWS)

    def append(self, table: sa.Table, rows: pa.Table) -> int:
        """Insert rows in bulk; columns go by name, missing ones become null. The number of rows."""
        data = stored(rows, table, self.engine.dialect.name)
        self._make_room(table, data)
        with self._cursor(write=True) as cursor:
            return self._insert(cursor, table, data)

    def replace(self, table: sa.Table, rows: pa.Table, **where: Any) -> int:
        """In one transaction, delete the rows where all equalities hold and insert `rows`.

        A list, tuple or set in `where` means IN; without `where` the whole table is replaced.
        Readers see the old rows or the new ones, never a mixture. The number of rows inserted.
        Where PostgreSQL has partitions for just these equalities, they are swapped; see
        sql/exchanges.py.
        """
        data = stored(rows, table, self.engine.dialect.name)
        keys = None if self.is_sqlite else partitions.named_keys(table.name, where)
        if keys is not None and set(partitions.keys_of(table.name, data)) <= set(keys):
            return self._swap(table, data, keys)
        delete = sa.delete(table)
        for name, value in where.items():
            column = table.columns[name]
            many = isinstance(value, list | tuple | set | frozenset)
            delete = delete.where(column.in_(value) if many else column == value)
        self._make_room(table, data)
        with self._cursor(write=True) as cursor:
            cursor.execute(self._render(delete, {}))
            return self._insert(cursor, table, data)

    def publish(
        self, changes: Sequence[Change], statements: Sequence[sa.sql.dml.UpdateBase] = ()
    ) -> None:
        """Make the changes, in order, and then run the statements, in one transaction.

        Readers see everything as it was or as it is then, and are never locked out. Memory is
        bounded by a row group of a file. On PostgreSQL, of tables that have partitions only.
        """
        if not self.is_sqlite:
            self._publish_partitions(changes, statements)
            return
        with self._cursor(write=True) as cursor:
            for change in changes:
                cursor.execute(self._render(sa.delete(change.table).where(change.all_gone), {}))
                if change.files:
                    cursor.adbc_ingest(change.table.name, change.rows("sqlite"), mode="append")
            for statement in statements:
                cursor.execute(self._render(statement, {}))

    def gather_statistics(self, *tables: sa.Table) -> None:
        """Let PostgreSQL's planner know how these tables are filled by now: rows that came a moment
        ago are otherwise unknown to it, and it may choose a join a hundred times slower. Nothing on
        SQLite, where joins are written in the order they are to be made.
        """
        if not self.is_sqlite:
            with self.engine.begin() as connection:
                for table in tables:
                    connection.execute(sa.text(f"ANALYZE {_quoted(table.name)}"))

    def is_done(self, step: str, piece: str, fingerprint: str) -> bool:
        """Whether the piece was finished from inputs with this fingerprint."""
        return self.made_from(step, piece) == fingerprint

    def made_from(self, step: str, piece: str) -> str | None:
        """The fingerprint of the inputs that the piece was finished from, or None."""
        with self.engine.connect() as connection:
            return manifest.find(connection, step, piece)

    def pieces(self, step: str, feature_version: str) -> dict[str, str]:
        """As `made_from`, of every finished piece of a feature version."""
        with self.engine.connect() as connection:
            return manifest.pieces(connection, step, feature_version)

    def forget(self, step: str, *pieces: str) -> None:
        """Take back that the pieces are finished: to be called before what they are made of, or
        into, is written. A piece that was killed half-way is then made again from any inputs, also
        from those of the time before.
        """
        with self.engine.begin() as connection:
            manifest.forget(connection, step, pieces)

    def mark_done(
        self,
        step: str,
        piece: str,
        fingerprint: str,
        n_rows: int,
        path: str | None = None,
        feature_version: str | None = None,
    ) -> None:
        """Record that the piece is finished, in place of any older record of it."""
        with self.engine.begin() as connection:
            manifest.record(
                connection, step=step, piece=piece, fingerprint=fingerprint,
                n_rows=n_rows, path=path, feature_version=feature_version,
            )  # fmt: skip

    @contextmanager
    def _cursor(self, *, write: bool) -> Iterator[Any]:
        with connect_arrow(self.engine.url, write=write) as connection:  # noqa: SIM117
            with connection.cursor() as cursor:
                yield cursor

    def _insert(self, cursor: Any, table: sa.Table, data: pa.Table) -> int:
        if len(data):
            cursor.adbc_ingest(table.name, data, mode="append")
        return len(data)

    def _make_room(self, table: sa.Table, data: pa.Table) -> None:
        if not self.is_sqlite and (keys := partitions.keys_of(table.name, data)):
            partitions.make_room(self.engine, table.name, keys)

    def _swap(self, table: sa.Table, data: pa.Table, keys: list[partitions.Key]) -> int:
        filled = partitions.keys_of(table.name, data)
        with partitions.aside(self.engine, table.name, filled) as names:
            with self._cursor(write=True) as cursor:
                _fill(cursor, table.name, names, data)
            exchanges.publish(self.engine, [exchanges.Exchange(table.name, keys, names)])
        return len(data)

    def _publish_partitions(
        self, changes: Sequence[Change], statements: Sequence[sa.sql.dml.UpdateBase]
    ) -> None:
        made = []
        with ExitStack() as stack:
            for change in changes:
                table = change.table.name
                keys = change.keys_that_come()
                names = stack.enter_context(partitions.aside(self.engine, table, keys))
                with self._cursor(write=True) as cursor:
                    for batch in change.rows("postgresql"):
                        _fill(cursor, table, names, pa.Table.from_batches([batch]))
                gone = None if change.gone is None else sa.delete(change.table).where(change.gone)
                made.append(exchanges.Exchange(table, change.whole, names, gone))
            exchanges.publish(self.engine, made, statements)

    def _render(self, query: str | sa.sql.ClauseElement, params: dict[str, object]) -> str:
        if isinstance(query, str):
            if not params:
                return query
            query = sa.text(query).bindparams(
                *(
                    sa.bindparam(name, value, expanding=isinstance(value, list | tuple | set))
                    for name, value in params.items()
                )
            )
        # percent signs are doubled by the default style of psycopg, which is not used here
        plain = sqlite.dialect if self.is_sqlite else postgresql.dialect
        dialect = plain(paramstyle="named")
        return str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


def _fill(cursor: Any, table: str, names: Mapping[partitions.Key, str], data: pa.Table) -> None:
    """Each of the rows into the table aside of its partition."""
    for key in partitions.keys_of(table, data):
        rows = partitions.rows_of(table, data, key)
        cursor.adbc_ingest(names[key], rows, "append", db_schema_name=partitions.SCHEMA)


def open_database(url_or_path: str | Path) -> Database:
    """The database at a SQLAlchemy URL, or the SQLite file at a path, whose folder is created.

    Raises ValueError for a database that is neither SQLite in a file nor PostgreSQL.
    """
    text = str(url_or_path)
    url = sa.make_url(text) if "://" in text else sa.URL.create("sqlite", database=text)
    if url.get_backend_name() == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    elif url.drivername != "sqlite" or url.database in (None, "", ":memory:"):
        raise ValueError(
            f"{url.render_as_string()} is not supported; give the path of a SQLite file, "
            "sqlite:///PATH or postgresql://USER@HOST/NAME."
        )
    else:
        path = Path(str(url.database)).absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        url = url.set(database=str(path))
    return Database(url.render_as_string(hide_password=False), create_engine(url))


def _with_example_row(cursor: Any, query: str) -> str:
    """The query after one row of examples, from which ADBC's SQLite driver infers the types.

    Otherwise a column whose first 65,536 values are null would be taken for whole numbers.
    """
    query = query.strip().rstrip(";")
    cursor.execute(f"SELECT * FROM ({query}\n) LIMIT 0")
    types = known_types()
    examples = (
        f"{_EXAMPLES.get(types[name], _TEXT) if name in types else 'NULL'} AS {_quoted(name)}"
        for name in cursor.fetch_arrow_table().column_names
    )
    return f"SELECT {', '.join(examples)} UNION ALL SELECT * FROM ({query}\n)"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
