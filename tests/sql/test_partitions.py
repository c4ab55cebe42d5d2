from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from sql import exchanges, partitions
from sql.database import Database
from sql.partitions import PARTITIONED, as_partitioned, keys_of, named_keys, partition_name, rows_of
from sql.schema import drop_views, refresh_views
from sql.tables import METADATA, impressions, pair_features, pair_interest
from tests.sql.example import fill
from tests.sql.test_schema import differences

DAY = date(2026, 11, 15)
DAYS = [DAY - timedelta(days=n) for n in range(3)]
MIGRATIONS = Path(partitions.__file__).parent / "migrations"


def shown(n: int, *days: date, position: int = 1) -> pa.Table:
    """n impressions on each of the days."""
    rows = [
        {"request_id": f"{day}-{i:04d}", "candidate_pin_id": "p", "date": day, "position": position}
        for day in days
        for i in range(n)
    ]
    schema = pa.schema([("request_id", pa.string()), ("candidate_pin_id", pa.string()),
                        ("date", pa.date32()), ("position", pa.int64())])  # fmt: skip
    return pa.Table.from_pylist(rows, schema=schema)


def interest(n: int, version: str, day: date) -> pa.Table:
    return pa.table(
        {
            "feature_version": [version] * n,
            "date": pa.array([day] * n, pa.date32()),
            "query_pin_id": ["q"] * n,
            "candidate_pin_id": [f"p{i}" for i in range(n)],
        }
    )


def tables_below(server: Database, table: str) -> dict[str, int]:
    """The partitions of a table and their object numbers; a new table has a new number."""
    rows = server.read(
        "SELECT c.relname, c.oid FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = to_regclass(:table)",
        table=table,
    )
    return dict(zip(rows["relname"].to_pylist(), rows["oid"].to_pylist(), strict=True))


def loose_tables(server: Database) -> int:
    """Tables in the schema of partitions that belong to no table."""
    query = (
        "SELECT count(*) AS n FROM pg_class WHERE relnamespace = 'partitions'::regnamespace "
        "AND relkind = 'r' AND NOT relispartition"
    )
    return int(server.read(query)["n"][0].as_py())


