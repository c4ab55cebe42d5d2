import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.pairs.pairs import BLOCK, pair_features, pair_interest, pin_arrays
from features.visuals.columns import as_columns
from sql.columns import CATEGORIES, PAIR_FEATURES, PAIR_INTEREST
from tests.features.visuals.visuals_for_tests import random_visual

VISUALS = [
    random_visual(0, ("bag", "shoes", "top")),
    random_visual(1, ("shoes", "bag")),
    random_visual(2),
    random_visual(3, ("top", "top", "bag", "giraffe")),
    random_visual(4, ("giraffe",)),
]
PINS = pin_arrays(as_columns(VISUALS))
ALL = [(q, c) for q in range(5) for c in range(5)]
QUERY, CANDIDATE = (np.array(side) for side in zip(*ALL, strict=True))


def by_hand(q: int, c: int) -> dict[str, float]:
    """The features written as loops over objects."""
    query, candidate = VISUALS[q], VISUALS[c]
    pairs = [
        (i, j, float(query.crops[i] @ candidate.crops[j]))
        for i in range(len(query.scores))
        for j in range(len(candidate.scores))
    ]
    same = [(i, j, s) for i, j, s in pairs if query.categories[i] == candidate.categories[j]]

    def side(visual, vectors):
        return visual.whole_crop if visual.dominant is None else vectors[visual.dominant]

    def colour(i, j):
        return float(np.linalg.norm(query.colours[i] - candidate.colours[j]))

    def best(cosines):
        return max(cosines, default=np.nan)

    dominant_q, dominant_c = query.dominant, candidate.dominant
    has_q, has_c = dominant_q is not None, dominant_c is not None
    matched = max(pairs, key=lambda pair: pair[2], default=None)
    per_object = {i: best([s for k, _, s in pairs if k == i]) for i, _, _ in pairs}
    return {
        "whole_cosine": float(query.whole @ candidate.whole),
        "whole_crop_cosine": float(query.whole_crop @ candidate.whole_crop),
        "crop_cosine": float(side(query, query.crops) @ side(candidate, candidate.crops)),
        "padded_crop_cosine": float(side(query, query.padded) @ side(candidate, candidate.padded)),
        "query_has_object": has_q,
        "candidate_has_object": has_c,
        "both_have_object": has_q and has_c,
        "same_category": has_q
        and has_c
        and query.categories[dominant_q] == candidate.categories[dominant_c],
        "n_shared_categories": len(set(query.categories) & set(candidate.categories)),
        "query_object_area": query.area_shares[dominant_q] if has_q else 0,
        "candidate_object_area": candidate.area_shares[dominant_c] if has_c else 0,
        "query_object_score": query.scores[dominant_q] if has_q else 0,
        "candidate_object_score": candidate.scores[dominant_c] if has_c else 0,
        "query_n_objects": len(query.scores),
        "candidate_n_objects": len(candidate.scores),
        "best_object_cosine": best([s for _, _, s in pairs]),
        "mean_best_object_cosine": np.mean(list(per_object.values())) if pairs else np.nan,
        "dominant_to_any_cosine": best([s for i, _, s in pairs if i == dominant_q]),
        "any_to_dominant_cosine": best([s for _, j, s in pairs if j == dominant_c]),
        "same_category_cosine": best([s for _, _, s in same]),
        "same_category_colour_distance": min((colour(i, j) for i, j, _ in same), default=np.nan),
        "dominant_colour_distance": colour(dominant_q, dominant_c) if has_q and has_c else np.nan,
        "matched_colour_distance": colour(*matched[:2]) if matched else np.nan,
        "colour_match": sum(
            np.exp(-min(colour(i, j) for k, j, _ in same if k == i) / 20)
            for i in {i for i, _, _ in same}
        ),
        **{
            f"{name}_cosine": best([s for i, _, s in same if query.categories[i] == name])
            for name in CATEGORIES
        },
    }


@pytest.mark.parametrize(("row", "pair"), list(enumerate(ALL)))
def test_every_feature_equals_the_loop_over_objects(row: int, pair: tuple[int, int]) -> None:
    found = {n: v[row] for n, v in pair_features(PINS, QUERY, CANDIDATE).items()}
    expected = by_hand(*pair)
    assert list(found) == list(PAIR_FEATURES)
    np.testing.assert_allclose(
        [found[name] for name in PAIR_FEATURES], [expected[name] for name in PAIR_FEATURES],
        rtol=1e-5, atol=1e-5,
    )  # fmt: skip


