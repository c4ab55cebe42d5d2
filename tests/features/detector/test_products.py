import math

import pytest

from features.detector.products import right_by_board, share_of


def test_shares_are_counted_by_board_and_together() -> None:
    surest = [("caps", "hat"), ("caps", "top"), ("jeans", "pants"), ("jeans", None)]
    shares = right_by_board(surest)
    assert {board: (share.right, share.photos) for board, share in shares.items()} == {
        "caps": (1, 2), "jeans": (1, 2), "all": (2, 4)
    }  # fmt: skip
    assert shares["all"].low < 0.5 < shares["all"].high


def test_the_interval_is_wilsons() -> None:
    share = share_of([True] * 10)
    assert (share.low, share.high) == pytest.approx((1 / (1 + 1.95996**2 / 10), 1), abs=1e-4)
    none = share_of([])
    assert math.isnan(none.share)
    assert (none.low, none.high) == (0, 1)
