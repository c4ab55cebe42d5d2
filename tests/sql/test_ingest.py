import json
import shutil
import tempfile
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from hypothesis import given, settings

from sql.contract import INPUTS
from sql.database import Database, open_database
from sql.ingest import IngestSummary, ingest
from sql.tables import METADATA
from tests.sql.example import DAY, FILES, fill
from tests.sql.logs import END, Log, logs, write_log

NAMES = [*INPUTS, "true_boxes"]
LOG_DAY = date(END.year, END.month, END.day - 1)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def contents(database: Database) -> dict[str, list[dict[str, object]]]:
    return {name: database.read(_in_order(name)).to_pylist() for name in [*NAMES, "quarantine"]}


def _in_order(name: str) -> sa.Select[Any]:
    table = METADATA.tables[name]
    return sa.select(table).order_by(*table.primary_key.columns)


def assert_nothing_is_lost(database: Database, summary: IngestSummary) -> None:
    found = contents(database)
    aside = Counter(f"{r['source_table']}: {r['reason']}" for r in found["quarantine"])
    assert aside == summary.set_aside
    for name in NAMES:
        lost = sum(n for what, n in aside.items() if what.startswith(f"{name}: "))
        assert summary.read[name] == summary.written[name] + lost + summary.not_yet[name]
        assert summary.written[name] == len(found[name])


def test_every_row_is_written_or_set_aside_or_not_yet_there(
    database: Database, tmp_path: Path
) -> None:
    summary = fill(database, tmp_path)
    assert_nothing_is_lost(database, summary)
    assert summary.read["engagements"] == 14
    assert summary.not_yet == {
        "pins": 1, "requests": 1, "impressions": 1, "engagements": 1, "candidates": 1, "crops": 0,
        "true_boxes": 0,
    }  # fmt: skip
    assert not summary.unchanged


@settings(max_examples=8, deadline=None)
@given(logs)
def test_any_log_is_accounted_for_and_ingested_once(log: Log) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(Path(folder) / "db")
        database.upgrade()
        write_log(log, Path(folder))
        first = ingest(database, Path(folder), LOG_DAY)
        assert_nothing_is_lost(database, first)
        before = contents(database)
        again = ingest(database, Path(folder), LOG_DAY)
        assert again.unchanged
        assert (again.read, again.written, again.set_aside, again.not_yet) == (
            first.read, first.written, first.set_aside, first.not_yet,
        )  # fmt: skip
        assert contents(database) == before


def test_a_second_ingest_touches_no_file(database: Database, source: Path) -> None:
    ingest(database, source, DAY)
    path = Path(database.engine.url.database or "")
    before = path.read_bytes()
    summary = ingest(database, source, DAY)
    assert summary.unchanged
    assert set(summary.replaced.values()) == {0}
    assert path.read_bytes() == before


def test_only_changed_days_are_written(database: Database, source: Path) -> None:
    first = ingest(database, source, DAY)
    assert first.replaced == first.written
    requests = source / "requests.csv"
    requests.write_text(requests.read_text().replace("r3,u1,q2", "r3,u9,q2"))
    summary = ingest(database, source, DAY)
    assert summary.replaced == dict.fromkeys(NAMES, 0) | {"requests": 2}
    found = database.read("SELECT user_id FROM requests WHERE request_id = 'r3'")
    assert found["user_id"].to_pylist() == ["u9"]


def test_the_next_day_adds_and_the_day_before_takes_away(database: Database, source: Path) -> None:
    ingest(database, source, DAY)
    before = contents(database)
    later = ingest(database, source, date(2026, 11, 4))
    assert_nothing_is_lost(database, later)
    assert later.replaced["requests"] == 1
    assert later.not_yet["requests"] == 0
    back = ingest(database, source, DAY)
    assert back.replaced["requests"] == 0
    assert contents(database) == before


def test_a_day_by_day_history_is_the_whole(
    database: Database, source: Path, tmp_path: Path
) -> None:
    for day in (2, 3, 4):
        ingest(database, source, date(2026, 11, day))
    at_once = open_database(tmp_path / "at_once.db")
    at_once.upgrade()
    ingest(at_once, source, date(2026, 11, 4))
    ours, theirs = contents(database), contents(at_once)
    for row in [*ours["quarantine"], *theirs["quarantine"]]:
        del row["date"]
    assert ours == theirs


def test_a_row_keeps_the_date_on_which_it_was_set_aside(database: Database, source: Path) -> None:
    ingest(database, source, DAY)
    ingest(database, source, date(2026, 11, 5))
    query = "SELECT row_key, date FROM quarantine WHERE source_table = 'requests'"
    assert database.read(query).to_pylist() == [{"row_key": "r5", "date": DAY}]


