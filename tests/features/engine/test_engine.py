"""Many workers give the bytes of one, and survive each other's deaths."""

import datetime as dt
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import ray
import torch
from PIL import Image as pil

from experiments.world.sample import write_sample
from features.daily import refresh_pairs, refresh_true_visuals, refresh_visuals
from features.embedding.embedding import Embedder
from features.engine import named
from features.engine.engine import Engine, Loop, WorkerLost
from features.engine.named import named_engine
from features.engine.processes import Processes
from features.engine.ray_data import STORE_BYTES, CpuTasks, RayData
from features.pairs import store as pair_store
from features.visuals import store as store_module
from features.visuals.describing import Files, ShardMaker, describe_files
from features.visuals.store import VisualStore
from sql.database import Database, open_database
from sql.ingest import ingest
from tests.conftest import ROOT
from tests.features.engine.engine_work import Deadly, Describe, double, gpus_and_decoding
from tests.home_state import State, differences, state
from tests.quick_visuals import quick_extractor

VERSION = "v1"
DAY = dt.date(2026, 11, 15)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Twenty pins, in shards of three images: two share one image, one has none."""
    monkeypatch.setattr(store_module, "SHARD", 3)
    rng, files = np.random.default_rng(0), {}
    for number in range(20):
        path = files[f"pin{number}"] = tmp_path / "photos" / f"pin{number}.png"
        path.parent.mkdir(exist_ok=True)
        pil.fromarray(rng.integers(0, 256, (12 + number, 16, 3), dtype=np.uint8)).save(path)
    files["pin1"].write_bytes(files["pin0"].read_bytes())
    files["pin2"].write_bytes(files["pin2"].read_bytes()[:60])
    return files


def new_database(folder: Path) -> Database:
    database = open_database(folder / "related_pins.db")
    database.upgrade()
    return database


def described(photos: dict[str, Path], home: Path, engine: Engine, make: Describe) -> State:
    """What a refresh by the engine leaves in a home, new or not."""
    make.folder.mkdir(exist_ok=True)
    database = new_database(home)
    summary = VisualStore(database, home, VERSION).refresh(photos, make, engine=engine)
    assert set(summary.unreadable) == {"pin2"}
    return state(database, home)


@pytest.fixture(scope="module")
def on_ray() -> Iterator[RayData]:
    yield RayData(2)
    ray.shutdown()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated sample, with true boxes and some damaged images."""
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, pins=100, requests=100, users=40, crops=60)
    return folder


def all_features(source: Path, home: Path, engine: Engine) -> State:
    """What the feature steps of a day leave in a new home."""
    database, extractor = new_database(home), quick_extractor()
    ingest(database, source, DAY)
    visuals = refresh_visuals(database, source, home, extractor, DAY, engine=engine)
    true = refresh_true_visuals(database, source, home, extractor, engine=engine)
    assert visuals.unreadable
    assert true is not None
    for version in (extractor.feature_version, true):
        days = [DAY - dt.timedelta(days=1), DAY]
        assert refresh_pairs(database, home, version, days, engine=engine).pairs > 0
    return state(database, home)


def test_processes_give_what_the_loop_gives(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "SHARD", 30)
    monkeypatch.setattr(pair_store, "PAIRS_AT_A_TIME", 300)
    alone = all_features(source, tmp_path / "a", Loop())
    many = all_features(source, tmp_path / "b", Processes(2))
    assert not list(differences(many, alone))
    assert len(alone.files) > 5


def test_ray_gives_what_the_loop_gives(
    photos: dict[str, Path], tmp_path: Path, on_ray: RayData
) -> None:
    alone = described(photos, tmp_path / "a", Loop(), Describe(tmp_path / "calls a"))
    killed = Describe(tmp_path / "calls b", 0.05, last=3)
    assert described(photos, tmp_path / "b", on_ray, killed) == alone
    files = [path for pin, path in photos.items() if pin != "pin2"]
    names, extract = [str(path) for path in files], quick_extractor().extract
    by_threads = describe_files(files, names, extract, {}, None)
    by_tasks = describe_files(files, names, extract, {}, None, CpuTasks())
    for one, other in zip(by_threads, by_tasks, strict=True):
        np.testing.assert_array_equal(one.crops, other.crops)
    assert list(on_ray.run(double, [])) == []
    with pytest.raises(ValueError, match=r"^13 cannot be doubled\.$"):
        list(on_ray.run(double, [13]))


