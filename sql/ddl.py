"""Statements for PostgreSQL that take no parameters, with names and values quoted by psycopg."""

from typing import LiteralString

import sqlalchemy as sa
from psycopg.sql import SQL, Composable


def execute(
    connection: sa.Connection, statement: LiteralString, **parts: Composable
) -> sa.CursorResult[object]:
    """Run the statement with each `{name}` in it replaced by the part of that name.

    Parts are Identifier, Literal or SQL of `psycopg.sql`
    (https://www.psycopg.org/psycopg3/docs/api/sql.html).
    """
    text = SQL(statement).format(**parts).as_string()
    return connection.exec_driver_sql(text.replace("%", "%%"))
