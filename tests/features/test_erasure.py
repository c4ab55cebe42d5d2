from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from features.erasure import erase_files
from features.images.remote import RemoteImages
from features.pairs.store import PairStore
from features.visuals.shards import read_shard, write_shard
from features.visuals.store import as_rows
from related_pins import app
from sql.database import Database
from sql.erasure import mentions
from sql.tables import pin_visuals, pins
from tests.features.pairs.pair_world import filled, visual
from tests.features.visuals.visuals_for_tests import random_visual
from tests.sql.conftest import server

__all__ = ["server"]

PLACES = {"p1": "aa", "p2": "bb", "p3": "bb", "p4": "cc"}  # p2 and p3 share an image
OLD = "dd"  # an image that p1 once had


@pytest.fixture
def home(database: Database, tmp_path: Path) -> Path:
    """Two versions, each with a shard of a pin's own and a shard of several."""
    rows = []
    for version in ("v1", "v2"):
        for name, contents in (("own", ["aa"]), ("many", ["bb", "cc", OLD])):
            visuals = [random_visual(n, ("bag",), content=c) for n, c in enumerate(contents)]
            path = f"visuals/{version}/{name}.arrow"
            write_shard(tmp_path / path, visuals)
            database.mark_done("visuals", f"{version}/{name}", name, len(visuals), path, version)
        for pin, content in PLACES.items():
            rows.append(dict.fromkeys(pin_visuals.c.keys()) | {
                "feature_version": version, "pin_id": pin, "content_hash": content})  # fmt: skip
    database.replace(pin_visuals, as_rows(pin_visuals, rows))
    (tmp_path / "looks").mkdir()
    looks = pa.table({"key": ["aa 1 2", "bb 1 2"], "vector": [[1.0], [0.5]]})
    pq.write_table(looks, tmp_path / "looks" / "looks-x.parquet")
    for name in ("pictures/p1-p2.png", "pictures/p2-p4.png", "pictures/p1-crops.png",
                 "pictures/p11-p2.png", "reports/2026-11-15/report.html"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a report that names u1 and nobody else")
    (tmp_path / "visuals" / "v1" / ".own.arrow.4711").write_bytes(b"aa")
    return tmp_path


def contents(home: Path) -> dict[str, list[str]]:
    return {path.relative_to(home).as_posix(): [v.content_hash for v in read_shard(path)]
            for path in sorted(home.glob("visuals/*/*.arrow"))}  # fmt: skip


def test_a_pins_images_leave_every_shard_of_every_version(database: Database, home: Path) -> None:
    untouched = {v.content_hash: v for v in read_shard(home / "visuals/v1/many.arrow")}
    erase_files(database, home, "pin", "p1")
    assert contents(home) == {f"visuals/{v}/many.arrow": ["bb", "cc"] for v in ("v1", "v2")}
    for left in read_shard(home / "visuals/v1/many.arrow"):
        assert (left.crops == untouched[left.content_hash].crops).all()
    assert [p.name for p in (home / "visuals" / "v1").iterdir()] == ["many.arrow"]
    rows = database.read("SELECT piece, n_rows FROM manifest WHERE step = 'visuals' ORDER BY 1")
    assert rows.to_pylist() == [{"piece": f"{v}/many", "n_rows": 2} for v in ("v1", "v2")]


def test_an_image_that_another_pin_has_stays(database: Database, home: Path) -> None:
    erase_files(database, home, "pin", "p2")
    assert "bb" in contents(home)["visuals/v1/many.arrow"]


def test_its_looks_pictures_and_all_reports_go(database: Database, home: Path) -> None:
    changed = erase_files(database, home, "pin", "p1")
    looks = home / "looks" / "looks-x.parquet"
    assert pq.read_table(looks).to_pylist() == [{"key": "bb 1 2", "vector": [0.5]}]
    assert {p.name for p in (home / "pictures").iterdir()} == {"p2-p4.png", "p11-p2.png"}
    report = home / "reports" / "2026-11-15" / "report.html"
    assert not report.exists()
    assert {looks, report} < set(changed)


def test_a_user_is_only_in_the_reports_that_name_it(database: Database, home: Path) -> None:
    before = contents(home)
    assert erase_files(database, home, "user", "u2") == []
    assert [p.name for p in erase_files(database, home, "user", "u1")][-1] == "report.html"
    assert contents(home) == before


def test_doing_it_twice_is_doing_it_once(database: Database, home: Path) -> None:
    erase_files(database, home, "pin", "p1")
    before = contents(home)
    assert erase_files(database, home, "pin", "p1") == []
    assert contents(home) == before


def test_a_remote_image_goes_with_its_last_pin(database: Database, home: Path) -> None:
    uri, remote = "https://images.example/shoe.jpg", RemoteImages(home / "remote")
    kept = remote._path(uri)
    kept.parent.mkdir(parents=True)
    for path in (kept, kept.with_suffix(".json")):
        path.write_text(uri)
    rows = [{"pin_id": pin, "image": uri} for pin in ("p1", "p9")]
    database.append(pins, pa.Table.from_pylist(rows))
    erase_files(database, home, "pin", "p1")
    assert kept.exists()
    with database.engine.begin() as connection:
        connection.execute(sa.delete(pins).where(pins.c.pin_id == "p1"))
    erase_files(database, home, "pin", "p9")
    assert not [p for p in (home / "remote").rglob("*") if p.is_file()]


def test_no_table_no_partition_and_no_file_names_it(
    server: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On PostgreSQL, after a job that was killed in the middle of its pairs."""
    world = filled(server, tmp_path)
    world.refresh()
    with server.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE partitions.pair_features_v0_aside AS SELECT * FROM pair_features"
        )
    world.pins["p10"] = 30
    monkeypatch.setattr(PairStore, "publish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        world.refresh()
    assert list((tmp_path / "pairs").rglob("*.parquet"))
    for kind, id in (("user", "u1"), ("pin", "p03")):
        assert [text for text in texts(server) if mentions(text, id)]
        arguments = ["forget", f"--{kind}", id, "--home", str(tmp_path), "--db", server.url]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        assert not [text for text in texts(server) if mentions(text, id)]
        files = [content(path) for path in tmp_path.rglob("*") if path.is_file()]
        assert files
        assert not [text for text in files if mentions(text, id)]
    assert not [text for text in files if visual(3).content_hash in text]


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def texts(server: Database) -> list[str]:
    """Every row of every table, also of those that are aside, as text."""
    tables = server.read(
        "SELECT CAST(CAST(oid AS regclass) AS text) AS name FROM pg_class WHERE relkind = 'r' "
        "AND relnamespace IN ('public'::regnamespace, 'partitions'::regnamespace)"
    )["name"].to_pylist()
    rows = (server.read(f"SELECT CAST(t AS text) AS row FROM {table} AS t") for table in tables)
    return [text for table in rows for text in table["row"].to_pylist()]


def content(path: Path) -> str:
    if path.suffix == ".parquet":
        return str(pq.read_table(path).to_pylist())
    return path.read_bytes().decode("utf-8", errors="replace")


@pytest.mark.parametrize(("kind", "id"), [("pin", "p1"), ("user", "u1")])
def test_logs_lose_the_lines_that_name_it(
    database: Database, home: Path, kind: str, id: str
) -> None:
    log = home / "logs" / "2026-11-15.jsonl"
    log.parent.mkdir()
    log.write_text(f'{{"event": "started"}}\n{{"error": "{id} is odd"}}\n{{"of": "{id}2"}}\n')
    assert log in erase_files(database, home, kind, id)
    assert log.read_text() == f'{{"event": "started"}}\n{{"of": "{id}2"}}\n'
