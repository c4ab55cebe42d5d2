"""The bundled detector's own training: where its photos and boxes come from."""

import json
from pathlib import Path

from features.detector.catalogue import catalogue_boxes
from features.detector.detector import BUNDLED, load_detector
from features.detector.everyday import everyday_boxes
from features.detector.outfits import outfit_boxes
from features.detector.training import Recipe, check_out, train

PRODUCTS_PER_BOARD = 60
TIMES = {"scenes": 0.125, "catalogue": 0.3, "outfits": 0.4, "everyday": 2.0}
RECIPE = Recipe(
    batch_size=16,
    learning_rate=5e-4,
    frozen=("layers.conv_stem", "layers.bn1"),
    warm_up_steps=100,
    ema_decay=0.998,
)


def train_bundled(
    fashion: Path, scenes: Path, everyday: Path, out: Path, recipe: Recipe = RECIPE
) -> Path:
    """Trains the bundled detector as docs/model-card.md describes it; returns `out`.

    It goes on from the bundled weights, which are also the teacher that boxes worn garments in
    product photos, street outfits that nobody boxed and garments in everyday photos. fashion: a
    folder in the input contract with boxes_train.json. scenes: drawn scenes' boxes.json and photos,
    as `related-pins sample` writes. everyday: a COCO file boxes_train.json and its photos.
    """
    check_out(out)
    teacher, out = load_detector(), Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    made = {
        "scenes": (json.loads((scenes / "boxes.json").read_text()), scenes),
        "catalogue": (catalogue_boxes(fashion, teacher.detect, PRODUCTS_PER_BOARD), fashion),
        "outfits": (outfit_boxes(fashion, teacher.detect), fashion),
        "everyday": (everyday_boxes(everyday, "boxes_train.json", teacher.detect), everyday),
    }
    coco_files = [(fashion / "boxes_train.json", fashion)]
    for name, (boxes, folder) in made.items():
        file = out.with_suffix(f".{name}.json")
        file.write_text(json.dumps(boxes))
        coco_files.append((file, folder))
    times = [1.0, *(TIMES[name] for name in made)]
    train(coco_files, out, recipe, start=BUNDLED, times=times)
    for file, _ in coco_files[1:]:
        file.unlink()
    return out
