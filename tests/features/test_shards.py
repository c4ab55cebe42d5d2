from pathlib import Path

import numpy as np
import pytest

from features.shards import read_shard, shard_hashes, write_shard
from tests.features.visuals_for_tests import random_visual

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
