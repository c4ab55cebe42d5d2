import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from features.pairs import object_interest as module
from features.pairs.interest import interest_before, match_crops
from features.pairs.object_interest import EDGES, refresh_interest
from sql.database import Database
from sql.tables import crops, pin_objects

DAYS = [dt.date(2026, 11, day) for day in (1, 2, 3, 4)]
READ = "SELECT date, pin_id, object_no, n_croppers, interest FROM object_interest ORDER BY 1, 2, 3"


def random_objects(rng: np.random.Generator) -> pd.DataFrame:
    """Up to three objects in each of 20 pins; every third pin has none."""
    rows = [(f"p{pin:02}", number) for pin in range(20) for number in range(pin % 3)]
    corners = np.sort(rng.uniform(0, 100, (len(rows), 2, 2)), axis=1).reshape(-1, 4)
    objects = pd.DataFrame(rows, columns=["pin_id", "object_no"]).assign(category="bag")
    return objects.assign(feature_version="v1", **dict(zip(EDGES, corners.T, strict=True)))


def random_crops(rng: np.random.Generator, objects: pd.DataFrame, n: int = 300) -> pd.DataFrame:
    """Crops by ten users, on objects and beside them, on three days and 25 pins."""
    boxes = objects.sample(n, replace=True, random_state=rng).reset_index(drop=True)
    shifts = rng.normal(0, 8, (n, 4))
    return pd.DataFrame(
        {
            "crop_id": [f"c{number:04}" for number in range(n)],
            "date": rng.choice(np.array(DAYS[:3]), n),
            "user_id": rng.choice([f"u{user}" for user in range(10)], n),
            "pin_id": np.where(rng.random(n) < 0.1, "p24", boxes["pin_id"]),
            **{edge: boxes[edge] + shifts[:, i] for i, edge in enumerate(EDGES)},
        }
    )


@pytest.fixture
def objects(database: Database) -> pd.DataFrame:
    found = random_objects(np.random.default_rng(3))
    database.replace(pin_objects, pa.Table.from_pandas(found, preserve_index=False))
    return found


@pytest.fixture
def cropped(database: Database, objects: pd.DataFrame) -> pd.DataFrame:
    found = random_crops(np.random.default_rng(4), objects)
    database.replace(crops, pa.Table.from_pandas(found, preserve_index=False))
    return found


def at_once(objects: pd.DataFrame, cropped: pd.DataFrame) -> list[tuple[object, ...]]:
    """The rows from all crops and objects in one array each."""
    pins = pd.Index(objects["pin_id"].unique())
    boxes = np.zeros((len(pins), 3, 4), dtype=np.float32)
    number = pins.get_indexer(pd.Index(objects["pin_id"]))
    boxes[number, objects["object_no"]] = objects[list(EDGES)]
    rows = cropped[cropped["pin_id"].isin(pins)]
    rows = rows.assign(pin=pins.get_indexer(pd.Index(rows["pin_id"])))
    matched = match_crops(rows[list(EDGES)].to_numpy(), rows["pin"].to_numpy(), boxes)
    found: list[tuple[object, ...]] = []
    for day in DAYS:
        all_of_it = interest_before(rows, matched, day, (len(pins), 3))
        for pin, slot in zip(*np.nonzero(all_of_it.share > 0), strict=True):
            values = int(all_of_it.croppers[pin, slot]), float(all_of_it.share[pin, slot])
            found.append((day, pins[pin], int(slot), *values))
    return found


def rows(database: Database) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in database.read(READ).to_pylist()]


@pytest.mark.parametrize("pins_at_a_time", [3, 1024])
def test_some_pins_at_a_time_give_what_all_at_once_give(
    database: Database, objects: pd.DataFrame, cropped: pd.DataFrame, pins_at_a_time: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(module, "PINS_AT_A_TIME", pins_at_a_time)
    states = refresh_interest(database, "v1", DAYS)
    assert rows(database) == at_once(objects, cropped)
    assert {row[0] for row in rows(database)} == set(DAYS[1:])
    monkeypatch.setattr(module, "PINS_AT_A_TIME", 7)
    assert refresh_interest(database, "v1", DAYS) == states


@pytest.mark.usefixtures("objects")
def test_only_days_after_a_new_crop_change(database: Database, cropped: pd.DataFrame) -> None:
    before = refresh_interest(database, "v1", DAYS)
    late = cropped.iloc[:1].assign(crop_id="new", date=DAYS[2], user_id="new")
    database.append(crops, pa.Table.from_pandas(late, preserve_index=False))
    after = refresh_interest(database, "v1", DAYS)
    assert [day for day in DAYS if before[day] != after[day]] == DAYS[3:]


def test_a_day_counts_the_objects_of_pins_cropped_before_it(
    database: Database, objects: pd.DataFrame, cropped: pd.DataFrame
) -> None:
    first = cropped.groupby("pin_id")["date"].min()
    moved = first[first.index.isin(objects["pin_id"])].sort_values().index[-1]
    before = refresh_interest(database, "v1", DAYS)
    changed = objects.assign(x2=objects["x2"] + (objects["pin_id"] == moved))
    database.replace(pin_objects, pa.Table.from_pandas(changed, preserve_index=False))
    after = refresh_interest(database, "v1", DAYS)
    assert [d for d in DAYS if before[d] != after[d]] == [d for d in DAYS if d > first[moved]]
    assert rows(database) == at_once(changed, cropped)


def test_nobody_has_cropped_anything(database: Database) -> None:
    states = refresh_interest(database, "v1", DAYS)
    assert (len(set(states.values())), rows(database)) == (1, [])
