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
_COLOUR = (
    "same_category_colour_distance", "dominant_colour_distance", "matched_colour_distance",
    "colour_match",
)  # fmt: skip
_CATEGORY = (*_PRESENCE, "n_shared_categories", "query_n_objects", "candidate_n_objects")
FAMILIES: dict[str, tuple[str, ...]] = {
    "look": tuple(
        name for name in PAIR_FEATURES if name not in ("whole_cosine", *_COLOUR, *_CATEGORY)
    ),
    "category": _CATEGORY,
    "colour": _COLOUR,
    "interest": tuple(PAIR_INTEREST),
}


@dataclass(frozen=True)
class Arm:
    """What one ranker is trained on; all arms share rows, labels and settings.

    `columns` are columns of `training_rows`; `feature_version_kind` says whether the boxes behind
    them were detected or drawn by people; `seed` seeds the ranker; `ablation` marks an arm that
    only says what a part of the features gives.
    """

    name: str
    columns: tuple[str, ...]
    feature_version_kind: Literal["detected", "true_boxes"] = "detected"
    control: bool = False
    seed: int = 0
    ablation: bool = False

    @property
    def shippable(self) -> bool:
        """True for a treatment to be shown to people: no control, true boxes, or ablation."""
        true_boxes = self.feature_version_kind == "true_boxes"
        return not (true_boxes or self.ablation or self.name in (CONTROL, AA))


def _arm(
    name: str, *columns: str, seed: int = 0, true_boxes: bool = False, ablation: bool = False
) -> Arm:
    kind: Literal["detected", "true_boxes"] = "true_boxes" if true_boxes else "detected"
    return Arm(name, (*_ALWAYS, *columns), kind, name == CONTROL, seed, ablation)


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
        _arm("whole_image_learned", "whole_crop_cosine", ablation=True),
        *(
            _arm(f"with_{family}", "whole_cosine", *columns, ablation=True)
            for family, columns in FAMILIES.items()
        ),
    )
}
SHIPPABLE = tuple(name for name, arm in ARMS.items() if arm.shippable)
ABLATIONS = tuple(name for name, arm in ARMS.items() if arm.ablation)
