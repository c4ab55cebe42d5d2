from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

import features.daily
from features.pairs import store as pair_store
from features.pairs.shards import KEYS, MadePairs, PairWork
from features.pairs.store import PairStore
from sql.database import Database, open_database
from tests.features.pairs.pair_world import DAYS, VERSION, World, filled


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_store, "PAIRS_AT_A_TIME", 7)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[PairWork]:
    """The work that was done, as it is done."""
    works = list[PairWork]()

    def write(work: PairWork) -> MadePairs:
        works.append(work)
        return real(work)

    real = features.daily.write_pairs
    monkeypatch.setattr(features.daily, "write_pairs", write)
    return works


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    return filled(database, tmp_path)


def change(world: World, rng: np.random.Generator) -> None:
    """Anything that a day may bring: pairs, images, pins and crops that come, change and go."""
    for pin in rng.choice(sorted(world.pins), rng.integers(0, 3), replace=False):
        world.pins[str(pin)] = int(rng.integers(0, 60))
    if rng.random() < 0.3:
        world.pins.pop(str(rng.choice(sorted(world.pins))))
    if rng.random() < 0.3:
        world.pins[f"p{rng.integers(0, 14):02d}"] = int(rng.integers(0, 60))
    for _ in range(rng.integers(0, 6)):
        world.pairs ^= {(f"p{rng.integers(0, 8):02d}", f"p{rng.integers(0, 14):02d}")}
    if rng.random() < 0.5:
        pin, day = f"p{rng.integers(0, 8):02d}", DAYS[rng.integers(0, 3)]
        world.crops ^= {(f"u{rng.integers(0, 3)}", pin, int(rng.integers(0, 3)), day)}


def walk(database: Database, folder: Path, steps: int, seed: int) -> None:
    """Random changes; after each, the rows are those of a database that saw only the last state."""
    rng, world = np.random.default_rng(seed), filled(database, folder / "home")
    for step in range(steps):
        days = DAYS[: 1 + min(step, 2)] if rng.random() < 0.8 else DAYS[:1]
        world.refresh(days)
        anew = open_database(folder / f"anew{step}.db")
        anew.upgrade()
        fresh = replace(world, database=anew, home=folder / f"anew{step}")
        fresh.refresh(days)
        expected, found = fresh.rows(), world.rows()
        for query in expected:
            rows = [row for row in found[query] if row.get("date", days[0]) in days]
            if "manifest" in query:
                rows = [row for row in rows if row["piece"][-10:] <= str(days[-1]) or
                        row["step"] == "pair_features"]  # fmt: skip
            assert rows == expected[query], (step, query)
        change(world, rng)


def test_any_changes_give_the_rows_that_a_full_computation_gives(
    database: Database, tmp_path: Path
) -> None:
    walk(database, tmp_path, steps=8, seed=20261115)


def test_nothing_changed_nothing_is_made(world: World, made: list[PairWork]) -> None:
    assert world.refresh().pairs == len(world.pairs)
    before, made[:] = world.rows(), []
    assert world.refresh() == pair_store.PairSummary(0, 0)
    assert made == []
    assert world.rows() == before


def test_only_changed_pairs_are_made_again(world: World, made: list[PairWork]) -> None:
    world.refresh()
    made.clear()
    world.pairs |= {("p00", "p09"), ("p05", "p00")}
    world.pairs -= {("p00", "p01")}
    world.pins["p10"] = 50  # another image
    changed = {pair for pair in world.pairs if "p10" in pair} | {("p00", "p09"), ("p05", "p00")}
    assert world.refresh().pairs == len(changed) < len(world.pairs) / 2
    assert pairs_of(made) == changed
    assert all(list(work.usual) == DAYS for work in made)


def test_a_new_day_is_made_alone(world: World, made: list[PairWork]) -> None:
    world.refresh(DAYS[:2])
    made.clear()
    assert world.refresh().pairs == 0
    assert pairs_of(made) == world.pairs
    assert all(list(work.usual) == DAYS[2:] for work in made)
    assert not any(work.with_features for work in made)


def test_a_day_made_by_itself_is_bit_by_bit_what_it_is_among_others(
    world: World, tmp_path: Path
) -> None:
    rng = np.random.default_rng(3)
    world.crops |= {(f"u{n}", f"p{rng.integers(12):02d}", int(rng.integers(7)), DAYS[n % 2])
                    for n in range(60)}  # fmt: skip
    for n_days in (1, 2, 3):
        world.refresh(DAYS[:n_days])
    anew = open_database(tmp_path / "anew.db")
    anew.upgrade()
    at_once = replace(world, database=anew, home=tmp_path / "anew")
    at_once.refresh()
    assert at_once.rows() == world.rows()