def test_workers_share_the_gpus_that_ray_knows_of(photos: dict[str, Path], tmp_path: Path) -> None:
    """Ray is told of two GPUs; torch finds none, and the layers run on the CPU."""
    alone = described(photos, tmp_path / "a", Loop(), Describe(tmp_path / "calls a"))
    ray.shutdown()
    ray.init(address="local", num_cpus=2, num_gpus=2, include_dashboard=False,
             log_to_driver=False, object_store_memory=STORE_BYTES)  # fmt: skip
    try:
        shared = list(RayData(4).run(gpus_and_decoding, range(8), gpu=True))
        assert (
            described(photos, tmp_path / "b", RayData(4), Describe(tmp_path / "b calls")) == alone
        )
    finally:
        ray.shutdown()
    assert {len(gpus) for gpus, _ in shared} == {1}
    assert all(elsewhere for _, elsewhere in shared)


def test_a_piece_that_kills_its_worker_again_and_again_ends_the_run(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / str(number)).touch()
    with pytest.raises(WorkerLost, match="fewer --workers"):
        list(Processes(2).run(Deadly(tmp_path), [5, 5]))
    assert len(list(tmp_path.iterdir())) <= 6


def test_what_a_killed_worker_had_begun_is_done_by_another(tmp_path: Path) -> None:
    (tmp_path / "life").touch()
    assert sorted(Processes(2).run(Deadly(tmp_path), range(8))) == list(range(0, 16, 2))


def test_an_error_of_the_work_is_raised_as_it_is() -> None:
    with pytest.raises(ValueError, match=r"^13 cannot be doubled\.$"):
        list(Processes(2).run(double, [1, 13, 2]))


JOB = """
import sys
from pathlib import Path
from features.visuals import store
from features.engine.processes import Processes
from tests.features.engine.engine_work import Describe
from tests.features.engine.test_engine import new_database

if __name__ == "__main__":
    store.SHARD = 3
    home, calls = Path(sys.argv[1]), Path(sys.argv[2])
    photos = {path.stem: path for path in map(Path, sys.argv[3:])}
    visuals = store.VisualStore(new_database(home), home, "v1")
    visuals.refresh(photos, Describe(calls, 0.4), engine=Processes(2))
"""


def test_a_killed_job_takes_its_workers_along_and_its_shards_are_not_made_again(
    photos: dict[str, Path], tmp_path: Path
) -> None:
    home, calls = tmp_path / "home", tmp_path / "calls"
    calls.mkdir()
    (tmp_path / "job.py").write_text(JOB)
    words = [tmp_path / "job.py", home, calls, *photos.values()]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    job = subprocess.Popen([sys.executable, *map(str, words)], env=environment)
    database = new_database(home)
    until(lambda: len(finished(database)) >= 2)
    job.kill()
    job.wait()
    workers = {int(path.name.split("-")[1]) for path in calls.iterdir()}
    until(lambda: not any(alive(worker) for worker in workers))
    before = {path: (home / path).stat().st_mtime_ns for path in finished(database)}
    assert 2 <= len(before) < 7
    again = described(photos, home, Loop(), Describe(calls))
    assert {path: (home / path).stat().st_mtime_ns for path in before} == before
    made = [path for path in calls.iterdir() if f"-{os.getpid()}-" in path.name]
    assert len(made) == 7 - len(before)
    assert set(again.files) >= set(before)


def finished(database: Database) -> list[str]:
    rows = database.read("SELECT path FROM manifest WHERE step = 'visuals'")
    return rows["path"].to_pylist()


def alive(process: int) -> bool:
    """Whether it runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(holds: object, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.05)


def test_bytes_do_not_depend_on_threads_or_on_the_way_to_a_worker(tmp_path: Path) -> None:
    from features.detector.detector import load_detector
    from features.visuals.visuals import VisualExtractor

    rng = np.random.default_rng(1)
    files = {}
    for number, size in enumerate([(300, 200), (300, 200), (240, 320), (500, 180)]):
        files[str(number)] = tmp_path / f"{number}.png"
        pil.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(files[str(number)])
    extractor = VisualExtractor(load_detector(), Embedder())
    sent = pickle.loads(pickle.dumps(extractor))
    assert sent.feature_version == extractor.feature_version
    written, threads = set(), torch.get_num_threads()
    try:
        for made_by, n_threads in ((extractor, 1), (extractor, 2), (sent, 1)):
            torch.set_num_threads(n_threads)
            home = tmp_path / str(len(list(tmp_path.iterdir())))
            shard = ShardMaker(made_by.extract, home, VERSION)(Files(files))
            written.add((home / str(shard.path)).read_bytes())
    finally:
        torch.set_num_threads(threads)
    assert len(written) == 1


def test_without_ray_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'related-pins\[ray\]'"):
        named_engine("ray", None)


def test_engines_go_by_name() -> None:
    assert isinstance(named_engine("local", None), Loop)
    assert isinstance(named_engine("local", 1), Loop)
    assert isinstance(named_engine("local", 3), Processes)
    assert isinstance(named_engine("ray", None), RayData)
