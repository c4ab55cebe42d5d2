import shutil
from pathlib import Path

import numpy as np
import pytest

from features.detector.detector import BUNDLED as DETECTOR
from features.detector.detector import load_detector
from features.detector.thresholds import write_thresholds
from features.embedding.projection import BUNDLED, Projection, load_projection, save_projection


def random_projection(seed: int = 0) -> Projection:
    rng = np.random.default_rng(seed)
    return Projection(
        rng.normal(size=6).astype(np.float32), rng.normal(size=(6, 3)).astype(np.float32), "here"
    )


def test_vectors_have_unit_length_and_none_give_none() -> None:
    project = random_projection()
    vectors = project(np.random.default_rng(1).normal(size=(5, 6)).astype(np.float32))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert project(np.zeros((0, 6), np.float32)).shape == (0, 3)


@pytest.mark.parametrize("order", ["C", "F"])
def test_what_is_saved_is_loaded_up_to_half_precision(tmp_path: Path, order: str) -> None:
    plain = random_projection()
    saved = Projection(plain.mean, np.array(plain.matrix, order=order), plain.learned_on)
    save_projection(saved, tmp_path / "one.safetensors", {"steps": 1})
    loaded = load_projection(tmp_path / "one.safetensors")
    np.testing.assert_allclose(loaded.matrix, saved.matrix, atol=2e-3)
    assert loaded.learned_on == "here"
    assert load_projection(tmp_path / "one.safetensors").version == loaded.version
    assert random_projection(1).version != saved.version
    with pytest.raises(FileNotFoundError, match="no projection"):
        load_projection(tmp_path / "two.safetensors")


def test_the_bundled_projection_is_of_the_bundled_detector() -> None:
    assert BUNDLED.exists()
    assert load_projection().learned_on == f"roi_align {load_detector().version}"


def test_thresholds_change_what_is_kept_and_leave_the_projection_fitting(tmp_path: Path) -> None:
    for suffix in (".safetensors", ".json"):
        shutil.copy(DETECTOR.with_suffix(suffix), tmp_path / f"mine{suffix}")
    before = load_detector(tmp_path / "mine.safetensors", "cpu")
    write_thresholds(tmp_path / "mine.safetensors", {"bag": 0.7})
    after = load_detector(tmp_path / "mine.safetensors", "cpu")
    assert after.version != before.version
    assert after.pooling_version == before.pooling_version == before.version
    assert load_projection().learned_on == f"roi_align {after.pooling_version}"
