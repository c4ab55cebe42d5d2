import numpy as np
import pandas as pd
import pytest

from experiments.held_out import segments


@pytest.fixture
def requests() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    kinds = np.array(["dress", "bag", "tie", None], dtype=object)
    return pd.DataFrame({
        "category": rng.choice(kinds, 1000, p=[0.4, 0.3, 0.1, 0.2]),
        "platform": rng.choice(["ios", "web"], 1000),
        "query_pin_age": rng.choice(["new", "old"], 1000),
    })  # fmt: skip


def test_segments_divide_what_they_should(requests: pd.DataFrame) -> None:
    found = segments(requests)
    assert found["all"].all()

    def total(dimension: str) -> np.ndarray:
        return np.sum([m for name, m in found.items() if name.startswith(dimension)], axis=0)

    assert (total("query_has_object=") == 1).all()
    assert (total("platform=") == 1).all()
    assert (total("query_pin_age=") == 1).all()
    assert (total("category=") == found["query_has_object=yes"]).all()


def test_small_categories_stand_together(requests: pd.DataFrame) -> None:
    found = segments(requests)
    names = {name for name in found if name.startswith("category")}
    assert names == {"category=bag", "category=dress", "category=other"}
    assert (found["category=other"] == (requests["category"] == "tie")).all()
    assert found["category=dress"].sum() >= 200


def test_without_objects_there_is_no_category() -> None:
    bare = pd.DataFrame({
        "category": [None, None], "platform": ["ios", "ios"], "query_pin_age": ["old", "old"],
    })  # fmt: skip
    names = {"all", "query_has_object=no", "platform=ios", "query_pin_age=old"}
    assert set(segments(bare)) == names


def test_only_the_dimensions_asked_for(requests: pd.DataFrame) -> None:
    assert set(segments(requests, ["platform"])) == {"all", "platform=ios", "platform=web"}
    assert set(segments(requests, ())) == {"all"}
