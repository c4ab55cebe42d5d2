"""Indexes that change: new pins, pins that are gone, readers and killed runs meanwhile."""

import json
import multiprocessing
import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

from features.erasure import erase_files
from features.prune import prunable, prune
from features.search import build, generation
from features.search.build import build_index, index_status, update_index
from features.search.entries import read_entries
from features.search.generation import CURRENT, current, index_folder
from features.search.index import open_index
from features.search.mapped import MappedIndex
from sql.database import Database, open_database
from tests.features.search.indexed import VERSION, publish

FIRST = {f"p{n:02}": f"content{n:02}" for n in range(20)}
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["features.search.build"])
SECOND = {f"q{n:02}": f"other{n:02}" for n in range(12)}


@pytest.fixture
def home(database: Database, tmp_path: Path) -> Path:
    publish(database, tmp_path, {"a": FIRST})
    build_index(database, tmp_path, VERSION)
    return tmp_path


def everything(index: MappedIndex) -> dict[tuple[str, int | None], tuple]:
    """Every entry by (content, object_no): its match and its vector."""
    found = {}
    for pin in index._pins["pin_id"].to_pylist():
        image, vector = index.look_up(pin)
        n_objects = np.diff(index.entries.first_object)[index._row(pin)]
        found[image.content_hash, None] = (image, vector.tobytes(), index.same_image(pin))
        for number in range(n_objects):
            match, vector = index.look_up(pin, number)
            found[match.content_hash, number] = (match, vector.tobytes())
    return found


def test_an_update_gives_what_a_build_gives(database: Database, home: Path) -> None:
    left = dict(list(FIRST.items())[3:]) | {"p99": "content05"}  # 3 are gone, one more shows an old
    publish(database, home, {"a": left, "b": SECOND})
    updated = update_index(database, home, VERSION)
    assert (updated.added, updated.kept, updated.removed) == (12, 17, 3)
    after_update = everything(open_index(home, VERSION))
    built = build_index(database, home, VERSION)
    assert built.generation.n_pins == 30
    assert everything(open_index(home, VERSION)) == after_update
    assert open_index(home, VERSION).same_image("p99") == ("p05", "p99")


