import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torchvision.ops import box_iou

from features.boxes import area, iou, pad

coordinates = arrays(np.float64, (5, 4), elements=st.floats(0, 1000, width=32))


def upright(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate(
        [np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:]) + 1], axis=1
    )


@given(coordinates, coordinates)
def test_iou_agrees_with_torchvision(first: np.ndarray, second: np.ndarray) -> None:
    first, second = upright(first), upright(second)
    expected = box_iou(torch.from_numpy(first), torch.from_numpy(second)).numpy()
    np.testing.assert_allclose(iou(first[:, None], second[None]), expected, atol=1e-9)


@given(coordinates)
def test_iou_is_symmetric_and_one_with_itself(boxes: np.ndarray) -> None:
    boxes = upright(boxes)
    np.testing.assert_allclose(iou(boxes, boxes), 1)
    np.testing.assert_allclose(iou(boxes, boxes[::-1]), iou(boxes[::-1], boxes))


@given(coordinates, st.floats(0, 1))
def test_padding_contains_the_box_and_stays_inside(boxes: np.ndarray, padding: float) -> None:
    boxes = upright(boxes)
    padded = pad(boxes, padding, 1100, 1100)
    assert (padded[:, :2] <= boxes[:, :2]).all()
    assert (padded[:, 2:] >= boxes[:, 2:]).all()
    assert padded.min() >= 0
    assert padded.max() <= 1100
    np.testing.assert_array_equal(pad(boxes, 0.0, 1100, 1100), boxes)


def test_no_boxes() -> None:
    assert area(np.zeros((0, 4))).shape == (0,)
    assert pad(np.zeros((0, 4)), 0.25, 10, 10).shape == (0, 4)
