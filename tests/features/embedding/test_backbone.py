from pathlib import Path

import numpy as np
import pytest
import torch

from features.detector.detector import to_input
from features.embedding.backbone import MEAN, STD, lite0, timm_backbone
from features.images.images import load_image

# ImageNet classes that COCO photos show beyond doubt.
KNOWN = {
    "000000000034.jpg": 340,  # zebra
    "000000000036.jpg": 879,  # umbrella
}


def normalised(path: Path) -> torch.Tensor:
    pixels = to_input(load_image(path).pixels, (224, 224))[None]
    return (pixels - MEAN[0]) / STD[0]


def test_it_knows_a_zebra_and_an_umbrella(shared_data: Path) -> None:
    model = lite0(num_classes=1000)
    batch = torch.cat([normalised(shared_data / "coco256/photos" / name) for name in KNOWN])
    with torch.inference_mode():
        chances = model(batch).softmax(1)
    assert chances.argmax(1).tolist() == list(KNOWN.values())
    assert chances.max(1).values.min() > 0.5


def test_embeddings_are_what_the_classifier_sees() -> None:
    pixels = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(1)) * 2 - 1
    classifier = lite0(num_classes=1000)
    with torch.inference_mode():
        embeddings = lite0()(pixels)
        logits = classifier.get_submodule("classifier")(embeddings)
        expected = classifier(pixels)
    assert embeddings.shape == (2, 1280)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


def test_maps_have_the_promised_strides_and_are_the_same_layers() -> None:
    pixels = torch.rand(1, 3, 128, 96, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        maps = lite0(features_only=True)(pixels)
        whole = lite0(num_classes=1000)
        last = whole.get_submodule("blocks")(
            whole.get_submodule("bn1")(whole.get_submodule("conv_stem")(pixels))
        )
    assert [tuple(level.shape[1:]) for level in maps] == [
        (40, 16, 12), (112, 8, 6), (320, 4, 3)
    ]  # fmt: skip
    torch.testing.assert_close(maps[-1], last)


def test_pretrained_weights_are_not_random() -> None:
    pixels = torch.from_numpy(np.random.default_rng(3).random((1, 3, 64, 64), dtype=np.float32))
    with torch.inference_mode():
        twice = [lite0()(pixels) for _ in range(2)]
        random = lite0(pretrained=False)(pixels)
    torch.testing.assert_close(twice[0], twice[1])
    assert not torch.allclose(twice[0], random, atol=0.01)


def test_unknown_requests_say_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"0 .* or 1000"):
        lite0(num_classes=10)
    with pytest.raises(ValueError, match=r"timm.list_models"):
        timm_backbone("no_such_model")


def test_weights_that_cannot_be_downloaded_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HOME", "/nowhere")
    with pytest.raises(FileNotFoundError, match="need internet"):
        timm_backbone("resnet14t.c3_in1k")
