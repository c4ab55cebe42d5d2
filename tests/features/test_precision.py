import pytest
import torch
from torch import nn

from features import precision
from features.precision import autocast, cast_once

CPU = torch.device("cpu")


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU6(), nn.Flatten(), nn.Linear(8 * 36, 5)
    ).eval()


@pytest.mark.parametrize("fast", [True, False])
def test_weights_cast_once_give_the_same_numbers(
    fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_fast", lambda device: fast)
    pixels = torch.rand(4, 3, 8, 8)
    with torch.inference_mode(), autocast(CPU):
        at_every_call = network()(pixels)
        once = cast_once(network(), CPU)(pixels)
    assert once.dtype == (torch.bfloat16 if fast else torch.float32)
    assert torch.equal(once, at_every_call)


def test_weights_of_another_machine_are_cast_for_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_fast", lambda device: True)
    model = cast_once(network(), CPU)
    monkeypatch.setattr(precision, "_fast", lambda device: False)
    pixels = torch.rand(4, 3, 8, 8)
    with torch.inference_mode(), autocast(CPU):
        here = cast_once(model, CPU)(pixels)
        torch.testing.assert_close(here, network()(pixels), rtol=0.02, atol=0.02)