def test_an_update_reads_new_shards_alone(
    database: Database, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    whole = build.read_shard
    monkeypatch.setattr(
        build, "read_shard", lambda path, wanted: read.append(path.name) or whole(path, wanted)
    )
    publish(database, home, {"a": FIRST, "b": SECOND})
    update_index(database, home, VERSION)
    assert read == ["b.arrow"]


def test_an_update_without_news_writes_nothing(database: Database, home: Path) -> None:
    before = current(index_folder(home, VERSION))
    again = update_index(database, home, VERSION)
    assert (again.written, again.added, again.removed) == (False, 0, 0)
    assert current(index_folder(home, VERSION)) == before == again.generation


def test_all_pins_may_go(database: Database, home: Path) -> None:
    publish(database, home, {})
    update_index(database, home, VERSION)
    index = open_index(home, VERSION)
    assert (index.n_images, index.n_objects) == (0, 0)
    assert index.search_objects(np.zeros((1, 16), dtype=np.float32), 3) == [[]]
    publish(database, home, {"b": SECOND})
    assert update_index(database, home, VERSION).added == len(SECOND)


def test_a_version_without_visuals_is_said(database: Database, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"No pin has visuals.*related-pins features"):
        build_index(database, tmp_path, VERSION)


def test_the_status_counts_what_is_behind(database: Database, home: Path) -> None:
    publish(database, home, {"a": dict(list(FIRST.items())[3:]), "b": SECOND})
    found = index_status(database, home, VERSION)
    assert (found["images_to_add"], found["images_to_remove"]) == (12, 3)
    update_index(database, home, VERSION)
    found = index_status(database, home, VERSION)
    assert (found["images_to_add"], found["images_to_remove"]) == (0, 0)


def test_other_vectors_of_objects_mean_another_build(
    database: Database, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("build", "index"):
        monkeypatch.setattr(f"features.search.{module}.VECTORS", "padded")
    with pytest.raises(ValueError, match=r"holds the crops_in_context vectors.*index build"):
        open_index(home, VERSION)
    assert update_index(database, home, VERSION).added == len(FIRST)
    assert open_index(home, VERSION).n_images == len(FIRST)


# --- readers during a swap --------------------------------------------------------------------


def poll(home: Path, ready, stop, seen) -> None:
    """Searches with the index it opened first, and opens the newest again and again."""
    first = open_index(home, VERSION)
    query = first.objects[np.array([0])]
    expected = first.search_objects(query, 5)
    generations, errors = [first.generation], []
    ready.set()
    while not stop.is_set():
        try:
            assert first.search_objects(query, 5) == expected
            newest = open_index(home, VERSION)
            assert newest.search_images(newest.images[np.array([0])], 1)[0][0].cosine > 0.99
            if newest.generation != generations[-1]:
                generations.append(newest.generation)
        except Exception as error:
            errors.append(repr(error))
            break
    seen.put((generations, errors))


def test_a_reading_process_never_sees_an_error_while_generations_are_swapped(
    database: Database, home: Path
) -> None:
    ready, stop, seen = PROCESSES.Event(), PROCESSES.Event(), PROCESSES.Queue()
    reader = PROCESSES.Process(target=poll, args=(home, ready, stop, seen))
    reader.start()
    assert ready.wait(60)
    for turn in range(8):
        publish(database, home, {"a": FIRST, "b": SECOND} if turn % 2 else {"a": FIRST})
        build_index(database, home, VERSION)
    stop.set()
    generations, errors = seen.get(timeout=60)
    reader.join(60)
    assert errors == []
    assert len(generations) > 2


def test_threads_share_an_index(home: Path) -> None:
    index = open_index(home, VERSION)
    query = index.objects[np.arange(8)]
    expected = index.search_objects(query, 5)
    found: list[bool] = []

    def search() -> None:
        found.extend(index.search_objects(query, 5) == expected for _ in range(20))

    threads = [threading.Thread(target=search) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 160


# --- killed, damaged --------------------------------------------------------------------------


def build_and_die(home: Path, moment: str) -> None:
    """Builds until the moment, at which the process is killed."""

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    clear = generation.clear
    if moment == "writing":
        build.write_entries = die
    elif moment == "swapping":
        generation._write_current = die
    else:  # at the second of the calls, once the new generation is current
        calls: list[object] = []
        generation.clear = lambda folder: die() if calls else calls.append(clear(folder))
    build_index(open_database(home / "related_pins.db"), home, VERSION)


@pytest.mark.parametrize("moment", ["writing", "swapping", "clearing"])
def test_a_killed_build_leaves_a_whole_index_and_its_leftovers_go(
    database: Database, home: Path, moment: str
) -> None:
    publish(database, home, {"a": FIRST, "b": SECOND})
    folder, before = index_folder(home, VERSION), open_index(home, VERSION).generation
    killed = PROCESSES.Process(target=build_and_die, args=(home, moment))
    killed.start()
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    assert len(list(folder.iterdir())) > 2
    now = open_index(home, VERSION)
    assert (now.generation == before) == (moment != "clearing")
    assert now.n_images == (len(FIRST) if moment != "clearing" else len(FIRST) + len(SECOND))
    update_index(database, home, VERSION)
    made = current(folder)
    assert made is not None
    assert {path.name for path in folder.iterdir()} == {CURRENT, made.name}
    assert open_index(home, VERSION).n_images == len(FIRST) + len(SECOND)


def files_of(home: Path) -> list[str]:
    folder = index_folder(home, VERSION)
    found = current(folder)
    assert found is not None
    return [CURRENT, *(f"{found.name}/{name}" for name in sorted(found.files))]


def damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "foreign":
        path.write_bytes(b"PK\x03\x04" + os.urandom(len(content)))
    elif how == "changed":
        content[len(content) // 3] ^= 0xFF
        path.write_bytes(content)
    else:
        path.unlink()


@pytest.mark.parametrize("how", ["truncated", "empty", "foreign", "changed", "gone"])
def test_a_damaged_file_is_said_in_a_sentence_and_a_build_repairs_it(
    database: Database, home: Path, how: str
) -> None:
    folder = index_folder(home, VERSION)
    for number in range(len(files_of(home))):
        damage(folder / files_of(home)[number], how)
        with pytest.raises(ValueError, match="run `related-pins index build`") as said:
            open_index(home, VERSION)
        assert "\n" not in str(said.value)
        build_index(database, home, VERSION)
        assert open_index(home, VERSION).n_images == len(FIRST)


@pytest.mark.parametrize(
    "text",
    ['{"format": "related-pins index 1"}', "[]", "null", '{"format": 2}',
     '{"format": "related-pins index 1", "files": [], "name": 3}'],
)  # fmt: skip
def test_a_foreign_description_is_said(home: Path, text: str) -> None:
    (index_folder(home, VERSION) / CURRENT).write_text(text)
    with pytest.raises(ValueError, match="damaged"):
        open_index(home, VERSION)


def test_a_description_cannot_name_files_elsewhere(home: Path) -> None:
    path = index_folder(home, VERSION) / CURRENT
    said = json.loads(path.read_text())
    path.write_text(json.dumps(said | {"name": "../../" + said["name"]}))
    assert current(path.parent).name == said["name"]


# --- erased and pruned ------------------------------------------------------------------------


def told_anywhere(folder: Path, word: str) -> list[str]:
    return [str(path) for path in folder.rglob("*")
            if word in path.name or (path.is_file() and word.encode() in path.read_bytes())
    ]  # fmt: skip


def test_no_file_of_any_index_holds_a_pin_that_was_erased(database: Database, home: Path) -> None:
    shared = {"p90": "content07", "p91": "alone"}
    for version in (VERSION, "v2"):
        publish(database, home, {"a": FIRST, "c": shared}, version)
        build_index(database, home, version)
    vector = open_index(home, VERSION).look_up("p91")[1]
    leftover = index_folder(home, "v2") / "20261115T000000000000Z"
    leftover.mkdir()
    (leftover / "images.arrow").write_text("p91 alone")
    assert told_anywhere(home / "index", "p91")
    erased = erase_files(database, home, "pin", "p91")
    assert {home / "index" / VERSION, home / "index" / "v2"} <= set(erased)
    assert told_anywhere(home / "index", "p91") == told_anywhere(home / "index", "alone") == []
    raw = vector.astype(np.float16).tobytes()
    assert not any(raw in p.read_bytes() for p in (home / "index").rglob("*") if p.is_file())
    assert open_index(home, VERSION).n_images == len(FIRST)
    assert erase_files(database, home, "pin", "p91") == []


def test_the_image_of_another_pin_stays(database: Database, home: Path) -> None:
    publish(database, home, {"a": FIRST, "c": {"p90": "content07"}})
    update_index(database, home, VERSION)
    erase_files(database, home, "pin", "p07")
    index = open_index(home, VERSION)
    assert index.same_image("p90") == ("p90",)
    assert told_anywhere(home / "index", "p07") == []


def test_an_index_that_cannot_be_read_does_not_keep_an_erased_pin(
    database: Database, home: Path
) -> None:
    name = next(name for name in files_of(home) if name.endswith("objects.faiss"))
    damage(index_folder(home, VERSION) / name, "truncated")
    erase_files(database, home, "pin", "p07")
    assert not index_folder(home, VERSION).exists()


def test_the_index_of_a_pruned_version_goes(database: Database, home: Path) -> None:
    publish(database, home, {"a": FIRST}, "v2")
    build_index(database, home, "v2")
    (old,) = prunable(database, home, ["v2"])
    shards = sum(path.stat().st_size for path in old.shards)
    indexed = sum(path.stat().st_size for path in old.index.rglob("*") if path.is_file())
    assert old.n_bytes == shards + indexed
    prune(database, old)
    assert [path.name for path in (home / "index").iterdir()] == ["v2"]


def test_mapped_entries_are_views(home: Path) -> None:
    folder = index_folder(home, VERSION)
    found = current(folder)
    entries, _ = read_entries(folder / found.name)
    assert not entries.boxes.flags.owndata
    assert not entries.boxes.flags.writeable
