import threading
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from sql.arrow import known_types, restored, stored
from sql.database import Database, fingerprint, open_database
from sql.tables import METADATA, candidates, engagements, manifest, pins, rankings

DAY = date(2026, 11, 15)


def engagement_rows(n: int, day: date = DAY) -> pa.Table:
    return pa.table(
        {
            "request_id": [f"r{i}" for i in range(n)],
            "candidate_pin_id": ["p1"] * n,
            "action": ["save"] * n,
            "date": pa.array([day] * n, pa.date32()),
            "engaged_at": pa.array([datetime(day.year, day.month, day.day, 7, 8, 9, 10)] * n),
        }
    )


def test_rows_come_back_as_they_went_in(database: Database) -> None:
    rows = engagement_rows(3)
    assert database.append(engagements, rows) == 3
    assert database.read("SELECT * FROM engagements ORDER BY request_id").equals(rows)


def test_days_and_times_are_read_alike_by_sqlalchemy_and_compare_as_text(
    database: Database,
) -> None:
    database.append(engagements, engagement_rows(1))
    with database.engine.connect() as connection:
        row = connection.execute(sa.select(engagements)).one()
    assert (row.date, row.engaged_at) == (DAY, datetime(2026, 11, 15, 7, 8, 9, 10))
    assert len(database.read(sa.select(engagements).where(engagements.c.date == DAY))) == 1
    later = sa.select(engagements).where(engagements.c.engaged_at > row.engaged_at)
    assert len(database.read(later)) == 0


def test_aware_times_are_stored_as_utc(database: Database) -> None:
    at = pa.array([datetime(2026, 11, 15, 7)]).cast(pa.timestamp("ns", "UTC"))
    amsterdam = at.cast(pa.timestamp("ns", "Europe/Amsterdam"))
    database.append(pins, pa.table({"pin_id": ["p"], "created_at": amsterdam}))
    found = database.read("SELECT created_at FROM pins")
    assert found["created_at"].to_pylist() == [datetime(2026, 11, 15, 7)]


def test_no_row_and_only_nulls_are_typed(database: Database) -> None:
    query = "SELECT * FROM rankings"
    expected = pa.schema(
        [
            ("date", pa.date32()), ("arm", pa.string()), ("query_pin_id", pa.string()),
            ("candidate_pin_id", pa.string()), ("rank", pa.int64()), ("score", pa.float64()),
        ]
    )  # fmt: skip
    assert database.read(query).schema == expected
    one = {"date": [DAY], "arm": ["a"], "query_pin_id": ["q"], "candidate_pin_id": ["c"]}
    database.append(rankings, pa.table(one))
    assert database.read(query).schema == expected
    assert database.read(query).to_pylist()[0]["score"] is None


def test_a_real_number_after_a_hundred_thousand_nulls_is_read(database: Database) -> None:
    n = 100_000
    rows = pa.table(
        {
            "date": pa.array([DAY] * n, pa.date32()),
            "arm": ["a"] * n,
            "query_pin_id": ["q"] * n,
            "candidate_pin_id": [f"c{i:06d}" for i in range(n)],
            "rank": list(range(n)),
            "score": pa.array([None] * (n - 1) + [0.5], pa.float64()),
        }
    )
    database.append(rankings, rows)
    query = "SELECT * FROM rankings ORDER BY rank DESC -- the last comes first"
    whole = database.read(query)
    batches = list(database.batches(query))
    assert whole["score"].to_pylist()[0] == 0.5
    assert len(batches) > 1
    assert pa.Table.from_batches(batches).equals(whole)
    ascending = pa.Table.from_batches(database.batches("SELECT * FROM rankings ORDER BY rank"))
    assert ascending["score"].to_pylist()[-1] == 0.5
    assert ascending.num_rows == n


def test_batches_of_no_row_are_none(database: Database) -> None:
    assert list(database.batches("SELECT * FROM rankings")) == []


def test_replace_touches_only_what_was_named(database: Database) -> None:
    database.append(engagements, engagement_rows(3))
    other = date(2026, 11, 14)
    rest = engagement_rows(2, other).set_column(0, "request_id", pa.array(["x", "y"]))
    database.append(engagements, rest)
    assert database.replace(engagements, engagement_rows(1), date=DAY) == 1
    counts = database.read("SELECT date, count(*) AS n FROM engagements GROUP BY 1 ORDER BY 1")
    assert counts.to_pylist() == [{"date": other, "n": 2}, {"date": DAY, "n": 1}]
    nothing = engagement_rows(0)
    assert database.replace(engagements, nothing, date=[DAY, other], action="hide") == 0
    assert len(database.read("SELECT * FROM engagements")) == 3
    assert database.replace(engagements, nothing, date=[]) == 0
    assert len(database.read("SELECT * FROM engagements")) == 3
    assert database.replace(engagements, nothing) == 0
    assert len(database.read("SELECT * FROM engagements")) == 0


def test_a_replace_that_fails_leaves_the_old_rows(database: Database) -> None:
    database.append(engagements, engagement_rows(3))
    doubled = pa.concat_tables([engagement_rows(2), engagement_rows(1)])
    with pytest.raises(Exception, match=r"UNIQUE|constraint"):
        database.replace(engagements, doubled)
    assert len(database.read("SELECT * FROM engagements")) == 3


