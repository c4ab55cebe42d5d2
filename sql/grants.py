"""Who may read the database: a PostgreSQL role for analysts that cannot change anything."""

import re

import sqlalchemy as sa
from psycopg.sql import Composable, Identifier, Literal

from sql.database import Database
from sql.ddl import execute

SETTINGS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "10min",
    "idle_in_transaction_session_timeout": "10min",
}
_ROLE = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")
_RESERVED = {"public", "none", "current_role", "current_user", "session_user"}


def grant_reading(database: Database, role: str) -> bool:
    """Make or update a role that may read every table and view, those to come too, and no more.

    A partition is read through its table. Tables to come are those that the present user will make.
    A role that is made can log in, and has no password until the operator sets one. Returns whether
    it was made. Raises ValueError for SQLite, for a name that is not lower-case letters, digits and
    underscores, and for a role that could write all the same (a superuser, an owner, a member of
    such a role), which is then left as it was.
    """
    if database.is_sqlite:
        raise ValueError(
            "SQLite has no roles: the permissions of its file say who may read it, and "
            "`related-pins sql query` is read-only. Roles are for --db postgresql://..."
        )
    if not _ROLE.fullmatch(role) or role in _RESERVED:
        raise ValueError(
            f"{role!r} cannot be the name of a role; use at most 63 lower-case letters, digits and "
            "underscores, not starting with a digit or pg_."
        )
    with database.engine.begin() as connection:
        known = sa.text("SELECT count(*) FROM pg_roles WHERE rolname = :role")
        made = not connection.execute(known, {"role": role}).scalar()
        if made:
            execute(connection, "CREATE ROLE {role} LOGIN", role=Identifier(role))
        _grant(connection, role)
        if reasons := _ways_to_write(connection, role):
            raise ValueError(
                f"Role {role} could still change the database ({', '.join(reasons)}); take that "
                "from it first, or name another role."
            )
    return made


def _grant(connection: sa.Connection, role: str) -> None:
    query = sa.text("SELECT current_database(), current_schema()")
    database, schema = connection.execute(query).one()
    names: dict[str, Composable] = {
        "role": Identifier(role), "database": Identifier(database), "schema": Identifier(schema),
    }  # fmt: skip
    execute(connection, "GRANT CONNECT ON DATABASE {database} TO {role}", **names)
    execute(connection, "REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC, {role}", **names)
    execute(connection, "GRANT USAGE ON SCHEMA {schema} TO {role}", **names)
    execute(connection, "REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role}", **names)
    execute(connection, "GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}", **names)
    execute(
        connection,
        "ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {role}", **names,
    )  # fmt: skip
    for name, value in SETTINGS.items():
        execute(
            connection, "ALTER ROLE {role} IN DATABASE {database} SET {name} = {value}",
            **names, name=Identifier(name), value=Literal(value),
        )  # fmt: skip


_WAYS = sa.text("""
SELECT 'it is a superuser' FROM pg_roles WHERE rolname = :role AND rolsuper
UNION ALL
SELECT 'it may make roles' FROM pg_roles WHERE rolname = :role AND rolcreaterole
UNION ALL
SELECT 'it may create in the database'
WHERE has_database_privilege(:role, current_database(), 'CREATE')
UNION ALL
SELECT 'it may create in schema ' || nspname FROM pg_namespace
WHERE nspname IN (current_schema(), 'partitions') AND has_schema_privilege(:role, oid, 'CREATE')
UNION ALL
SELECT CASE WHEN owned THEN 'it owns ' ELSE 'it may write to ' END || relname FROM (
    SELECT relname, pg_has_role(:role, relowner, 'MEMBER') AS owned,
        has_table_privilege(:role, oid, 'INSERT, UPDATE, DELETE, TRUNCATE') AS written
    FROM pg_class
    WHERE relkind IN ('r', 'p', 'v') AND relnamespace IN (
        SELECT oid FROM pg_namespace WHERE nspname IN (current_schema(), 'partitions')
    )
) AS tables WHERE owned OR written
""")


def _ways_to_write(connection: sa.Connection, role: str) -> list[str]:
    """At most the first three reasons why the role is not read-only."""
    return [str(why) for why in connection.execute(_WAYS, {"role": role}).scalars()][:3]