def migrate(server: Database, to: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with server.engine.begin() as connection:
        config.attributes["connection"] = connection
        drop_views(connection)
        (command.downgrade if to == "0006" else command.upgrade)(config, to)


def test_keys_are_named_by_exactly_the_columns_of_the_partitions() -> None:
    assert named_keys("impressions", {"date": DAY}) == [(DAY,)]
    assert named_keys("impressions", {"date": {DAY}}) == [(DAY,)]
    assert named_keys("impressions", {"date": []}) == []
    assert named_keys("impressions", {"date": DAY, "position": 1}) is None
    assert named_keys("impressions", {}) is None
    assert named_keys("requests", {"date": DAY}) is None


def test_rows_are_cut_into_their_partitions() -> None:
    rows = shown(2, *DAYS)
    keys = keys_of("impressions", rows)
    assert sorted(keys) == sorted((day,) for day in DAYS)
    parts = [rows_of("impressions", rows, key) for key in keys]
    assert pa.concat_tables(parts).sort_by("request_id") == rows.sort_by("request_id")
    assert keys_of("requests", rows) == []


def test_names_fit_and_differ() -> None:
    versions = ["3f9a2c41", "v" * 200, "v" * 201, "ü" * 40]
    names = {partition_name("pair_interest", (version, DAY)) for version in versions}
    assert len(names) == len(versions)
    assert all(len(name.encode()) + len("_aside") <= 63 for name in names)


def test_only_keys_and_indexes_differ_from_the_tables() -> None:
    copy = as_partitioned(METADATA)
    assert set(copy.tables) == set(METADATA.tables)
    changed = set()
    for name, table in METADATA.tables.items():
        assert copy.tables[name].columns.keys() == table.columns.keys()
        if copy.tables[name].primary_key.columns.keys() != table.primary_key.columns.keys():
            changed.add(name)
    assert changed == {"impressions"}
    assert copy.tables["impressions"].indexes == set()
    assert [c.name for c in METADATA.tables["impressions"].primary_key.columns] == [
        "request_id", "candidate_pin_id",
    ]  # fmt: skip


def test_tables_are_cut_as_said(server: Database) -> None:
    inspector = sa.inspect(server.engine)
    expected = as_partitioned(METADATA)
    for name, columns in PARTITIONED.items():
        query = "SELECT pg_get_partkeydef(CAST(:name AS regclass)) AS cut"
        cut = server.read(query, name=name)["cut"][0].as_py()
        assert cut == f"{'LIST' if len(columns) == 1 else 'RANGE'} ({', '.join(columns)})"
    for name, table in expected.tables.items():
        keys = inspector.get_pk_constraint(name)["constrained_columns"]
        assert keys == table.primary_key.columns.keys(), name


def test_a_day_is_swapped_and_the_others_are_not_touched(server: Database) -> None:
    assert server.replace(impressions, shown(3, *DAYS), date=DAYS) == 9
    before = tables_below(server, "impressions")
    assert set(before) == {f"impressions_{day}" for day in DAYS}
    assert server.replace(impressions, shown(5, DAY), date=DAY) == 5
    after = tables_below(server, "impressions")
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {f"impressions_{DAY}"}
    counts = server.read("SELECT date, count(*) AS n FROM impressions GROUP BY date ORDER BY date")
    assert counts["n"].to_pylist() == [3, 3, 5]
    assert loose_tables(server) == 0


def test_a_day_without_rows_goes_and_comes_back_by_appending(server: Database) -> None:
    server.append(impressions, shown(3, *DAYS))
    assert server.replace(impressions, shown(0), date=[DAY, DAYS[1]]) == 0
    assert set(tables_below(server, "impressions")) == {f"impressions_{DAYS[2]}"}
    assert server.append(impressions, shown(2, DAY)) == 2
    assert len(server.read("SELECT * FROM impressions")) == 5


def test_a_partition_is_one_version_and_one_day(server: Database) -> None:
    odd = 'it\'s 100% "x" :y \\'
    for version in ("v1", odd):
        for day in DAYS:
            server.append(pair_interest, interest(2, version, day))
    server.replace(pair_interest, interest(7, odd, DAY), feature_version=odd, date=DAY)
    assert len(tables_below(server, "pair_interest")) == 6
    counts = server.read(
        "SELECT feature_version, date, count(*) AS n FROM pair_interest GROUP BY 1, 2"
    ).to_pylist()
    by_key = {(row["feature_version"], row["date"]): row["n"] for row in counts}
    assert by_key == {(v, d): 7 if (v, d) == (odd, DAY) else 2 for v in ("v1", odd) for d in DAYS}


def test_other_filters_and_other_days_are_replaced_all_the_same(server: Database) -> None:
    server.append(impressions, shown(3, *DAYS))
    server.replace(impressions, shown(1, DAY, position=9), date=DAY, position=1)
    server.replace(impressions, shown(2, date(2026, 12, 1)), date=DAYS[1])
    counts = server.read("SELECT date, count(*) AS n FROM impressions GROUP BY date ORDER BY date")
    assert counts["n"].to_pylist() == [3, 1, 2]
    assert server.replace(impressions, shown(4, DAY)) == 4
    assert len(server.read("SELECT * FROM impressions")) == 4


def test_a_swap_that_fails_leaves_the_old_rows_and_nothing_else(server: Database) -> None:
    server.append(impressions, shown(3, DAY))
    with pytest.raises(Exception, match="duplicate key"):
        server.replace(impressions, pa.concat_tables([shown(2, DAY), shown(1, DAY)]), date=DAY)
    assert len(server.read("SELECT * FROM impressions")) == 3
    assert loose_tables(server) == 0


def test_what_a_killed_run_left_aside_is_no_hindrance(server: Database) -> None:
    server.append(impressions, shown(3, DAY))
    with server.engine.begin() as connection:
        left = f'partitions."impressions_{DAY}_aside"'
        connection.exec_driver_sql(f"CREATE TABLE {left} (LIKE impressions INCLUDING ALL)")
        connection.exec_driver_sql(f"INSERT INTO {left} SELECT * FROM impressions")
    server.replace(impressions, shown(1, DAY), date=DAY)
    assert len(server.read("SELECT * FROM impressions")) == 1
    assert loose_tables(server) == 0


def test_a_long_query_does_not_keep_the_day_from_being_replaced(
    server: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchanges, "WAIT", "50ms")
    monkeypatch.setattr(exchanges, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(exchanges, "TRIES", 2)
    server.append(impressions, shown(3, DAY, DAYS[1]))
    count = sa.select(sa.func.count()).select_from(impressions)
    with server.engine.connect() as reader:
        assert reader.execute(count).scalar() == 6
        server.replace(impressions, shown(5, DAY, DAYS[2]), date=DAYS)
        assert reader.execute(count).scalar() == 10
    assert set(tables_below(server, "impressions")) == {f"impressions_{day}" for day in DAYS}
    assert loose_tables(server) == 0


def test_any_sequence_of_changes_ends_as_on_sqlite(server: Database, database: Database) -> None:
    rng = np.random.default_rng(20261115)
    for _ in range(12):
        days = [DAYS[i] for i in range(3) if rng.random() < 0.6]
        rows = shown(int(rng.integers(0, 4)), *days, position=int(rng.integers(1, 3)))
        where: dict[str, object] = [{"date": days}, {"date": days, "position": 1}, {}][
            rng.integers(3)
        ]
        outcomes = []
        for each in (server, database):
            try:
                outcomes.append(each.replace(impressions, rows, **where))
            except Exception as error:
                outcomes.append("UNIQUE" in str(error) or "duplicate key" in str(error))
        assert outcomes[0] == outcomes[1]
        query = "SELECT * FROM impressions ORDER BY request_id"
        assert server.read(query).equals(database.read(query))


def all_rows(server: Database) -> dict[str, list[str]]:
    """Every table's rows as text, in order; the manifest's change with the views. Columns that
    are younger than partitions are left out."""
    with server.engine.connect() as connection:
        return {
            name: sorted(
                map(str, connection.execute(sa.select(*(c for c in table.c if c.name != "inputs"))))
            )
            for name, table in METADATA.tables.items()
            if name != "manifest"
        }


def test_a_database_from_before_is_migrated_with_its_rows(server: Database, tmp_path: Path) -> None:
    fill(server, tmp_path)
    server.append(pair_interest, interest(3, "v1", DAY))
    before = all_rows(server)
    migrate(server, "0006")
    assert tables_below(server, "impressions") == {}
    assert all_rows(server) == before
    indexes = sa.inspect(server.engine).get_indexes("impressions")
    assert [index["name"] for index in indexes] == ["impressions_by_date"]
    migrate(server, "head")
    with server.engine.begin() as connection:
        refresh_views(connection, anew=True)
    assert len(tables_below(server, "impressions")) == 2
    assert differences(server) == []
    assert all_rows(server) == before
    assert server.replace(pair_features, pa.table({}), feature_version="3f9a2c41") == 0
    assert tables_below(server, "pair_features") == {}
