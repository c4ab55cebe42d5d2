"""The same index in Milvus Lite: it answers as the files do."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from features.erasure import erase_files
from features.search import milvus
from features.search.build import build_index, drop_index, index_status, update_index
from features.search.generation import current, index_folder
from features.search.index import ObjectIndex, open_index
from features.search.milvus import reached
from features.search.results import Match
from sql.database import Database
from tests.features.search.indexed import VERSION, publish, visuals

pytest.importorskip("milvus_lite", reason="pymilvus[milvus-lite] is not installed")
FIRST = {f"p{n:02}": f"content{n // 2:02}" for n in range(40)}  # two pins show each image
SECOND = {f"q{n:02}": f"other{n:02}" for n in range(12)}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = f"milvus://{tmp_path_factory.mktemp('milvus') / 'index.db'}"
    yield server
    with reached(server) as client:
        client.close()
    milvus._client.cache_clear()


@pytest.fixture
def home(database: Database, tmp_path: Path, server: str) -> Path:
    publish(database, tmp_path, {"a": FIRST})
    build_index(database, tmp_path, VERSION, server=server)
    return tmp_path


def by_files(database: Database, home: Path) -> ObjectIndex:
    """The same pins indexed in files, in another home."""
    other = home / "other"
    other.mkdir()
    (other / "visuals").symlink_to(home / "visuals")
    build_index(database, other, VERSION)
    return open_index(other, VERSION)


def plain(matches: list[Match]) -> list[tuple]:
    return [
        (m.pin_id, m.content_hash, m.object_no, m.category, pytest.approx(m.score),
         m.box and pytest.approx(m.box), m.colour and pytest.approx(m.colour),
         pytest.approx(m.cosine, abs=1e-3))
        for m in matches
    ]  # fmt: skip


def same(a: ObjectIndex, b: ObjectIndex) -> bool:
    """Whether the two answer alike; b's vectors are rounded to float16 as the shards' are."""
    rng = np.random.default_rng(3)
    asked = rng.normal(size=(4, 16)).astype(np.float32)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    assert (a.n_objects, a.n_images) == (b.n_objects, b.n_images)
    pairs = [(a.search_images(asked, 9), b.search_images(asked, 9))]
    for categories in (None, ["hat"], ["bag", "belt"], ["sofa"], []):
        pairs.append(tuple(i.search_objects(asked, 9, categories) for i in (a, b)))
    for mine, others in pairs:
        for one, other in zip(mine, others, strict=True):
            assert [tuple(row) for row in plain(one)] == [
                (m.pin_id, m.content_hash, m.object_no, m.category, m.score, m.box, m.colour,
                 m.cosine) for m in other
            ]  # fmt: skip
    return True


def test_a_server_answers_as_files_do(database: Database, home: Path) -> None:
    index, files = open_index(home, VERSION), by_files(database, home)
    assert same(index, files)
    assert set(index.categories) == set(files.categories)
    assert index.same_image("p03") == files.same_image("p03") == ("p02", "p03")
    for number in (None, 0):
        pin = next(p for p, c in FIRST.items() if len(visuals([c])[c].scores))
        (match, vector), (other, other_vector) = (i.look_up(pin, number) for i in (index, files))
        assert plain([match]) == [tuple(vars(other)[k] for k in (
            "pin_id", "content_hash", "object_no", "category", "score", "box", "colour", "cosine"
        ))]  # fmt: skip
        assert vector == pytest.approx(other_vector, abs=1e-3)
    assert index.whole(["p05", "p01"]) == pytest.approx(files.whole(["p05", "p01"]), abs=1e-3)
    assert index.search_objects(np.zeros((0, 16), dtype=np.float32), 3) == []
    for wrong in (lambda: index.look_up("p99"), lambda: index.look_up("p00", 9),
                  lambda: index.search_images(np.zeros((1, 3), dtype=np.float32), 3)):  # fmt: skip
        with pytest.raises(ValueError, match=r"index update|no object|vectors"):
            wrong()


def test_an_update_changes_it_in_place_while_it_is_open(database: Database, home: Path) -> None:
    before = open_index(home, VERSION)
    left = dict(list(FIRST.items())[5:]) | {"p99": "content07"}
    publish(database, home, {"a": left, "b": SECOND})
    made = update_index(database, home, VERSION)
    assert (made.added, made.kept, made.removed) == (12, 18, 2)
    after = open_index(home, VERSION)
    assert same(after, by_files(database, home))
    assert after.generation != before.generation
    assert before.search_objects(np.eye(16, dtype=np.float32)[:1], 3)
    assert after.same_image("p99") == ("p14", "p15", "p99")
    assert update_index(database, home, VERSION).written is False
    status = index_status(database, home, VERSION)
    assert (status["images_to_add"], status["images_to_remove"]) == (0, 0)


def test_a_build_leaves_the_new_collections_alone(
    database: Database, home: Path, server: str
) -> None:
    open_before = open_index(home, VERSION)
    publish(database, home, {"b": SECOND})
    build_index(database, home, VERSION, server=server)
    assert open_before.search_images(np.eye(16, dtype=np.float32)[:1], 3)
    with reached(server) as client:
        assert len(client.list_collections()) == 2
    assert same(open_index(home, VERSION), by_files(database, home))


def test_an_erased_pin_leaves_the_server(database: Database, home: Path, server: str) -> None:
    publish(database, home, {"a": FIRST, "b": {"p91": "alone"}})
    update_index(database, home, VERSION)
    for pin in ("p91", "p07"):  # alone shows its image; shares it with p06
        assert index_folder(home, VERSION) in erase_files(database, home, "pin", pin)
    index = open_index(home, VERSION)
    assert index.same_image("p06") == ("p06",)
    with reached(server) as client:
        for kind in ("images", "objects"):
            rows = client.query(f"{kind}_{VERSION}", filter="id != ''", output_fields=["*"])
            assert len(rows) > 10
            assert not [row for row in rows if "p91" in str(row) or "alone" in str(row)]
            assert not [row for row in rows if "p07" in row["pins"]]


def test_files_may_take_its_place_and_dropping_leaves_nothing(
    database: Database, home: Path, server: str
) -> None:
    build_index(database, home, VERSION)
    assert current(index_folder(home, VERSION)).server is None
    with reached(server) as client:
        assert client.list_collections() == []
    build_index(database, home, VERSION, server=server)
    drop_index(index_folder(home, VERSION))
    with reached(server) as client:
        assert client.list_collections() == []
    assert not index_folder(home, VERSION).exists()


@pytest.mark.parametrize(
    ("url", "said"),
    [("milvus://127.0.0.1:1", "cannot be reached"), ("redis://x", "is no index"),
     ("milvus://me:secret@x:1", "RELATED_PINS_MILVUS_TOKEN"), ("milvus://", "is no index")],
)  # fmt: skip
def test_a_server_that_is_none_is_said(
    database: Database, tmp_path: Path, url: str, said: str
) -> None:
    publish(database, tmp_path, {"a": FIRST})
    with pytest.raises((ValueError, OSError), match=said) as error:
        build_index(database, tmp_path, VERSION, server=url)
    assert "secret" not in str(error.value)
