"""The arms: an arm is the feature columns that a ranker may see."""

from dataclasses import dataclass
from typing import Literal

from sql.tables import ENGAGEMENT_FEATURES, PAIR_FEATURES, PAIR_INTEREST

CONTROL = "whole_image"
AA = "whole_image_aa"
PRIMARY = "targeted"

_ALWAYS = ("source", *ENGAGEMENT_FEATURES)
_PRESENCE = (
    "query_has_object",
    "candidate_has_object",
    "both_have_object",
    "same_category",
    "query_object_area",
    "candidate_object_area",
    "query_object_score",
    "candidate_object_score",
)
_ALL = (*PAIR_FEATURES, *PAIR_INTEREST)


@dataclass(frozen=True)
class Arm:
    """What one ranker is trained on; all arms share rows, labels and settings.

    `columns` are columns of `training_rows`; `feature_version_kind` says whether the boxes behind
    them were detected or drawn by people; `seed` seeds the ranker.
    """

    name: str
    columns: tuple[str, ...]
    feature_version_kind: Literal["detected", "true_boxes"] = "detected"
    control: bool = False
    seed: int = 0

    @property
    def shippable(self) -> bool:
        """True for a treatment that could be shown to people: no control, and no true boxes."""
        return self.feature_version_kind == "detected" and self.name not in (CONTROL, AA)


def _arm(name: str, *columns: str, seed: int = 0, true_boxes: bool = False) -> Arm:
    kind: Literal["detected", "true_boxes"] = "true_boxes" if true_boxes else "detected"
    return Arm(name, (*_ALWAYS, *columns), kind, control=name == CONTROL, seed=seed)


ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        _arm(CONTROL, "whole_cosine"),
        _arm("object_crop", "crop_cosine"),
        _arm("object_crop_padded", "padded_crop_cosine"),
        _arm("presence", "whole_cosine", *_PRESENCE),
        _arm(PRIMARY, *_ALL),
        _arm("oracle", *_ALL, true_boxes=True),
        _arm(AA, "whole_cosine", seed=1),
    )
}
SHIPPABLE = tuple(name for name, arm in ARMS.items() if arm.shippable)
