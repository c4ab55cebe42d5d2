"""What the index finds, against NumPy over the same visuals."""

from pathlib import Path

import numpy as np
import pytest

from features.search import vector_writer
from features.search.build import build_index
from features.search.index import VECTORS, open_index
from features.search.mapped import MappedIndex
from features.search.results import Match
from sql.database import open_database
from tests.features.search.indexed import NAMES, VERSION, publish, visuals

PINS = {f"p{n:02}": f"content{n // 2:02}" for n in range(60)}  # two pins show each image


@pytest.fixture(scope="module", params=["flat", "lists"])
def index(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MappedIndex:
    """Searched one by one, or in lists of which all are probed: exact in both cases."""
    home = tmp_path_factory.mktemp(request.param)
    database = open_database(home / "related_pins.db")
    database.upgrade()
    half = dict(list(PINS.items())[:31])
    publish(database, home, {"a": half, "b": {p: c for p, c in PINS.items() if p not in half}})
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "lists":
            patch.setattr(vector_writer, "FLAT_NUMBERS", 0)
            patch.setattr(vector_writer, "MIN_RECALL", 2)
        build_index(database, home, VERSION)
    found = open_index(home, VERSION)
    assert isinstance(found, MappedIndex)
    assert (found.objects.lists is not None) == (request.param == "lists")
    return found


def all_objects(categories: tuple[str, ...] = NAMES) -> tuple[list[tuple[str, int]], np.ndarray]:
    """((content, object_no), vectors) as the shards keep them."""
    keys, vectors = [], []
    for content, visual in visuals(sorted(set(PINS.values()))).items():
        for number, category in enumerate(visual.categories):
            if category in categories:
                keys.append((content, number))
                vectors.append(getattr(visual, VECTORS)[number])
    return keys, np.stack(vectors).astype(np.float16).astype(np.float32)


def queries(n: int) -> np.ndarray:
    vectors = np.random.default_rng(5).normal(size=(n, 16)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def keys_of(matches: list[Match]) -> list[tuple[str, int | None]]:
    return [(match.content_hash, match.object_no) for match in matches]


def test_objects_are_found_in_the_order_of_their_cosines(index: MappedIndex) -> None:
    keys, vectors = all_objects()
    asked = queries(9)
    for query, matches in zip(asked, index.search_objects(asked, 12), strict=True):
        cosines = vectors @ query
        best = np.argsort(-cosines, kind="stable")[:12]
        assert keys_of(matches) == [keys[row] for row in best]
        assert [m.cosine for m in matches] == pytest.approx(cosines[best], abs=1e-3)


def test_a_match_says_what_the_shards_know_of_the_object(index: MappedIndex) -> None:
    shown = visuals(sorted(set(PINS.values())))
    for match in index.search_objects(queries(1), 1000)[0]:
        visual, number = shown[match.content_hash], match.object_no
        assert match.category == visual.categories[number]
        assert match.score == pytest.approx(visual.scores[number])
        assert match.box == pytest.approx(visual.boxes[number])
        assert match.pin_id == min(p for p, c in PINS.items() if c == match.content_hash)


@pytest.mark.parametrize("categories", [("hat",), ("bag", "belt"), NAMES])
def test_a_category_gives_the_best_of_that_category(
    index: MappedIndex, categories: tuple[str, ...]
) -> None:
    keys, vectors = all_objects(categories)
    for query, matches in zip(queries(5), index.search_objects(queries(5), 7, categories),
                              strict=True):  # fmt: skip
        assert keys_of(matches) == [keys[row] for row in np.argsort(-(vectors @ query))[:7]]


def test_an_unknown_category_and_too_many_asked_for_are_no_errors(index: MappedIndex) -> None:
    assert index.search_objects(queries(2), 5, ["sofa"]) == [[], []]
    assert index.search_objects(queries(0), 5) == []
    keys, _ = all_objects()
    assert len(index.search_objects(queries(1), 10_000)[0]) == len(keys) == index.n_objects


def test_whole_images_are_found_once_however_many_pins_show_them(index: MappedIndex) -> None:
    shown = visuals(sorted(set(PINS.values())))
    asked = np.stack([visual.whole for visual in shown.values()])
    found = index.search_images(asked, 1)
    assert [m[0].content_hash for m in found] == list(shown)
    assert all(m[0].cosine == pytest.approx(1, abs=1e-3) and m[0].box is None for m in found)
    assert index.n_images == len(shown)
    assert index.same_image("p01") == ("p00", "p01")


def test_a_pin_is_looked_up_without_its_image(index: MappedIndex) -> None:
    keys, vectors = all_objects()
    for (content, number), vector in zip(keys, vectors, strict=True):
        pin = max(p for p, c in PINS.items() if c == content)
        match, found = index.look_up(pin, number)
        assert (match.content_hash, match.object_no) == (content, number)
        assert found == pytest.approx(vector, abs=1e-3)
    match, found = index.look_up("p00")
    assert match.object_no is None
    assert found == pytest.approx(visuals(["content00"])["content00"].whole, abs=1e-3)


def test_what_is_not_there_is_said(index: MappedIndex) -> None:
    with pytest.raises(ValueError, match=r"no pin p99 in the index.*index update"):
        index.look_up("p99")
    with pytest.raises(ValueError, match="no object 9"):
        index.look_up("p00", 9)
    with pytest.raises(ValueError, match=r"\(Q, 16\)"):
        index.search_objects(np.zeros((1, 3), dtype=np.float32), 5)
    with pytest.raises(ValueError, match="at least 1"):
        index.search_images(queries(1), 0)


def test_without_an_index_the_next_command_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no index of feature version v1.*index build"):
        open_index(tmp_path, VERSION)
