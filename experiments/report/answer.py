"""A question to the database with the SQL that was asked, so that a reader can ask it again."""

import textwrap
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from sql.database import Database

Row = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """The rows of a query, and its text as it ran, with every value in place."""

    query: str
    rows: tuple[Row, ...]


def ask(database: Database, query: str, **params: object) -> Answer:
    """The answer to a query; `:name` in it stands for a parameter (a list for IN).

    Raises whatever the database raises on a query that it does not understand.
    """
    bound = sa.text(textwrap.dedent(query).strip()).bindparams(
        *(
            sa.bindparam(name, value, expanding=isinstance(value, list))
            for name, value in params.items()
        )
    )
    # psycopg's own style of parameters would double percent signs
    dialect = type(database.engine.dialect)(paramstyle="named")  # type: ignore[call-arg]
    text = str(bound.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    return Answer(text, tuple(database.read(text).to_pylist()))