def test_a_pin_gone_from_the_source_is_gone(database: Database, source: Path) -> None:
    ingest(database, source, DAY)
    pins = source / "pins.csv"
    pins.write_text("".join(line for line in pins.open() if not line.startswith("p3,")))
    summary = ingest(database, source, DAY)
    assert "p3" not in database.read("SELECT pin_id FROM pins")["pin_id"].to_pylist()
    assert summary.set_aside["candidates: orphan"] == 2
    assert_nothing_is_lost(database, summary)


def test_a_day_gone_from_the_source_stays(database: Database, source: Path) -> None:
    ingest(database, source, DAY)
    for name in ("requests", "impressions", "engagements", "crops"):
        text = (source / f"{name}.csv").read_text().splitlines(keepends=True)
        old = ("r1,", "r2,", "c")
        kept = [line for n, line in enumerate(text) if n == 0 or not line.startswith(old)]
        (source / f"{name}.csv").write_text("".join(kept))
    ingest(database, source, DAY)
    days = database.read("SELECT date, count(*) AS n FROM requests GROUP BY 1 ORDER BY 1")
    assert days["n"].to_pylist() == [2, 2]


def test_parquet_and_csv_say_the_same(database: Database, source: Path, tmp_path: Path) -> None:
    ingest(database, source, DAY)
    other, folder = open_database(tmp_path / "parquet.db"), tmp_path / "parquet"
    folder.mkdir()
    other.upgrade()
    for name, contract in INPUTS.items():
        table = pyarrow.csv.read_csv(
            source / f"{name}.csv",
            convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True),
        )
        pq.write_table(table.select(contract.columns[::-1]), folder / f"{name}.parquet")
    ingest(other, folder, DAY)
    ours, theirs = contents(database), contents(other)
    for row in [*ours["quarantine"], *theirs["quarantine"]]:
        del row["row_json"]
    assert ours == theirs


def test_quarantine_holds_the_row_as_it_came(database: Database, source: Path) -> None:
    ingest(database, source, DAY)
    query = "SELECT row_json FROM quarantine WHERE reason = 'bad_engaged_at'"
    (found,) = database.read(query)["row_json"].to_pylist()
    assert json.loads(found) == {
        "request_id": "r1",
        "candidate_pin_id": "p2",
        "action": "closeup",
        "engaged_at": "yesterday",
    }


def test_a_csv_line_with_too_many_fields_is_set_aside(database: Database, source: Path) -> None:
    with (source / "candidates.csv").open("a") as stream:
        stream.write("q1,p1,board,more\n")
    summary = ingest(database, source, DAY)
    assert summary.set_aside["candidates: bad_line"] == 1
    assert_nothing_is_lost(database, summary)


def coco(*annotations: dict[str, object]) -> str:
    return json.dumps(
        {
            "images": [{"id": 1, "file_name": "photos/q1.jpg"}, {"id": 2, "file_name": "no.jpg"}],
            "categories": [{"id": 7, "name": "bag"}],
            "annotations": list(annotations),
        }
    )


def test_true_boxes_come_from_coco_files(database: Database, source: Path) -> None:
    box = {"image_id": 1, "category_id": 7, "bbox": [10, 20, 30, 40]}
    (source / "boxes_a.json").write_text(
        coco(
            box | {"id": 1},
            box | {"id": 2, "bbox": [1, 2, 3, 0]},
            box | {"id": 3, "image_id": 2},
            box | {"id": 4, "category_id": 9},
            box | {"id": 5, "bbox": [0.5, 2, 3, 4]},
        )
    )
    (source / "boxes_b.json").write_text(coco(box | {"id": 1}))
    summary = ingest(database, source, DAY)
    assert database.read("SELECT * FROM true_boxes ORDER BY box_no").to_pylist() == [
        {"pin_id": "q1", "box_no": 0, "category": "bag", "x1": 10, "y1": 20, "x2": 40, "y2": 60},
        {"pin_id": "q1", "box_no": 1, "category": "bag", "x1": 0.5, "y1": 2, "x2": 3.5, "y2": 6},
    ]
    assert {k: v for k, v in summary.set_aside.items() if k.startswith("true_boxes")} == {
        "true_boxes: bad_box": 1,
        "true_boxes: bad_category": 1,
        "true_boxes: orphan": 1,
        "true_boxes: repeated": 1,
    }
    assert_nothing_is_lost(database, summary)


