"""SQLite and PostgreSQL, filled alike, hold the same rows in every table and view."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from sql.database import Database
from sql.schema import view_files
from sql.tables import METADATA
from tests.sql.example import fill
from tests.sql.test_partitions import DAY, interest

RELATIONS = [*METADATA.tables, *(file.stem for file in view_files())]
OF_THE_CLOCK = ["finished_at", "started_at", "made_at"]


def rows(database: Database, relation: str) -> pd.DataFrame:
    """All rows in the order of their text, which is that of their keys, but clocks."""
    found = database.read(f"SELECT * FROM {relation}").to_pandas()
    found = found.drop(columns=[c for c in OF_THE_CLOCK if c in found])
    keys = [c for c in found if found[c].dtype == object]
    return found.sort_values([*keys, *(c for c in found if c not in keys)], ignore_index=True)


def assert_alike(one: Database, other: Database, relation: str) -> int:
    """Whether the rows are equal, numbers to 1e-9; how many there are."""
    left, right = rows(one, relation), rows(other, relation)
    pd.testing.assert_frame_equal(left, right, rtol=1e-9, atol=1e-9, obj=relation)
    return len(left)


def test_every_table_and_view_is_alike(
    server: Database, database: Database, tmp_path: Path
) -> None:
    for each in (server, database):
        fill(each, tmp_path)
        each.append(METADATA.tables["pair_interest"], interest(2, "3f9a2c41", DAY))
        each.mark_done("feature_version", "detected", "", 0, feature_version="3f9a2c41")
    counts = {relation: assert_alike(server, database, relation) for relation in RELATIONS}
    assert sum(n > 0 for n in counts.values()) > 20
    assert all(counts[file.stem] for file in view_files())


def test_a_row_that_differs_is_seen(server: Database, database: Database) -> None:
    for each, value in ((server, 0.5 + 1e-6), (database, 0.5)):
        one = interest(1, "v1", DAY).append_column("interest_cosine", pa.array([value]))
        each.append(METADATA.tables["pair_interest"], one)
    with pytest.raises(AssertionError, match="interest_cosine"):
        assert_alike(server, database, "pair_interest")
