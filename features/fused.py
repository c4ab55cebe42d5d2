"""Layers fused for inference: the same numbers in fewer passes over memory."""

import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.padding import pad_same
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fuse_norms(module: nn.Module) -> nn.Module:
    """The module with each batch norm that follows a convolution folded into it, in place: the
    same numbers in eval mode, in fewer passes over memory."""
    before: tuple[str, nn.Conv2d] | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Conv2d):
            before = (name, child)
        elif isinstance(child, nn.BatchNorm2d) and before is not None:
            setattr(module, before[0], fuse_conv_bn_eval(before[1], child))
            setattr(module, name, getattr(child, "act", nn.Identity()))
            before = None
        else:
            fuse_norms(child)
    return module


class ConvRelu6(nn.Module):
    """A convolution and the ReLU6 after it. On the CPU they are one call of oneDNN, which
    torch.compile uses as well: clamping apart takes a fifth of EfficientNet-Lite0's time."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, maps: Tensor) -> Tensor:
        conv = self.conv
        if maps.device.type != "cpu":
            return nn.functional.relu6(conv(maps))
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            maps, weight, bias = maps.to(dtype), conv.weight.to(dtype), _cast(conv.bias, dtype)
        else:
            weight, bias = conv.weight, conv.bias
        if isinstance(conv, Conv2dSame):
            maps = pad_same(maps, [*conv.kernel_size], [*conv.stride], [*conv.dilation])
        clamped: Tensor = torch.ops.mkldnn._convolution_pointwise(
            maps, weight, bias, conv.padding, conv.stride, conv.dilation, conv.groups,
            "hardtanh", [0.0, 6.0], "",
        )  # fmt: skip
        return clamped


def fuse_relu6(module: nn.Module) -> nn.Module:
    """The module with each ReLU6 that follows a convolution fused with it, in place, where this
    build of torch has oneDNN."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return module
    before: tuple[str, nn.Conv2d] | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.ReLU6) and before is not None:
            setattr(module, before[0], ConvRelu6(before[1]))
            setattr(module, name, nn.Identity())
        else:
            fuse_relu6(child)
        before = (name, child) if isinstance(child, nn.Conv2d) else None
    return module


def _cast(values: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    return None if values is None else values.to(dtype)
