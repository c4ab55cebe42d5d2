import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from features.embedding.embedding import unit
from features.weak.annotations import annotate
from features.weak.labels import (
    centred,
    containment,
    learned,
    places,
    pool,
    votes,
)

BOARDS = ["handbags"] * 10 + ["casual shoes"] * 10 + ["outfits"] * 120
TITLES = ["red bag", "blue bag"] * 5 + ["red shoe", "blue shoe"] * 5 + ["street style outfit"] * 120


def test_words_of_a_board_stand_for_its_category() -> None:
    found = annotate(TITLES, BOARDS)
    assert found.categories == ("bag", "shoes")
    np.testing.assert_allclose(found.shares[:10], [[1, 0]] * 10)
    np.testing.assert_allclose(found.shares[10:20], [[0, 1]] * 10)


def test_words_of_most_pins_say_nothing() -> None:
    found = annotate(TITLES, BOARDS)
    assert not {"outfits", "street", "outfit"} & set(found.terms)
    assert found.shares[20:].sum() == 0
    assert found.weights[[30]].sum() == 0


def test_a_pin_on_a_board_of_no_category_is_named_by_its_title() -> None:
    titles, boards = [*TITLES, "green bag"], [*BOARDS, "my things"]
    assert annotate(titles, boards).shares[-1].tolist() == [1, 0]


def test_pins_without_words_have_no_shares() -> None:
    found = annotate([None, "", "a"], [None, "", None])
    assert found.shares.shape == (3, 0)
    assert found.terms == ()
    assert annotate([], []).shares.shape == (0, 0)


def two_kinds(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(unit vectors `(2 n, 8)` around two directions, their kind)."""
    dice = np.random.default_rng(seed)
    kinds = np.repeat([0, 1], n)
    return unit((np.eye(8)[kinds] + dice.normal(0, 0.15, (2 * n, 8))).astype(np.float32)), kinds


def test_boxes_get_the_label_of_pins_that_look_like_them() -> None:
    (known, kinds), (looks, expected) = two_kinds(30, 0), two_kinds(10, 1)
    shares, weights, rows = votes(looks, known, np.eye(2)[kinds])
    assert (shares.argmax(axis=1) == expected).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert weights.shape == rows.shape == (20, 21)


def test_a_pin_has_no_vote_on_itself() -> None:
    known, kinds = two_kinds(5, 0)
    shares = np.eye(2)[kinds]
    shares[0] = [0, 1]  # the only one of its kind that says so
    _, weights, rows = votes(known, known, shares, np.arange(10))
    assert (weights[rows == np.arange(10)[:, None]] == 0).all()


def test_nothing_known_gives_no_shares() -> None:
    looks, none = two_kinds(2, 0)[0], np.zeros((0, 8), dtype=np.float32)
    assert votes(looks, none, np.zeros((0, 3)))[0].tolist() == [[0, 0, 0]] * 4
    assert votes(none, looks, np.ones((4, 3)))[0].shape == (0, 3)


def test_boxes_alike_mend_each_others_wrong_votes() -> None:
    looks, kinds = two_kinds(150, 2)
    dice = np.random.default_rng(3)
    wrong = dice.random(300) < 0.3
    voted = np.eye(2)[np.where(wrong, 1 - kinds, kinds)]
    place = np.stack([kinds + dice.normal(0, 0.2, 300), dice.normal(0, 1, 300)], axis=1)
    fit = np.ones_like(voted)
    shares = learned(voted, looks, place, fit)
    assert (shares.argmax(axis=1) == kinds).mean() > 0.97
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_array_equal(shares, learned(voted, looks, place, fit))


def test_few_boxes_keep_their_votes() -> None:
    looks, kinds = two_kinds(10, 2)
    voted = np.eye(2)[kinds]
    shares = learned(voted, looks, np.zeros((20, 2)), np.ones((20, 2)))
    np.testing.assert_array_equal(shares, voted)


def test_what_does_not_fit_the_place_is_not_what_it_looks_like() -> None:
    looks, kinds = two_kinds(150, 2)
    voted = np.full((300, 2), 0.5)
    voted[:, 0] += 0.1  # all look a little more like the first
    fit = np.where(np.eye(2)[kinds] > 0, 1, 0.01)
    place = np.stack([kinds, np.zeros(300)], axis=1).astype(float)
    for rows in (slice(0, 20), slice(None)):
        shares = learned(voted[rows], looks[rows], place[rows], fit[rows])
        assert (shares.argmax(axis=1) == kinds[rows]).all()
        np.testing.assert_allclose(shares.sum(axis=1), 1)


def test_a_pair_of_shoes_is_a_twin_and_a_belt_lies_in_the_trousers() -> None:
    shoes = [[10.0, 180, 30, 195], [50, 180, 70, 195]]
    trousers, belt = [20.0, 80, 70, 180], [25.0, 82, 65, 88]
    place = places(np.array([*shoes, trousers, belt]), 100, 200)
    assert place.shape == (4, 13)
    assert np.isfinite(place).all()
    in_larger, _, alike = place[:, 10:].T
    assert in_larger.tolist() == [0, 0, 0, 1]
    assert (alike[:2] > 0.99).all()
    assert (alike[2:] < 0.1).all()
    assert places(np.zeros((0, 4)), 100, 200).shape == (0, 13)
    assert np.isfinite(places(np.array([trousers]), 100, 200)).all()


edge = st.integers(0, 40)


@given(st.lists(st.tuples(edge, edge, edge, edge), min_size=1, max_size=8))
@settings(max_examples=50, deadline=None)
def test_containment_is_a_share(rows: list) -> None:
    boxes = np.array([(x, y, x + w + 1, y + h + 1) for x, y, w, h in rows], dtype=float)
    for part in containment(boxes):
        assert ((part >= 0) & (part <= 1 + 1e-9)).all()


def test_centred_vectors_have_unit_length() -> None:
    vectors, _ = two_kinds(20, 4)
    np.testing.assert_allclose(np.linalg.norm(centred(vectors), axis=1), 1, rtol=1e-5)


def test_pooling_keeps_what_everyone_says() -> None:
    points = np.random.default_rng(0).normal(size=(150, 3))
    np.testing.assert_allclose(pool(np.tile([0.25, 0.75], (150, 1)), points), [[0.25, 0.75]] * 150)
