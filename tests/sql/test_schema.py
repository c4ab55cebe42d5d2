from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import op
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from sql.database import Database, open_database
from sql.dictionary import view_grain
from sql.partitions import as_partitioned
from sql.schema import drop_views, view_files
from sql.tables import ENGAGEMENT_FEATURES, METADATA, PAIR_FEATURES, PAIR_INTEREST
from tests.sql.example import fill


def differences(database: Database) -> list[object]:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        expected = METADATA if database.is_sqlite else as_partitioned(METADATA)
        return [d for d in compare_metadata(context, expected) if "comment" not in str(d[0])]


def test_the_migrations_lead_to_the_tables(database: Database) -> None:
    assert differences(database) == []


def test_a_missing_column_would_be_seen(database: Database) -> None:
    with database.engine.begin() as connection:
        drop_views(connection)
        connection.execute(sa.text("ALTER TABLE pins DROP COLUMN board"))
    assert len(differences(database)) == 1


def test_migrated_and_created_tables_are_the_same(database: Database, tmp_path: Path) -> None:
    """What compare_metadata does not look at: nulls, keys, order of rows on disk."""
    created = open_database(tmp_path / "created.db")
    METADATA.create_all(created.engine)
    query = "SELECT name, lower(sql) AS words FROM sqlite_master WHERE type = 'table'"
    migrated, expected = (
        {r["name"]: "".join(r["words"].replace('"', "").split()) for r in d.read(query).to_pylist()}
        for d in (database, created)
    )
    for name in METADATA.tables:
        assert migrated[name] == expected[name]


def test_a_migration_that_breaks_off_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = open_database(tmp_path / "broken.db")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(op, "create_index", stop)
        with pytest.raises(KeyboardInterrupt):
            broken.upgrade()
    assert len(broken.read("SELECT name FROM sqlite_master")) == 0
    broken.upgrade()
    assert differences(broken) == []


def test_upgrading_twice_changes_nothing(database: Database, tmp_path: Path) -> None:
    fill(database, tmp_path)
    state = "SELECT name, sql FROM sqlite_master ORDER BY name"
    before = database.read(state), database.read("SELECT * FROM impressions")
    database.upgrade()
    assert (database.read(state), database.read("SELECT * FROM impressions")) == before


def test_a_changed_view_is_created_anew(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(sa.text("DROP VIEW training_rows"))
        connection.execute(sa.text("UPDATE manifest SET fingerprint = 'old' WHERE step = 'views'"))
    database.upgrade()
    assert len(database.read("SELECT * FROM training_rows")) == 0


def test_each_view_begins_with_its_grain() -> None:
    for file in view_files():
        assert view_grain(file).startswith("One row per "), file.name
        assert view_grain(file).endswith("."), file.name


def test_training_rows_have_every_feature(database: Database) -> None:
    names = database.read("SELECT * FROM training_rows").column_names
    features = [*PAIR_FEATURES, *PAIR_INTEREST, *ENGAGEMENT_FEATURES]
    assert names[-len(features) :] == features
    assert len(set(names)) == len(names)


def test_training_rows_are_one_per_impression_with_features(
    database: Database, tmp_path: Path
) -> None:
    fill(database, tmp_path)
    rows = database.read("SELECT * FROM training_rows ORDER BY request_id, position").to_pylist()
    shown = [(r["request_id"], r["candidate_pin_id"], r["position"]) for r in rows]
    assert shown == [
        ("r1", "p1", 1), ("r1", "p2", 2), ("r2", "p1", 2), ("r2", "p2", 3),
        ("r3", "p2", 1), ("r3", "p1", 2), ("r4", "p1", 1), ("r4", "p2", 2),
    ]  # fmt: skip
    saved, long_clicked = rows[0], rows[4]
    actions = ("closeup", "click", "long_click", "save", "hide", "grade")
    assert [saved[a] for a in actions] == [1, 0, 0, 1, 0, 4]
    assert [long_clicked[a] for a in actions] == [0, 1, 1, 0, 0, 3]
    assert [r["pair_n_impressions"] for r in rows if r["query_pin_id"] == "q2"] == [
        None, 0.0, 0.0, None,
    ]  # fmt: skip


def test_a_hide_alone_is_worth_nothing(database: Database, tmp_path: Path) -> None:
    fill(database, tmp_path)
    query = "SELECT hide, grade FROM stg_impressions WHERE request_id = 'r1' AND position = 3"
    assert database.read(query).to_pylist() == [{"hide": 1, "grade": 0}]


@pytest.mark.parametrize(
    "days", ["date = '2026-11-02'", "date BETWEEN '2026-11-02' AND '2026-11-09'"]
)
def test_training_rows_are_found_by_index_alone(database: Database, days: str) -> None:
    plan = database.read(
        f"EXPLAIN QUERY PLAN SELECT * FROM training_rows WHERE feature_version = 'v' AND {days}"
    )
    steps = plan["detail"].to_pylist()
    assert steps[0].startswith("SEARCH i USING INDEX impressions_by_date")
    assert all(step.startswith("SEARCH ") for step in steps)
    assert not any("AUTOMATIC" in step for step in steps)
