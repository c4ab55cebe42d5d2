"""The input contract: the files, their columns, keys and allowed values."""

from dataclasses import dataclass
from typing import Literal

from sql.columns import ACTIONS

Kind = Literal["text", "real", "whole", "time"]
POLICIES = ("production", "random")


@dataclass(frozen=True)
class Field:
    """A column of an input file; a row without a required value is set aside."""

    name: str
    kind: Kind = "text"
    required: bool = True


@dataclass(frozen=True)
class Input:
    """An input file; `time` is the column that says when a row came to be, `allowed` the values
    that a column may take."""

    name: str
    fields: tuple[Field, ...]
    key: tuple[str, ...]
    time: str | None = None
    allowed: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def columns(self) -> list[str]:
        return [field.name for field in self.fields]


_BOX = tuple(Field(edge, "real") for edge in ("x1", "y1", "x2", "y2"))

INPUTS: dict[str, Input] = {
    entry.name: entry
    for entry in (
        Input(
            "pins",
            (
                Field("pin_id"),
                Field("image"),
                Field("title", required=False),
                Field("board", required=False),
                Field("created_at", "time"),
            ),
            key=("pin_id",),
            time="created_at",
        ),
        Input(
            "requests",
            (
                Field("request_id"),
                Field("user_id"),
                Field("query_pin_id"),
                Field("requested_at", "time"),
                Field("policy"),
                Field("platform", required=False),
            ),
            key=("request_id",),
            time="requested_at",
            allowed=(("policy", POLICIES),),
        ),
        Input(
            "impressions",
            (
                Field("request_id"),
                Field("candidate_pin_id"),
                Field("position", "whole"),
                Field("propensity", "real", required=False),
            ),
            key=("request_id", "candidate_pin_id"),
        ),
        Input(
            "engagements",
            (
                Field("request_id"),
                Field("candidate_pin_id"),
                Field("action"),
                Field("engaged_at", "time"),
            ),
            key=("request_id", "candidate_pin_id", "action"),
            time="engaged_at",
            allowed=(("action", ACTIONS),),
        ),
        Input(
            "candidates",
            (Field("query_pin_id"), Field("candidate_pin_id"), Field("source", required=False)),
            key=("query_pin_id", "candidate_pin_id"),
        ),
        Input(
            "crops",
            (Field("crop_id"), Field("user_id"), Field("pin_id"), *_BOX,
             Field("cropped_at", "time")),
            key=("crop_id",),
            time="cropped_at",
        ),
    )
}  # fmt: skip

BOXES = Input(
    "true_boxes",
    (Field("file"), Field("annotation"), Field("image"), Field("category"), *_BOX),
    key=("file", "annotation"),
)
