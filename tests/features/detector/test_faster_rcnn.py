from pathlib import Path

import pytest
import torch

from features.detector.faster_rcnn import (
    FROZEN_LAYERS,
    HUB,
    Settings,
    faster_rcnn,
    hub_faster_rcnn,
)


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    torch.manual_seed(1)
    return faster_rcnn(Settings(("bag", "hat"))).eval()


def test_images_keep_the_size_they_are_given(model: torch.nn.Module) -> None:
    batch, _ = model.get_submodule("transform")([torch.rand(3, 70, 50), torch.rand(3, 40, 64)])
    assert batch.image_sizes == [(70, 50), (40, 64)]
    assert tuple(batch.tensors.shape) == (2, 3, 96, 64)


def test_the_pyramid_has_a_map_per_anchor_size(model: torch.nn.Module) -> None:
    levels = model.get_submodule("backbone")(torch.rand(1, 3, 128, 128))
    assert [tuple(level.shape[1:]) for level in levels.values()] == [
        (128, 16, 16), (128, 8, 8), (128, 4, 4), (128, 2, 2)
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "least"), [("resnet50_fpn", 41e6), ("resnet101_fpn", 60e6)])
def test_larger_ones_can_be_built(name: str, least: float) -> None:
    model = faster_rcnn(Settings(("bag",), name), pretrained=False)
    assert least < sum(value.numel() for value in model.parameters()) < 1.1 * least
    for layer in FROZEN_LAYERS[name]:
        model.backbone.body.get_submodule(layer)


def test_every_depthwise_kernel_of_the_small_one_stays(model: torch.nn.Module) -> None:
    body = model.get_submodule("backbone.body")
    depthwise = [name for name, layer in body.named_modules()
                 if isinstance(layer, torch.nn.Conv2d) and layer.groups > 1]  # fmt: skip
    assert len(depthwise) == 16
    for name in depthwise:
        assert name.startswith(tuple(FROZEN_LAYERS["lite0"]))


def test_others_cannot() -> None:
    with pytest.raises(ValueError, match="use one of lite0, resnet50_fpn, resnet101_fpn"):
        faster_rcnn(Settings(("bag",), "yolo"))


@pytest.mark.parametrize("name", HUB)
def test_weights_that_cannot_be_downloaded_say_so(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    with pytest.raises(FileNotFoundError, match="'bundled' works without"):
        hub_faster_rcnn(name)
