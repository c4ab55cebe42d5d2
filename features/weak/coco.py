"""Weak objects as a COCO file: what a detector can learn from people's crops.

A wrong category teaches worse than none, and so does a thing that nobody cropped and that is taken
for background. Once a first detector says what it sees beside the objects, both are marked
`"unsure": 1`, which `features.detector.examples` keeps from being learned as a category or as
background. That first detector learns from all labels, nothing marked.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.boxes import EDGES, iou
from features.detector.catalogue import coco_file
from features.detector.detector import Detections, Detector
from features.images.images import load_image
from features.visuals.store import Progress

SURE_BOX, SURE_LABEL = 0.7, 0.6  # confidences from which an object is learned as what it is called
SEEN = 0.5  # score from which something that a detector sees is there
BESIDE = 0.3  # IoU with every weak object below which it is another thing


def weak_coco(objects: pd.DataFrame, seen: pd.DataFrame | None = None) -> dict[str, Any]:
    """A COCO file of the objects with a category. Each annotation also has `score`, the confidence
    of its box times that of its label, `n_users`, and `unsure`: 0; or with `seen` (rows of
    `seen_beside`, maybe none) 1 for what is only seen, by no user, and where either confidence is
    low."""
    sure = (objects["box_confidence"] >= SURE_BOX) & (objects["label_confidence"] >= SURE_LABEL)
    score = objects["box_confidence"] * objects["label_confidence"]
    doubt = 1 - sure.astype(int) if seen is not None else 0
    rows = objects.assign(unsure=doubt, score=score)
    rows = rows[rows["category"].notna()]
    if seen is not None and len(seen):
        rows = pd.concat([rows, seen.assign(unsure=1, n_users=0)], ignore_index=True)
    rows = rows.sort_values("image", kind="stable")
    photos = [
        (str(image), int(own["width"].iloc[0]), int(own["height"].iloc[0]),
         list(zip(own["category"], map(tuple, own[EDGES].to_numpy().tolist()), strict=True)))
        for image, own in rows.groupby("image", sort=True)
    ]  # fmt: skip
    coco = coco_file(photos, sorted(rows["category"].unique()))
    said = rows[["score", "n_users", "unsure"]].round(4).to_dict("records")
    for annotation, more in zip(coco["annotations"], said, strict=True):
        annotation |= more
    return coco


def seen_beside(
    objects: pd.DataFrame,
    files: Mapping[str, Path],
    detector: Detector,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """What a detector sees in the photos of the objects where no weak object is: columns image,
    width, height, category, score and edges.

    files: pin -> image file. The detector may have learned from the same weak objects (Lee 2013,
    "Pseudo-Label"): a third of what it sees there is real, which is too little to learn it as
    such, and too much to learn that nothing is there.
    """
    groups = objects.groupby("pin_id", sort=True)
    found: list[tuple[object, ...]] = []
    for number, (pin, own) in enumerate(groups, start=1):
        (seen,) = detector.detect([load_image(files[str(pin)])])
        for row in _beside(seen, own[EDGES].to_numpy()):
            thing = seen.labels[row], float(seen.scores[row]), *seen.boxes[row].tolist()
            found.append((own["image"].iloc[0], seen.width, seen.height, *thing))
        if progress is not None:
            progress("seen beside", number, len(groups))
    columns = ["image", "width", "height", "category", "score", *EDGES]
    return pd.DataFrame(found, columns=columns)


def _beside(seen: Detections, boxes: np.ndarray[Any, Any]) -> list[int]:
    """Rows of what is surely seen and overlaps none of the boxes `(N, 4)`."""
    return [
        row
        for row, box in enumerate(seen.boxes.astype(np.float64))
        if seen.scores[row] >= SEEN and (iou(box, boxes) < BESIDE).all()
    ]
