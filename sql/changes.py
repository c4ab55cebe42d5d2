"""A change of a table that is made aside, in Parquet files, and published in one transaction."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from sql.arrow import stored
from sql.partitions import PARTITIONED, Key, keys_of


@dataclass(frozen=True)
class Change:
    """Rows of a table that go, and Parquet files whose rows come.

    whole: values of the columns that PostgreSQL partitions the table by; all rows with them go.
    gone: other rows that go; none where it is None.
    """

    table: sa.Table
    files: Sequence[Path]
    whole: Collection[Key] = ()
    gone: sa.ColumnElement[bool] | sa.TextClause | None = None

    @property
    def all_gone(self) -> sa.ColumnElement[bool]:
        """Whether a row goes, by either."""
        *first, last = (self.table.c[name] for name in PARTITIONED[self.table.name])
        values: dict[Key, list[object]] = {}
        for key in self.whole:
            values.setdefault(key[:-1], []).append(key[-1])
        whole = (
            sa.and_(*(c == value for c, value in zip(first, key, strict=True)), last.in_(lasts))
            for key, lasts in values.items()
        )
        return sa.or_(sa.false() if self.gone is None else self.gone, *whole)

    @property
    def n_rows(self) -> int:
        """How many rows come."""
        return sum(pq.read_metadata(path).num_rows for path in self.files)

    def rows(self, dialect: str) -> pa.RecordBatchReader:
        """The rows that come as the database stores them, a row group at a time."""
        schema = stored(pa.table({}), self.table, dialect).schema
        return pa.RecordBatchReader.from_batches(schema, self._batches(dialect))

    def keys_that_come(self) -> list[Key]:
        """The keys of the partitions that rows come into."""
        columns = list(PARTITIONED[self.table.name])
        found = dict[Key, None]()
        for path in self.files:
            with pq.ParquetFile(path) as file:
                found |= dict.fromkeys(keys_of(self.table.name, file.read(columns)))
        return list(found)

    def _batches(self, dialect: str) -> Iterator[pa.RecordBatch]:
        for path in self.files:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    rows = stored(file.read_row_group(group), self.table, dialect)
                    yield from rows.combine_chunks().to_batches()
