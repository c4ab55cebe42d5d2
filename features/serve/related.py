"""Related pins of a pin, arm by arm, and what each feature says of a pair; read from SQL."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from features.pairs.one import pair_row
from features.serve.pins import Pin, pins_by_id
from sql.columns import CATEGORIES, PAIR_FEATURES, PAIR_INTEREST
from sql.database import Database
from sql.home import feature_versions
from sql.tables import pair_features, rankings

CONTROL, TREATMENT = "whole_image", "targeted"
SUMMARY = ("whole_cosine", "best_object_cosine", "matched_colour_distance", "n_shared_categories")
_ARMS = """
SELECT date, arm FROM models AS m
WHERE EXISTS (SELECT 1 FROM rankings AS r WHERE r.date = m.date AND r.arm = m.arm)
ORDER BY date DESC, arm
"""


class NoRanking(LookupError):
    """What is not ranked; its text is a sentence that says what to do."""


@dataclass(frozen=True)
class Ranked:
    """The newest date on which the control and an arm were ranked, and the arms of that date."""

    date: dt.date
    arms: tuple[str, ...]


@dataclass(frozen=True)
class RelatedPin:
    """A candidate pin in an arm's order.

    rank: from 1. control_rank: its place in the control's order, None where it has none. score:
    of the arm's ranker; only its order means something. features: columns of pair_features that
    sum the pair up, by name; None where they are null.
    """

    pin_id: str
    title: str
    rank: int
    control_rank: int | None
    score: float
    features: dict[str, float | None]


def ranked(database: Database, arm: str) -> Ranked:
    """Raises NoRanking where the arm, or the control, is in no ranking."""
    arms: dict[dt.date, list[str]] = {}
    for row in database.read(_ARMS).to_pylist():
        arms.setdefault(row["date"], []).append(row["arm"])
    if not arms:
        raise NoRanking("Nothing is ranked yet; run `related-pins daily` first.")
    for date, names in arms.items():
        if {CONTROL, arm} <= set(names):
            return Ranked(date, tuple(names))
    known = ", ".join(sorted(set().union(*arms.values())))
    raise NoRanking(f"There is no arm {arm[:40]!a} in the rankings; there are {known}.")


def related(database: Database, date: dt.date, pin_id: str, arm: str, top: int) -> list[RelatedPin]:
    """The first `top` candidates of a query pin in an arm's order; empty where it has none."""
    version = feature_versions(database)["detected"]
    rows = database.read(_order(version, date, pin_id, arm, top)).to_pylist()
    known = pins_by_id(database, version, [row["candidate_pin_id"] for row in rows])
    return [
        _related_pin(row, known[id]) for row in rows if (id := row["candidate_pin_id"]) in known
    ]


def _order(
    version: str, date: dt.date, pin_id: str, arm: str, top: int
) -> sa.Select[tuple[object, ...]]:
    mine, control = rankings.alias("mine"), rankings.alias("control")
    same_pair = [
        control.c.date == mine.c.date, control.c.arm == CONTROL,
        control.c.query_pin_id == mine.c.query_pin_id,
        control.c.candidate_pin_id == mine.c.candidate_pin_id,
    ]  # fmt: skip
    pair = [
        pair_features.c.feature_version == version,
        pair_features.c.query_pin_id == mine.c.query_pin_id,
        pair_features.c.candidate_pin_id == mine.c.candidate_pin_id,
    ]
    return (
        sa.select(
            mine.c.candidate_pin_id, mine.c.rank, mine.c.score,
            control.c.rank.label("control_rank"), *(pair_features.c[name] for name in SUMMARY),
        )
        .select_from(mine)
        .outerjoin(control, sa.and_(*same_pair))
        .outerjoin(pair_features, sa.and_(*pair))
        .where(mine.c.date == date, mine.c.arm == arm, mine.c.query_pin_id == pin_id)
        .where(mine.c.rank <= top)
        .order_by(mine.c.rank)
    )  # fmt: skip


def _related_pin(row: dict[str, object], pin: Pin) -> RelatedPin:
    return RelatedPin(
        pin_id=pin.pin_id,
        title=pin.title,
        rank=row["rank"],  # type: ignore[arg-type]
        control_rank=row["control_rank"],  # type: ignore[arg-type]
        score=row["score"],  # type: ignore[arg-type]
        features={name: row[name] for name in SUMMARY},  # type: ignore[misc]
    )


@dataclass(frozen=True)
class Said:
    """What one feature says of a pair. bar: a cosine as a share of 1, for drawing; None for other
    features, null, or a cosine below 0.
    """

    name: str
    meaning: str
    value: float | None
    bar: float | None


def what_features_say(database: Database, query: str, candidate: str) -> dict[str, list[Said]]:
    """All features of a pair by family; a category's cosine only where both pins hold one.

    Raises ValueError where the pair has no features.
    """
    row = pair_row(database, feature_versions(database)["detected"], query, candidate)
    said = {name: _said(name, meaning, row.get(name)) for name, meaning in PAIR_FEATURES.items()}
    interest = [_said(name, text, row.get(name)) for name, text in PAIR_INTEREST.items()]
    by_category = [f"{category}_cosine" for category in CATEGORIES]
    families = {
        "Whole images": [n for n in said if n.startswith("whole_")],
        "Category by category": [n for n in by_category if said[n].value is not None],
        "Colour": [n for n in said if "colour" in n],
        "What is there": [
            n for n in said if n.endswith(("_object", "_area", "_score", "_n_objects"))
            or n in ("same_category", "n_shared_categories")
        ],
    }  # fmt: skip
    placed = {name for names in families.values() for name in names} | set(by_category)
    families = {"Objects": [n for n in said if n not in placed], **families}
    found = {family: [said[name] for name in names] for family, names in families.items()}
    return {**found, "People's crops": [one for one in interest if one.value is not None]}


def _said(name: str, meaning: str, value: float | None) -> Said:
    is_cosine = name.endswith("_cosine") and value is not None
    return Said(name, meaning, value, max(0.0, min(1.0, value)) if is_cosine and value else None)


def moved(found: Sequence[RelatedPin]) -> int:
    """How many of the pins the control does not show among as many."""
    return sum(pin.control_rank is None or pin.control_rank > len(found) for pin in found)