def test_readers_in_other_threads_see_old_or_new_rows_while_one_writes(database: Database) -> None:
    database.append(engagements, engagement_rows(500))
    seen: set[int] = set()

    def look() -> None:
        for _ in range(20):
            seen.add(len(database.read("SELECT request_id FROM engagements")))

    reader = threading.Thread(target=look)
    reader.start()
    for n in (700, 500, 700, 500):
        database.replace(engagements, engagement_rows(n))
    reader.join()
    assert seen <= {500, 700}
    assert seen


def test_parameters_are_values_never_sql(database: Database) -> None:
    names = ["it's", "100%", "a;b", ":x", "zoë"]
    rows = {"query_pin_id": names, "candidate_pin_id": names}
    database.append(candidates, pa.table(rows))
    for name in names:
        found = database.read("SELECT * FROM candidates WHERE query_pin_id = :q", q=name)
        assert found["candidate_pin_id"].to_pylist() == [name]
    listed = database.read("SELECT * FROM candidates WHERE query_pin_id IN :q", q=names[:2])
    assert len(listed) == 2
    assert len(database.read("SELECT * FROM candidates WHERE query_pin_id LIKE '%s'")) == 1


def test_reading_cannot_write(database: Database) -> None:
    for statement in ("DELETE FROM pins", "DROP TABLE pins", "CREATE TABLE t (a INTEGER)"):
        with pytest.raises(Exception, match="readonly"):
            database.read(statement)
    database.append(pins, pa.table({"pin_id": ["p"]}))


def test_the_two_sqlite_libraries_are_never_open_together(database: Database) -> None:
    with database.engine.connect() as connection:
        connection.execute(sa.select(pins))
        with pytest.raises(RuntimeError, match="still open"):
            database.read("SELECT * FROM pins")
    database.append(candidates, pa.table({"query_pin_id": ["q"], "candidate_pin_id": ["c"]}))
    batches = database.batches("SELECT * FROM candidates")
    next(batches)
    with pytest.raises(RuntimeError, match="still open"):
        database.is_done("step", "piece", "f")
    batches.close()
    assert not database.is_done("step", "piece", "f")


def test_another_thread_waits_for_its_turn(database: Database) -> None:
    entered, found = threading.Event(), []

    def read() -> None:
        entered.set()
        found.append(len(database.read("SELECT * FROM pins")))

    with database.engine.begin() as connection:
        reader = threading.Thread(target=read)
        reader.start()
        entered.wait()
        connection.execute(sa.insert(pins).values(pin_id="p"))
        assert found == []
    reader.join()
    assert found == [1]


def test_done_means_done_with_the_same_inputs(database: Database) -> None:
    one, two = fingerprint("weights", 1), fingerprint("weights", 2)
    assert not database.is_done("visuals", "shard-0", one)
    database.mark_done("visuals", "shard-0", one, 10, path="visuals/0.parquet", feature_version="v")
    assert database.is_done("visuals", "shard-0", one)
    assert not database.is_done("visuals", "shard-0", two)
    database.mark_done("visuals", "shard-0", two, 11)
    assert not database.is_done("visuals", "shard-0", one)
    with database.engine.connect() as connection:
        assert connection.execute(sa.select(manifest.c.n_rows).where(
            manifest.c.step == "visuals")).scalars().all() == [11]  # fmt: skip


def test_a_name_has_one_type_everywhere() -> None:
    for table in METADATA.tables.values():
        for column in table.columns:
            assert restored(stored(pa.table({}), pins, "sqlite")).schema == pa.schema(
                [(c.name, known_types()[c.name]) for c in pins.columns]
            )
            twin = {type(t.columns[column.name].type) for t in METADATA.tables.values()
                    if column.name in t.columns}  # fmt: skip
            assert len(twin) == 1, column.name


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(max_size=5),
            st.datetimes(datetime(1900, 1, 1), datetime(9999, 12, 31)),
        )
    )
)
def test_stored_then_restored_is_the_same(values: list[tuple[str, datetime]]) -> None:
    rows = pa.table(
        {
            "pin_id": pa.array([v[0] for v in values], pa.string()),
            "created_at": pa.array([v[1] for v in values], pa.timestamp("us")),
        }
    )
    again = restored(stored(rows, pins, "sqlite"))
    assert again.select(["pin_id", "created_at"]).equals(rows)


def test_an_unknown_column_is_named() -> None:
    with pytest.raises(ValueError, match="pins has no column colour"):
        stored(pa.table({"pin_id": ["p"], "colour": ["red"]}), pins, "sqlite")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://u@h/n"])
def test_other_databases_are_refused_with_a_hint(url: str) -> None:
    with pytest.raises(ValueError, match="not supported; give the path"):
        open_database(url)


def test_a_path_and_its_url_are_the_same_database(database: Database) -> None:
    path = sa.make_url(database.url).database
    assert path is not None
    assert open_database(path).url == open_database(f"sqlite:///{path}").url == database.url


def test_reading_where_there_is_no_database_says_so(tmp_path: Path) -> None:
    missing = open_database(f"{tmp_path}/none.db")
    with pytest.raises(FileNotFoundError, match="There is no database at"):
        missing.read("SELECT 1")
