from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from features.erasure import erase_files
from features.remote import RemoteImages
from features.shards import read_shard, write_shard
from features.store import as_rows
from sql.database import Database
from sql.tables import pin_visuals, pins
from tests.features.visuals_for_tests import random_visual

PLACES = {"p1": "aa", "p2": "bb", "p3": "bb", "p4": "cc"}  # p2 and p3 share an image
OLD = "dd"  # an image that p1 once had


@pytest.fixture
def home(database: Database, tmp_path: Path) -> Path:
    """Two versions, each with a shard of a pin's own and a shard of several."""
    rows = []
    for version in ("v1", "v2"):
        for name, contents in (("own", ["aa"]), ("many", ["bb", "cc", OLD])):
            visuals = [random_visual(n, ("bag",), content=c) for n, c in enumerate(contents)]
            path = f"visuals/{version}/{name}.parquet"
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
    (tmp_path / "visuals" / "v1" / ".own.parquet.4711").write_bytes(b"aa")
    return tmp_path


def contents(home: Path) -> dict[str, list[str]]:
    return {path.relative_to(home).as_posix(): [v.content_hash for v in read_shard(path)]
            for path in sorted(home.glob("visuals/*/*.parquet"))}  # fmt: skip


def test_a_pins_images_leave_every_shard_of_every_version(database: Database, home: Path) -> None:
    untouched = {v.content_hash: v for v in read_shard(home / "visuals/v1/many.parquet")}
    erase_files(database, home, "pin", "p1")
    assert contents(home) == {f"visuals/{v}/many.parquet": ["bb", "cc"] for v in ("v1", "v2")}
    for visual in read_shard(home / "visuals/v1/many.parquet"):
        assert (visual.crops == untouched[visual.content_hash].crops).all()
    assert [p.name for p in (home / "visuals" / "v1").iterdir()] == ["many.parquet"]
    rows = database.read("SELECT piece, n_rows FROM manifest WHERE step = 'visuals' ORDER BY 1")
    assert rows.to_pylist() == [{"piece": f"{v}/many", "n_rows": 2} for v in ("v1", "v2")]


def test_an_image_that_another_pin_has_stays(database: Database, home: Path) -> None:
    erase_files(database, home, "pin", "p2")
    assert "bb" in contents(home)["visuals/v1/many.parquet"]


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


@pytest.mark.parametrize(("kind", "id"), [("pin", "p1"), ("user", "u1")])
def test_logs_lose_the_lines_that_name_it(
    database: Database, home: Path, kind: str, id: str
) -> None:
    log = home / "logs" / "2026-11-15.jsonl"
    log.parent.mkdir()
    log.write_text(f'{{"event": "started"}}\n{{"error": "{id} is odd"}}\n{{"of": "{id}2"}}\n')
    assert log in erase_files(database, home, kind, id)
    assert log.read_text() == f'{{"event": "started"}}\n{{"of": "{id}2"}}\n'
