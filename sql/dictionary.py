"""The data dictionary: every table and view with its grain, columns, types and meanings."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from sql.schema import view_files
from sql.tables import ACTIONS, METADATA

MADE_OF = {
    "stg_pins": ("pins", "pin_visuals"),
    "stg_objects": ("pin_objects", "pins"),
    "stg_impressions": ("impressions", "requests", "candidates"),
    "stg_engagements": ("engagements", "requests", "impressions"),
    "training_rows": (
        "impressions", "requests", "candidates", "pair_features", "pair_interest",
        "engagement_features",
    ),
    "feature_coverage": ("pin_visuals",),
    "current_feature_versions": ("manifest",),
}  # fmt: skip
DERIVED = {
    **{a: ("INTEGER", f"1 if the user did a {a} on the candidate pin, else 0") for a in ACTIONS},
    "grade": (
        "INTEGER",
        "worth to the ranker: 4 save, else 3 long_click, else 2 click, else 1 closeup, else 0",
    ),
    "has_object": ("INTEGER", "1 if an object was found, else 0; null where no image was read"),
    "width_px": ("DOUBLE", "width of the box, pixels of the original image"),
    "height_px": ("DOUBLE", "height of the box, pixels of the original image"),
    "kind": ("TEXT", "detected: objects as found; true_boxes: true boxes where they are known"),
    "what": ("TEXT", "what is counted"),
    "n": ("BIGINT", "how many there are"),
    "n_covered": ("BIGINT", "how many of them are covered"),
    "share": ("DOUBLE", "n_covered over n, 0 to 1"),
}


@dataclass(frozen=True)
class Column:
    """A column: its SQL type, what it means and in what unit, and whether it is part of the key."""

    name: str
    type: str
    meaning: str
    is_key: bool = False


@dataclass(frozen=True)
class Relation:
    """A table or view, and what one of its rows is."""

    name: str
    kind: str
    grain: str
    columns: tuple[Column, ...]


def describe() -> list[Relation]:
    """All tables in the order of the data's way, then all views."""
    return [*map(_of_table, METADATA.tables.values()), *_views()]


def data_dictionary_markdown() -> str:
    """The data dictionary as Markdown: a heading, the grain and a table of columns for each."""
    return "\n".join(_section(relation) for relation in describe())


def _of_table(table: sa.Table) -> Relation:
    columns = (
        Column(c.name, _type(c), c.comment or "", is_key=c.primary_key) for c in table.columns
    )
    return Relation(table.name, "table", table.comment or "", tuple(columns))


def _type(column: sa.Column[object]) -> str:
    return "TIMESTAMP" if isinstance(column.type, sa.DateTime) else str(column.type)


def _views() -> Iterator[Relation]:
    """The views, with the columns that they have in an empty database in memory."""
    engine = sa.create_engine("sqlite://")
    METADATA.create_all(engine)
    with engine.connect() as connection:
        for file in view_files():
            name, text = file.stem, file.read_text()
            connection.exec_driver_sql(f"CREATE VIEW {name} AS\n{text}")
            names = connection.exec_driver_sql(f"SELECT * FROM {name}").keys()
            columns = tuple(_of_view(name, column) for column in names)
            yield Relation(name, "view", view_grain(file), columns)


def view_grain(file: Path) -> str:
    """The sentence with which a view's file begins."""
    return file.read_text().split("\n")[0].removeprefix("-- ")


def _of_view(view: str, name: str) -> Column:
    for table in (METADATA.tables[t] for t in MADE_OF[view]):
        if name in table.columns:
            column = table.columns[name]
            return Column(name, _type(column), column.comment or "")
    return Column(name, *DERIVED[name])


def _section(relation: Relation) -> str:
    lines = [f"### {relation.name} ({relation.kind})", "", relation.grain, ""]
    lines += ["| column | type | meaning |", "|---|---|---|"]
    for column in relation.columns:
        name = f"**{column.name}**" if column.is_key else column.name
        lines.append(f"| {name} | {column.type} | {column.meaning} |")
    return "\n".join([*lines, ""])
