from pathlib import Path

import numpy as np
import pytest

from features.visuals.shards import (
    keep_in_shard,
    read_columns,
    read_shard,
    shard_hashes,
    shard_unreadable,
    shards_under,
    write_shard,
)
from features.visuals.visuals import PinVisual
from tests.features.visuals.visuals_for_tests import random_visual

VISUALS = [
    random_visual(1, ("bag", "shoes")),
    random_visual(2),
    random_visual(3, ("top",)),
]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_shard(tmp_path / "visuals" / "a.arrow", VISUALS)
    found = read_shard(tmp_path / "visuals" / "a.arrow")
    for wrote, read in zip(VISUALS, found, strict=True):
        assert (read.content_hash, read.width, read.height) == (wrote.content_hash, 200, 250)
        assert read.categories == wrote.categories
        assert read.dominant == wrote.dominant
        for name in ("boxes", "scores", "colours"):
            np.testing.assert_array_equal(getattr(read, name), getattr(wrote, name))
        for name in ("whole", "whole_crop", "crops", "padded"):
            np.testing.assert_allclose(getattr(read, name), getattr(wrote, name), atol=1e-3)
            assert getattr(read, name).dtype == np.float32


def test_some_of_a_shard(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    write_shard(path, VISUALS)
    assert shard_hashes(path) == [v.content_hash for v in VISUALS]
    (found,) = read_shard(path, [VISUALS[2].content_hash, "unknown"])
    np.testing.assert_allclose(found.crops, VISUALS[2].crops, atol=1e-3)
    assert read_shard(path, []) == []


def test_a_shard_without_any_object(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.arrow", [VISUALS[1]])
    (found,) = read_shard(tmp_path / "a.arrow")
    assert found.crops.shape == (0, 16)
    assert found.dominant is None


def test_nothing_is_left_aside_and_a_missing_shard_says_what_to_do(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.arrow", VISUALS)
    assert [path.name for path in tmp_path.iterdir()] == ["a.arrow"]
    with pytest.raises(FileNotFoundError, match="related-pins features"):
        read_shard(tmp_path / "b.arrow")


def same(first: PinVisual, second: PinVisual) -> bool:
    """Bit by bit."""
    return all(np.array_equal(value, vars(second)[name]) for name, value in vars(first).items())


def test_columns_are_the_visuals_asked_for_in_that_order(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.arrow", VISUALS)
    by_hash = {visual.content_hash: visual for visual in read_shard(tmp_path / "a.arrow")}
    asked = [VISUALS[row].content_hash for row in (2, 0, 1, 2)]
    columns = read_columns(tmp_path / "a.arrow", asked)
    assert [v.content_hash for v in columns.visuals()] == asked
    assert all(same(visual, by_hash[visual.content_hash]) for visual in columns.visuals())
    first = np.cumsum([0, *columns.counts])
    dominant = [None if row == len(columns.scores) else row - start
                for row, start in zip(columns.dominant(), first[:-1], strict=True)]  # fmt: skip
    assert dominant == [by_hash[content].dominant for content in asked]
    shares = [share for content in asked for share in by_hash[content].area_shares]
    np.testing.assert_array_equal(columns.area_shares, shares)
    with pytest.raises(KeyError, match="unknown"):
        read_columns(tmp_path / "a.arrow", [asked[0], "unknown"])


def test_an_erased_image_is_gone_from_the_bytes_and_the_others_stay_as_they_are(
    tmp_path: Path,
) -> None:
    path = tmp_path / "v" / "a.arrow"
    write_shard(path, VISUALS, {"ff": "no image"})
    before, gone = read_shard(path), VISUALS[0].content_hash
    assert not keep_in_shard(path, lambda content: True)
    assert keep_in_shard(path, lambda content: content != gone)
    assert all(same(*pair) for pair in zip(read_shard(path), before[1:], strict=True))
    assert shard_unreadable(path) == {"ff": "no image"}
    assert gone.encode() not in path.read_bytes()
    assert before[0].crops[0].astype(np.float16).tobytes() not in path.read_bytes()
    assert keep_in_shard(path, lambda content: False)
    assert shards_under(tmp_path) == []
