import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image as pil

from features.detector.catalogue import product_photos
from features.detector.detector import Detections
from features.detector.products import Named, named_photos, right_by_board, share_of, strays


def test_shares_are_counted_by_board_and_together() -> None:
    surest = [("caps", "hat"), ("caps", "top"), ("jeans", "pants"), ("jeans", None)]
    shares = right_by_board(surest)
    assert {board: (share.right, share.photos) for board, share in shares.items()} == {
        "caps": (1, 2), "jeans": (1, 2), "all": (2, 4)
    }  # fmt: skip
    assert shares["all"].low < 0.5 < shares["all"].high


def test_the_dominant_object_need_not_be_the_surest(tmp_path: Path) -> None:
    """Shoes are surer than the jeans above them; a photo with nothing; one that is no image."""
    pins = [{"pin_id": f"p{n}", "image": f"{n}.png", "board": "jeans", "title": "", "link": ""}
            for n in range(6)]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(pins), tmp_path / "pins.parquet")
    for pin in pins:
        pil.new("RGB", (40, 100)).save(tmp_path / pin["image"])
    held_out = [name for _, name in product_photos(tmp_path, 9, held_out=True)]
    (tmp_path / held_out[-1]).write_bytes(b"no image")
    boxes = np.array([[10, 90, 30, 100], [5, 20, 35, 90]], dtype=np.float32)
    worn = Detections(boxes, np.array([0.9, 0.8], np.float32), ("shoes", "pants"), 40, 100)
    empty = Detections(boxes[:0], np.zeros(0, np.float32), (), 40, 100)
    answers = iter([worn, empty])
    named = named_photos(lambda images: [next(answers)], tmp_path, 9)
    both = frozenset({"shoes", "pants"})
    assert named == [Named("jeans", "shoes", "pants", both), Named("jeans", None, None)]


def test_strays_are_counted_where_people_are_shown_to_their_hips() -> None:
    """Two of three shirts have something that is not in view; the shoes under jeans are."""
    named = [
        Named("shirts", "hat", "top", frozenset({"top", "hat", "shoes"})),
        Named("tops", "top", "top", frozenset({"top", "shoes"})),
        Named("jackets", "top", "top", frozenset({"top", "pants"})),
        Named("jeans", "shoes", "pants", frozenset({"shoes", "pants"})),
    ]
    found = {name: (share.right, share.photos) for name, share in strays(named).items()}
    assert found == {"shoes": (2, 3), "hat": (1, 3), "shorts": (0, 3), "any": (2, 3)}
    assert strays([])["any"].photos == 0


def test_the_interval_is_wilsons() -> None:
    share = share_of([True] * 10)
    assert (share.low, share.high) == pytest.approx((1 / (1 + 1.95996**2 / 10), 1), abs=1e-4)
    none = share_of([])
    assert math.isnan(none.share)
    assert (none.low, none.high) == (0, 1)