def test_a_late_crop_makes_the_days_after_it_anew(world: World, made: list[PairWork]) -> None:
    world.refresh()
    made.clear()
    world.crops |= {("u3", "p04", 0, DAYS[0])}
    world.refresh()
    assert pairs_of(made) == world.pairs
    assert all(list(work.usual) == DAYS[1:] for work in made)


def test_a_pin_that_is_cropped_from_today_leaves_the_days_before(
    world: World, made: list[PairWork]
) -> None:
    world.refresh(DAYS[:2])
    made.clear()
    world.pins["p90"] = 33
    world.pairs |= {("p90", "p01")}
    world.crops |= {("u3", "p90", 0, DAYS[1])}
    world.refresh()
    old = [work for work in made if DAYS[0] in work.usual]
    assert pairs_of(old) == {("p90", "p01")}


def test_a_killed_refresh_shows_nothing_and_goes_on_where_it_was(
    world: World, made: list[PairWork], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.refresh()
    before = world.rows()
    world.pins |= {pin: seed + 20 for pin, seed in world.pins.items()}
    made.clear()
    spy = features.daily.write_pairs

    def killed(work: PairWork) -> MadePairs:
        if len(made) == 3:
            raise KeyboardInterrupt
        return spy(work)

    with monkeypatch.context() as patch:
        patch.setattr(features.daily, "write_pairs", killed)
        with pytest.raises(KeyboardInterrupt):
            world.refresh()
    rows = world.rows()
    assert [rows[query] for query in rows if "manifest" not in query] == [
        before[query] for query in before if "manifest" not in query
    ]
    first = {work.name for work in made}
    assert world.refresh().pairs == len(world.pairs)
    names = [work.name for work in made]
    assert len(names) == len(set(names)) == -(-len(world.pairs) // 7)
    assert first < set(names)
    assert not list((world.home / "pairs").rglob("*.parquet"))


def test_shards_that_nobody_wants_any_more_go(world: World) -> None:
    world.refresh()
    left = world.home / "pairs" / "v1" / "pair_features-0.parquet"
    left.parent.mkdir()
    left.write_bytes(b"of a killed process")
    world.refresh()
    assert not left.exists()


def pairs_of(works: list[PairWork]) -> set[tuple[str, str]]:
    """The pairs in the works, each of which is there once."""
    tables = [work.pairs.select(KEYS).to_pylist() for work in works]
    rows = [(row["query_pin_id"], row["candidate_pin_id"]) for table in tables for row in table]
    assert len(rows) == len(set(rows))
    return set(rows)


def test_days_that_are_not_asked_for_are_made_when_they_are(world: World) -> None:
    """A run for an earlier day changes pairs; the run of the later day brings that up to date."""
    world.refresh()
    world.pins["p02"] = 41
    world.refresh(DAYS[:1])
    world.refresh()
    fresh = open_database(world.home / "fresh.db")
    fresh.upgrade()
    anew = replace(world, database=fresh, home=world.home / "anew")
    anew.refresh()
    assert anew.rows() == world.rows()


def test_pairs_are_found_by_their_pins_and_never_pin_by_pin(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time to find them grows with the pairs, not with pins times pins."""
    world.pins = {f"p{n:03d}": n for n in range(300)}
    world.pairs = {(f"p{n:03d}", f"p{n + 1:03d}") for n in range(299)}
    world.write()
    joins = list[str]()
    render = Database._render

    def noted(database: Database, query: str | sa.Select[Any], params: dict[str, object]) -> str:
        text = render(database, query, params)
        joins.extend([text] if "CROSS JOIN" in text else [])
        return text

    monkeypatch.setattr(Database, "_render", noted)
    store = PairStore(world.database, world.home, VERSION)
    assert list(store.works(store.todo(store.wanted(), {})))
    assert len(joins) > 2
    for query in joins:
        with world.database._cursor(write=False) as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {query}")
            steps = [detail for *_, detail in cursor.fetchall() if "SEARCH" in detail]
        assert all("pin_id=?" in step or step.startswith("SEARCH c ") for step in steps)
