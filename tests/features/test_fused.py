import copy

import pytest
import torch
from torch import nn

from features.embedding.backbone import lite0
from features.fused import ConvRelu6, fuse_norms, fuse_relu6
from features.precision import autocast


@pytest.fixture(scope="module")
def body() -> nn.Module:
    """EfficientNet-Lite0 as it comes: convolutions with and without padding, norms and ReLU6."""
    return lite0(features_only=True)


def pixels() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    made = torch.randn(2, 3, 128, 96, generator=generator)
    return made.contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def test_folded_norms_give_the_same_maps(body: nn.Module) -> None:
    fused = fuse_norms(copy.deepcopy(body))
    assert not [layer for layer in fused.modules() if isinstance(layer, nn.BatchNorm2d)]
    for made, level in zip(fused(pixels()), body(pixels()), strict=True):
        torch.testing.assert_close(made, level, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("in_half", [False, True])
@torch.inference_mode()
def test_fused_clamping_gives_the_same_maps(body: nn.Module, in_half: bool) -> None:
    apart = fuse_norms(copy.deepcopy(body))
    fused = fuse_relu6(copy.deepcopy(apart))
    assert sum(isinstance(layer, ConvRelu6) for layer in fused.modules()) == 32
    assert not [layer for layer in fused.modules() if isinstance(layer, nn.ReLU6)]
    with autocast(torch.device("cpu")) if in_half else torch.no_grad():
        for made, level in zip(fused(pixels()), apart(pixels()), strict=True):
            assert made.dtype == level.dtype
            torch.testing.assert_close(made, level, rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_a_convolution_without_bias_and_a_lone_relu6() -> None:
    layers = nn.Sequential(nn.ReLU6(), nn.Conv2d(3, 8, 3, bias=False, groups=1), nn.ReLU6()).eval()
    expected = layers(pixels())
    fused = fuse_relu6(layers)
    assert isinstance(layers[0], nn.ReLU6)
    torch.testing.assert_close(fused(pixels()), expected)
