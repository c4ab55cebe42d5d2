"""The columns: how one is written down, and the feature columns by name and meaning."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

GARMENTS = (
    "dress", "outerwear", "top", "pants", "shorts", "skirt", "shoes",
    "bag", "hat", "sunglasses", "belt", "scarf", "tie", "watch",
)  # fmt: skip
FURNISHINGS = ("chair", "couch", "table", "lamp", "plant", "vase", "clock", "rug")
CATEGORIES = GARMENTS + FURNISHINGS
ACTIONS = ("closeup", "click", "long_click", "save", "hide")


def column(name: str, type_: TypeEngine[Any], comment: str, **kw: Any) -> sa.Column[Any]:
    """A column with its meaning; it may be null unless it is part of the key."""
    return sa.Column(name, type_, comment=comment, nullable=not kw.get("primary_key", False), **kw)


def key(name: str, comment: str, type_: TypeEngine[Any] | None = None) -> sa.Column[Any]:
    return column(name, type_ or sa.Text(), comment, primary_key=True)


def text(name: str, comment: str) -> sa.Column[Any]:
    return column(name, sa.Text(), comment)


def real(name: str, comment: str) -> sa.Column[Any]:
    return column(name, sa.Double(), comment)


def whole(name: str, comment: str) -> sa.Column[Any]:
    return column(name, sa.Integer(), comment)


def count(name: str, comment: str) -> sa.Column[Any]:
    return column(name, sa.BigInteger(), comment)


def time(name: str, comment: str) -> sa.Column[Any]:
    return column(name, sa.DateTime(), comment)


def day(name: str = "date", comment: str = "UTC day of the row") -> sa.Column[Any]:
    return column(name, sa.Date(), comment)


def day_key(comment: str) -> sa.Column[Any]:
    return key("date", comment, sa.Date())


PAIR_FEATURES: dict[str, str] = {
    "whole_cosine": "cosine of the two whole images, -1 to 1",
    "crop_cosine": (
        "cosine of the dominant objects' tight crops; the whole image stands in on a side without "
        "object, -1 to 1"
    ),
    "padded_crop_cosine": "as crop_cosine, with context around the boxes, -1 to 1",
    "query_has_object": "1 if the query pin has an object, else 0",
    "candidate_has_object": "1 if the candidate pin has an object, else 0",
    "both_have_object": "1 if both have an object, else 0",
    "same_category": (
        "1 if the dominant objects have the same category, 0 if not or if a side has none"
    ),
    "n_shared_categories": "number of categories that both pins hold",
    "query_object_area": (
        "area of the query pin's dominant object as a share of its image; 0 without object"
    ),
    "candidate_object_area": (
        "area of the candidate pin's dominant object as a share of its image; 0 without object"
    ),
    "query_object_score": "score of the query pin's dominant object; 0 without object",
    "candidate_object_score": "score of the candidate pin's dominant object; 0 without object",
    "query_n_objects": "objects found in the query pin",
    "candidate_n_objects": "objects found in the candidate pin",
    "best_object_cosine": (
        "highest cosine between any object of the query pin and any of the candidate pin; null "
        "where a side has none"
    ),
    "mean_best_object_cosine": (
        "mean over the query pin's objects of their highest cosine with an object of the "
        "candidate pin; null where a side has none"
    ),
    "dominant_to_any_cosine": (
        "highest cosine between the query pin's dominant object and any object of the candidate "
        "pin; null where a side has none"
    ),
    "any_to_dominant_cosine": (
        "highest cosine between any object of the query pin and the candidate pin's dominant "
        "object; null where a side has none"
    ),
    "same_category_cosine": (
        "highest cosine between objects of the same category; null where no category is shared"
    ),
    "same_category_colour_distance": (
        "smallest Lab distance (CIE76) between objects of the same category; null where no "
        "category is shared"
    ),
    "dominant_colour_distance": (
        "Lab distance (CIE76) between the dominant objects; null where a side has none"
    ),
    "matched_colour_distance": (
        "Lab distance (CIE76) between the two objects of best_object_cosine; null where a side "
        "has none"
    ),
    "colour_match": (
        "sum over the query pin's objects of exp(-d / 20), d the smallest Lab distance to an "
        "object of the same category in the candidate pin; 0 where no category is shared"
    ),
    **{
        f"{c}_cosine": (
            f"highest cosine between objects of category {c}; null unless both pins hold one"
        )
        for c in CATEGORIES
    },
    "whole_crop_cosine": (
        "cosine of the two whole images, each taken for an object and described like one, -1 to 1"
    ),
}

PAIR_INTEREST: dict[str, str] = {
    "query_interest_max": (
        "largest interest in an object of the query pin, 0 to 1: the share of its cropping that "
        "is to be expected there, from the pin's own crops and those of its category on other pins"
    ),
    "query_n_croppers": "users who cropped the query pin",
    "interest_cosine": (
        "mean, weighted by interest, over the query pin's objects of their highest cosine with an "
        "object of the candidate pin; null where the candidate pin has none"
    ),
    "interest_same_category": (
        "share of the query pin's interest on categories that the candidate pin holds, 0 to 1"
    ),
    "interest_same_category_cosine": (
        "mean, weighted by interest, over the query pin's objects whose category the candidate "
        "pin holds, of the highest cosine within the category; null where none"
    ),
    "interest_colour_distance": (
        "mean, weighted by interest, over the same objects, of the smallest Lab distance within "
        "the category; null where none"
    ),
    "interest_look_match": (
        "sum over the query pin's objects of interest times the highest cosine within the "
        "category, 0 where there is none"
    ),
    "interest_colour_match": (
        "sum over the query pin's objects of interest times exp(-d / 20), d the smallest Lab "
        "distance within the category; 0 where there is none"
    ),
}

ENGAGEMENT_FEATURES: dict[str, str] = {
    "pair_n_impressions": "times the pair was shown before the date",
    "pair_click_ratio": (
        "clicks over expected clicks of the pair before the date, smoothed; 1 is average"
    ),
    "pair_save_ratio": (
        "saves over expected saves of the pair before the date, smoothed; 1 is average"
    ),
    "candidate_n_impressions": "times the candidate pin was shown before the date",
    "candidate_click_ratio": (
        "clicks over expected clicks of the candidate pin before the date, smoothed"
    ),
    "candidate_save_ratio": (
        "saves over expected saves of the candidate pin before the date, smoothed"
    ),
    "candidate_hide_ratio": (
        "hides over expected hides of the candidate pin before the date, smoothed"
    ),
    "candidate_age_days": "days from the candidate pin's creation to the date",
}