def test_a_pin_with_itself() -> None:
    found = pair_features(PINS, np.array([0]), np.array([0]))
    for name in ("whole_cosine", "crop_cosine", "best_object_cosine", "mean_best_object_cosine"):
        np.testing.assert_allclose(found[name], 1, rtol=1e-5)
    assert found["dominant_colour_distance"] == 0


def test_a_pair_does_not_depend_on_its_neighbours_or_its_block() -> None:
    many = np.resize(QUERY, BLOCK + 7), np.resize(CANDIDATE, BLOCK + 7)
    together = pair_features(PINS, *many)
    alone = pair_features(PINS, many[0][-1:], many[1][-1:])
    for name in PAIR_FEATURES:
        np.testing.assert_allclose(together[name][-1:], alone[name], rtol=1e-6)


def test_no_pairs() -> None:
    none = np.zeros(0, dtype=np.int64)
    assert {len(v) for v in pair_features(PINS, none, none).values()} == {0}


def test_all_interest_on_one_object_gives_that_object() -> None:
    interest = np.zeros((2, *PINS.objects.shape), dtype=np.float32)
    interest[0, 0, 1] = 0.8
    interest[1, 0, :3] = [0.2, 0.2, 0.4]
    found = pair_interest(PINS, np.array([0, 0]), np.array([1, 2]), interest, np.full((2, 5), 7))
    assert list(found) == list(PAIR_INTEREST)
    shoes = VISUALS[0].crops[1] @ VISUALS[1].crops.T
    np.testing.assert_allclose(found["interest_cosine"][0], [shoes.max(), np.nan], rtol=1e-5)
    np.testing.assert_allclose(
        found["interest_same_category_cosine"][0], [shoes[0], np.nan], rtol=1e-5
    )
    np.testing.assert_allclose(found["interest_same_category"], [[0.8, 0], [0.4, 0]], rtol=1e-5)
    np.testing.assert_allclose(found["query_interest_max"], [[0.8, 0.8], [0.4, 0.4]], rtol=1e-5)
    assert found["query_n_croppers"].tolist() == [[7, 7], [7, 7]]
    colour = np.linalg.norm(VISUALS[0].colours[1] - VISUALS[1].colours[0])
    np.testing.assert_allclose(
        found["interest_look_match"][0], [0.8 * max(shoes[0], 0), 0], rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        found["interest_colour_match"][0], [0.8 * np.exp(-colour / 20), 0], rtol=1e-5, atol=1e-6
    )


@given(
    st.lists(st.sampled_from([(), ("bag",), ("top", "bag", "shoes"), ("shoes",) * 9]), min_size=2,
             max_size=9),
    st.integers(0, 2**20),
)  # fmt: skip
def test_a_pair_made_by_itself_is_bit_by_bit_what_it_is_among_others(
    kinds: list[tuple[str, ...]], seed: int
) -> None:
    visuals = [random_visual(seed + n, kind, dimension=128) for n, kind in enumerate(kinds)]
    rng = np.random.default_rng(seed)
    query, candidate = rng.integers(0, len(kinds), (2, 20))
    row = int(rng.integers(len(query)))
    among = pin_arrays(as_columns(visuals))
    alone = pin_arrays(as_columns([visuals[query[row]], visuals[candidate[row]]]))
    share = rng.random((1, *among.objects.shape), dtype=np.float32) * (among.objects != among.none)
    mine = np.zeros((1, *alone.objects.shape), dtype=np.float32)
    mine[0, 0] = share[0, query[row], : mine.shape[2]]
    croppers, one = np.ones((1, len(visuals)), dtype=int), np.array([0])
    features = pair_features(among, query, candidate)
    interest = pair_interest(among, query, candidate, share, croppers)
    own_features = pair_features(alone, one, one + 1)
    own_interest = pair_interest(alone, one, one + 1, mine, croppers[:, :2])
    for name in PAIR_FEATURES:
        assert features[name][row].tobytes() == own_features[name][0].tobytes(), name
    for name in PAIR_INTEREST:
        assert interest[name][0, row].tobytes() == own_interest[name][0, 0].tobytes(), name
