"""The commands about the database: upgrade, describe, query, grant; and the status of a home."""

from typing import Annotated

import typer

from sql.home import HOME, Db, Home, existing, opened
from sql.logs import masked

app = typer.Typer(no_args_is_help=True, help="The database: upgrade, describe, query, grant.")
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]


@app.command()
def upgrade(home: Home = HOME, db: Db = None) -> None:
    """Create or migrate the tables and views. Example: related-pins sql upgrade"""
    print(masked(f"Up to date: {opened(home, db).engine.url.render_as_string()}", db))


@app.command()
def describe(home: Home = HOME, db: Db = None) -> None:
    """Every table and column with its meaning. Example: related-pins sql describe"""
    from sql.dictionary import data_dictionary_markdown

    print(data_dictionary_markdown())


@app.command("query")
def sql_query(
    query: Annotated[str, typer.Argument(help="One SELECT; nothing can be changed.")],
    home: Home = HOME, db: Db = None,
    format: Annotated[str, typer.Option(help="table, csv (with a header line) or json")] = "table",
) -> None:  # fmt: skip
    """Run a read-only query.

    Example: related-pins sql query "SELECT arm, lift FROM experiment_lift" --format csv
    """
    from sql.query import query as run_query

    print(run_query(existing(home, db), query, format), end="")


@app.command("grant")
def sql_grant(
    role: Annotated[str, typer.Argument(help="Role of PostgreSQL; made where it is missing.")],
    home: Home = HOME, db: Db = None,
) -> None:  # fmt: skip
    """Let a role of analysts read every table and view, and change nothing (PostgreSQL).

    Example: related-pins sql grant analysts --db postgresql://related_pins@db/pins
    """
    from sql.grants import grant_reading

    made = grant_reading(existing(home, db), role)
    print(f"{role} may read every table and view, and change nothing.")
    if made:
        print(f"Next: set its password in psql: \\password {role}")


def status(
    home: Home = HOME, db: Db = None, as_json: AsJson = False,
    metrics: Annotated[bool, typer.Option("--metrics", help="Print Prometheus metrics.")] = False,
) -> None:  # fmt: skip
    """Last runs, rows, feature versions, disk, and what the next daily run will do; writes nothing.

    Example: related-pins status --json
    """
    from sql import status_text
    from sql.status import status as state_of

    found = state_of(home, existing(home, db))
    if metrics:
        print(masked(status_text.as_metrics(found), db), end="")
    else:
        print(masked(status_text.as_json(found) if as_json else status_text.as_text(found), db))
