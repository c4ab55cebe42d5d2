"""The networks: Faster R-CNN (Ren et al. 2015, https://arxiv.org/abs/1506.01497) with a feature
pyramid (Lin et al. 2017, https://arxiv.org/abs/1612.03144), small or torchvision's own."""

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torchvision.models import detection as hub
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from features.embedding.backbone import MEAN, STD, lite0

PYRAMID_CHANNELS = 128
BOX_FEATURES = 256
STEADY = 32  # rows
FROZEN_LAYERS: Mapping[str, tuple[str, ...]] = {
    "lite0": (
        *("layers.conv_stem", "layers.bn1"),
        *(f"layers.blocks.{stage}" for stage in range(3)),
        *(
            f"layers.blocks.{stage}.{block}.conv_dw"
            for stage, blocks in ((3, 3), (4, 3), (5, 4), (6, 1))
            for block in range(blocks)
        ),
    ),
    "resnet50_fpn": ("conv1", "bn1", "layer1"),
    "resnet101_fpn": ("conv1", "bn1", "layer1"),
}


@dataclass(frozen=True)
class Settings:
    """What a detector's numbers depend on, beside its weights.

    categories: names, by label from 1 (0 is background). architecture: 'lite0',
    'resnet50_fpn', 'resnet101_fpn' or a name in HUB. short_side, long_side: an image is
    scaled until its short side is short_side, unless its long side would pass long_side, pixels,
    and never enlarged more than `enlarge` times. min_score, max_boxes: what is kept.
    proposals_before, proposals_after: region proposals kept before (per pyramid level) and after
    non-maximum suppression. thresholds: category -> score below which its objects are not worth
    keeping; `detect` returns them all the same, down to min_score.
    """

    categories: tuple[str, ...]
    architecture: str = "lite0"
    short_side: int = 416
    long_side: int = 640
    min_score: float = 0.05
    max_boxes: int = 50
    proposals_before: int = 300
    proposals_after: int = 150
    enlarge: float = math.inf
    thresholds: Mapping[str, float] = field(default_factory=dict)


class Lite0Body(nn.Module):
    """EfficientNet-Lite0 as named maps of strides 8, 16 and 32 (40, 112, 320 channels)."""

    channels = (40, 112, 320)

    def __init__(self, *, pretrained: bool) -> None:
        super().__init__()
        self.layers = lite0(features_only=True, pretrained=pretrained)

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        maps = self.layers(pixels)
        return OrderedDict((str(level), feature) for level, feature in enumerate(maps))


class Lite0Pyramid(nn.Module):
    """Lite0Body and a feature pyramid over it."""

    out_channels = PYRAMID_CHANNELS

    def __init__(self, *, pretrained: bool) -> None:
        super().__init__()
        self.body = Lite0Body(pretrained=pretrained)
        self.fpn = FeaturePyramidNetwork(
            list(Lite0Body.channels), PYRAMID_CHANNELS, extra_blocks=LastLevelMaxPool()
        )

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        return self.fpn(self.body(pixels))  # type: ignore[no-any-return]


class SteadyLinear(nn.Linear):
    """A linear layer that adds up alike whatever the number of threads, up to 8: of more rows than
    STEADY oneDNN cuts long sums into as many parts as there are threads, and bfloat16 rounds."""

    def forward(self, rows: Tensor) -> Tensor:
        if torch.is_grad_enabled() or rows.device.type != "cpu":
            return super().forward(rows)
        parts = [linear(part, self.weight, self.bias) for part in torch.split(rows, STEADY)]
        return torch.cat(parts)


class AsGiven(GeneralizedRCNNTransform):  # type: ignore[misc]
    """Normalises and pads images to a batch, but leaves their size, which the caller chose."""

    def resize(
        self, image: Tensor, target: dict[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor] | None]:
        return image, target


def faster_rcnn(settings: Settings, *, pretrained: bool = True) -> FasterRCNN:
    """The network of `settings.architecture`, its head untrained; it takes images as they are
    scaled. With pretrained its backbone has ImageNet weights ('lite0' needs no download).

    Raises ValueError for an unknown architecture and FileNotFoundError where weights cannot be had.
    """
    if settings.architecture not in FROZEN_LAYERS:
        raise ValueError(
            f"No architecture '{settings.architecture}' to train; use one of "
            f"{', '.join(FROZEN_LAYERS)}."
        )
    build = _lite0 if settings.architecture == "lite0" else _resnet
    return adapted(build(settings, pretrained))


