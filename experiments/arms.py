"""The arms: an arm is the feature columns that a ranker may see."""

from dataclasses import dataclass
from typing import Literal

from ranking.recipe import Linear
from sql.tables import ENGAGEMENT_FEATURES, PAIR_FEATURES, PAIR_INTEREST

CONTROL = "whole_image"
AA = "whole_image_aa"
PRIMARY = "targeted"
COLD = ("cold_whole_image", "cold_targeted")

_ALWAYS = ("source", *ENGAGEMENT_FEATURES)
_UNKNOWN = ("source", "candidate_age_days")
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
    """What one ranker is trained on; all arms share rows and labels, those with the same kind of
    ranker its settings.

    `columns` are columns of `training_rows`; `feature_version_kind` says whether the boxes behind
    them were detected or drawn by people; `seed` seeds the ranker; `ablation` marks an arm that
    only says what a part of the features gives (those of COLD see no engagement, and stand for pins
    that nobody has met yet); `linear` makes the ranker linear, in place of
    trees: see docs/decisions/linear.md.
    """

    name: str
    columns: tuple[str, ...]
    feature_version_kind: Literal["detected", "true_boxes"] = "detected"
    control: bool = False
    seed: int = 0
    ablation: bool = False
    linear: Linear | None = None

    @property
    def shippable(self) -> bool:
        """True for a treatment that the verdict looks at unasked: no control, true boxes, ablation,
        or linear ranker."""
        aside = self.ablation or self.linear is not None or self.name in (CONTROL, AA)
        return not (aside or self.feature_version_kind == "true_boxes")


def _arm(
    name: str, *columns: str, seed: int = 0, true_boxes: bool = False, ablation: bool = False,
    linear: Linear | None = None, always: tuple[str, ...] = _ALWAYS,
) -> Arm:  # fmt: skip
    kind: Literal["detected", "true_boxes"] = "true_boxes" if true_boxes else "detected"
    return Arm(name, (*always, *columns), kind, name == CONTROL, seed, ablation, linear)


def _weighed(column: str) -> Linear:
    """The paper's weight by hand: the look counts five times between objects of one category."""
    return Linear(column, "same_category", 5.0)


ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        _arm(CONTROL, "whole_cosine"),
        _arm("object_crop", "crop_cosine"),
        _arm("object_crop_padded", "padded_crop_cosine"),
        _arm("presence", "whole_cosine", *_PRESENCE),
        _arm(PRIMARY, *_ALL),
        _arm("oracle", *_ALL, true_boxes=True),
        _arm("paper_control", "whole_cosine", linear=Linear()),
        _arm("paper_a", "crop_cosine", linear=Linear()),
        _arm("paper_b", "crop_cosine", linear=_weighed("crop_cosine")),
        _arm("paper_c", "whole_cosine", linear=_weighed("whole_cosine")),
        _arm(AA, "whole_cosine", seed=1),
        _arm("whole_image_learned", "whole_crop_cosine", ablation=True),
        *(
            _arm(f"with_{family}", "whole_cosine", *columns, ablation=True)
            for family, columns in FAMILIES.items()
        ),
        _arm(COLD[0], "whole_cosine", ablation=True, always=_UNKNOWN),
        _arm(COLD[1], *_ALL, ablation=True, always=_UNKNOWN),
    )
}
SHIPPABLE = tuple(name for name, arm in ARMS.items() if arm.shippable)
ABLATIONS = tuple(name for name, arm in ARMS.items() if arm.ablation)
LINEAR = tuple(name for name, arm in ARMS.items() if arm.linear is not None)