def test_progress_reaches_the_end(database: Database, source: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    ingest(database, source, DAY, lambda *call: calls.append(call))
    done = [call[1] for call in calls]
    assert done == sorted(done)
    assert calls[-1][1] == calls[-1][2]


@pytest.mark.parametrize(
    ("file", "content", "error", "words"),
    [
        ("crops.csv", None, FileNotFoundError, "holds no crops.parquet or crops.csv"),
        ("crops.csv", "crop_id,user_id\n", ValueError, "must have one column pin_id"),
        ("crops.csv", "", ValueError, "must have one column crop_id"),
        ("candidates.csv", b"query_pin_id,candidate_pin_id,source\n\xff\xfe,p1,b\n", ValueError,
         "not a readable CSV"),
        ("boxes.json", "{", ValueError, "not a COCO file"),
        ("boxes.json", '{"images": []}', ValueError, "not a COCO file"),
        ("crops.parquet", "PAR1 nonsense", ValueError, "holds both crops.parquet and crops.csv"),
    ],
)  # fmt: skip
def test_a_broken_source_stops_before_anything_is_written(
    database: Database,
    source: Path,
    file: str,
    content: str | bytes | None,
    error: type[Exception],
    words: str,
) -> None:
    path = source / file
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(error, match=words):
        ingest(database, source, DAY)
    assert all(rows == [] for rows in contents(database).values())


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("position", pa.array(["first"]), "position holds string, but must hold whole numbers"),
        ("propensity", pa.array([True]), "propensity holds bool, but must hold numbers"),
        ("request_id", pa.array([1.5]), "request_id holds double, but must hold text"),
    ],
)
def test_a_parquet_column_of_another_type_stops(
    database: Database, source: Path, column: str, values: pa.Array, words: str
) -> None:
    (source / "impressions.csv").unlink()
    columns = {
        "request_id": ["r1"],
        "candidate_pin_id": ["p1"],
        "position": [1],
        "propensity": [0.1],
    }
    pq.write_table(pa.table(columns | {column: values}), source / "impressions.parquet")
    with pytest.raises(ValueError, match=words):
        ingest(database, source, DAY)


def test_a_damaged_parquet_file_stops(database: Database, source: Path) -> None:
    (source / "impressions.csv").unlink()
    (source / "impressions.parquet").write_bytes(b"PAR1" + b"\0" * 100)
    with pytest.raises(ValueError, match="not a readable Parquet file"):
        ingest(database, source, DAY)


def test_times_of_text_that_are_no_times_stop(database: Database, source: Path) -> None:
    (source / "crops.csv").unlink()
    row = {"crop_id": ["c"], "user_id": ["u"], "pin_id": ["q1"], "cropped_at": ["noon"]}
    box = {"x1": [0.0], "y1": [0.0], "x2": [1.0], "y2": [1.0]}
    pq.write_table(pa.table(row | box), source / "crops.parquet")
    with pytest.raises(ValueError, match="cropped_at holds string, but must hold times"):
        ingest(database, source, DAY)


def test_a_missing_folder_is_named(database: Database, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        ingest(database, tmp_path / "none", DAY)


def test_an_ingest_that_was_stopped_is_done_again(
    database: Database, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Database.replace

    def stop(self: Database, table: object, rows: pa.Table, **where: object) -> int:
        if getattr(table, "name", "") == "engagements":
            raise KeyboardInterrupt
        return whole(self, table, rows, **where)  # type: ignore[arg-type]

    monkeypatch.setattr(Database, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        ingest(database, source, DAY)
    monkeypatch.undo()
    summary = ingest(database, source, DAY)
    assert summary.replaced["impressions"] == 0
    assert summary.replaced["engagements"] == 7
    assert_nothing_is_lost(database, summary)


def test_real_logs(database: Database, shared_data: Path, tmp_path: Path) -> None:
    """Crops, candidates and pins of the real input, and its smaller files at full size."""
    real, folder = shared_data / "fashion", tmp_path / "real"
    folder.mkdir()
    for name in ("pins", "candidates", "crops"):
        shutil.copy(real / f"{name}.parquet", folder)
    for name in ("requests", "impressions", "engagements"):
        table = pq.read_table(real / f"{name}.parquet")
        pq.write_table(table.slice(0, 20_000), folder / f"{name}.parquet")
    shutil.copy(real / "boxes_val.json", folder)
    summary = ingest(database, folder, date(2026, 11, 9))
    assert summary.read["true_boxes"] == 1097
    assert not any(what.startswith("true_boxes") for what in summary.set_aside)
    for name in NAMES:
        lost = sum(n for what, n in summary.set_aside.items() if what.startswith(f"{name}: "))
        assert summary.read[name] == summary.written[name] + lost + summary.not_yet[name]
    newest = database.read("SELECT max(requested_at) AS requested_at FROM requests")
    assert newest["requested_at"].to_pylist()[0].date() <= date(2026, 11, 9)