def adapted(model: FasterRCNN) -> FasterRCNN:
    """The model without its own rescaling of images, with box arithmetic in float32 whatever
    autocast does to the layers: bfloat16 would round coordinates of 500 pixels to 4; with sums that
    do not depend on the number of threads, and with the strides of its maps known."""
    old = model.transform
    model.transform = AsGiven(800, 1333, old.image_mean, old.image_std)
    for layer in (model.backbone.fpn, model.rpn.head, model.roi_heads.box_predictor):
        layer.register_forward_hook(_to_float32)
    if isinstance(model.roi_heads.box_head, TwoMLPHead):
        model.roi_heads.box_head.fc6 = _steady(model.roi_heads.box_head.fc6)
    _learn_strides(model)
    return model


def _steady(layer: nn.Linear) -> SteadyLinear:
    steady = SteadyLinear(layer.in_features, layer.out_features)
    steady.load_state_dict(layer.state_dict())
    return steady


@torch.no_grad()
def _learn_strides(model: FasterRCNN) -> None:
    """Shows the pooling of regions an image without padding. It takes the strides of the maps from
    the first image that it sees, and keeps them: padding as wide as a tiny image would double
    them, and every later image would be read in the wrong places."""
    side, training = 256, model.training
    maps = model.eval().backbone(torch.zeros(1, 3, side, side))
    model.roi_heads.box_roi_pool(maps, [torch.zeros(0, 4)], [(side, side)])
    model.train(training)


def _to_float32(layer: nn.Module, inputs: object, output: object) -> object:
    if isinstance(output, Tensor):
        return output.float()
    if isinstance(output, dict):
        return OrderedDict((key, value.float()) for key, value in output.items())
    if isinstance(output, (list, tuple)):
        return type(output)(_to_float32(layer, inputs, value) for value in output)
    return output


def _lite0(settings: Settings, pretrained: bool) -> FasterRCNN:
    sizes = ((16, 28), (48, 80), (128, 192), (272, 384))
    return FasterRCNN(
        Lite0Pyramid(pretrained=pretrained),
        num_classes=None,
        rpn_anchor_generator=AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes)),
        box_roi_pool=MultiScaleRoIAlign(["0", "1", "2"], output_size=7, sampling_ratio=2),
        box_head=TwoMLPHead(PYRAMID_CHANNELS * 7 * 7, BOX_FEATURES),
        box_predictor=FastRCNNPredictor(BOX_FEATURES, len(settings.categories) + 1),
        image_mean=list(MEAN),
        image_std=list(STD),
        rpn_pre_nms_top_n_train=1000,
        rpn_post_nms_top_n_train=500,
        box_batch_size_per_image=128,
        **_limits(settings),
    )


def _resnet(settings: Settings, pretrained: bool) -> FasterRCNN:
    name = settings.architecture.removesuffix("_fpn")
    weights = "DEFAULT" if pretrained else None
    try:
        backbone = resnet_fpn_backbone(backbone_name=name, weights=weights, trainable_layers=5)
    except OSError as error:
        raise FileNotFoundError(
            f"The ImageNet weights of {name} cannot be had: they are downloaded on first use and "
            "need internet; give weights to start from, or train 'lite0'."
        ) from error
    return FasterRCNN(backbone, len(settings.categories) + 1, **_limits(settings))


def _limits(settings: Settings) -> dict[str, float]:
    return {
        "rpn_pre_nms_top_n_test": settings.proposals_before,
        "rpn_post_nms_top_n_test": settings.proposals_after,
        "box_score_thresh": settings.min_score,
        "box_detections_per_img": settings.max_boxes,
    }


HUB: dict[str, tuple[Callable[..., FasterRCNN], object]] = {
    "fasterrcnn_resnet50_fpn_v2": (
        hub.fasterrcnn_resnet50_fpn_v2,
        hub.FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1,
    ),
    "fasterrcnn_resnet50_fpn": (
        hub.fasterrcnn_resnet50_fpn,
        hub.FasterRCNN_ResNet50_FPN_Weights.COCO_V1,
    ),
}


def hub_faster_rcnn(name: str) -> tuple[FasterRCNN, Settings]:
    """A model of HUB with its COCO weights, downloaded on first use, at torchvision's scale.

    Raises FileNotFoundError where the weights cannot be had.
    """
    build, weights = HUB[name]
    names = weights.meta["categories"]  # type: ignore[attr-defined]
    settings = Settings(tuple(names[1:]), name, 800, 1333, 0.05, 100, 1000, 1000)
    try:
        model = build(weights=weights, **_limits(settings))
    except OSError as error:
        raise FileNotFoundError(
            f"The weights of '{name}' cannot be had: they are downloaded on first use and need "
            "internet; 'bundled' works without."
        ) from error
    return adapted(model), settings
