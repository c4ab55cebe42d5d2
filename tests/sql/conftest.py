from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from sql.database import Database, open_database


@pytest.fixture
def server(postgres_url: str) -> Iterator[Database]:
    """The PostgreSQL server's database, emptied and upgraded."""
    database = open_database(postgres_url)
    with database.engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA IF EXISTS partitions CASCADE"))
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    database.upgrade()
    yield database
    database.engine.dispose()
