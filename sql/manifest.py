"""What has been done: one row per finished piece of work, with the hash of its inputs."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime

import sqlalchemy as sa

from sql.tables import manifest


def fingerprint(*parts: object) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the parts.

    Parts are anything JSON can say, or anything else by its text (dates, paths); dictionaries
    count by content, not by order.

    >>> fingerprint("model", 1, {"a": 1, "b": 2}) == fingerprint("model", 1, {"b": 2, "a": 1})
    True
    >>> fingerprint("ab", "c") == fingerprint("a", "bc")
    False
    """
    text = json.dumps(parts, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def find(connection: sa.Connection, step: str, piece: str) -> str | None:
    """The fingerprint under which the piece was finished, or None."""
    query = sa.select(manifest.c.fingerprint).where(
        manifest.c.step == step, manifest.c.piece == piece
    )
    return connection.execute(query).scalar()


def pieces(connection: sa.Connection, step: str, feature_version: str) -> dict[str, str]:
    """The fingerprint of every finished piece of a feature version, by piece."""
    query = sa.select(manifest.c.piece, manifest.c.fingerprint).where(
        manifest.c.step == step, manifest.c.feature_version == feature_version
    )
    return {row.piece: row.fingerprint for row in connection.execute(query)}


def forget(connection: sa.Connection, step: str, pieces: Sequence[str]) -> None:
    """Delete the manifest rows of pieces that are about to change."""
    mine = manifest.c.step == step, manifest.c.piece.in_(pieces)
    connection.execute(sa.delete(manifest).where(*mine))


def record(connection: sa.Connection, **row: object) -> None:
    """Write the manifest row of a finished piece in place of an older one of the same key."""
    for statement in recording(**row):
        connection.execute(statement)


def recording(**row: object) -> tuple[sa.Delete, sa.Insert]:
    """The statements of `record`, for a transaction that does something else as well."""
    mine = manifest.c.step == row["step"], manifest.c.piece == row["piece"]
    now = datetime.now(UTC).replace(tzinfo=None)
    return sa.delete(manifest).where(*mine), sa.insert(manifest).values(finished_at=now, **row)


def unmark_later(engine: sa.Engine, step: str, piece: str) -> None:
    """Takes the later pieces of a step off the list: what they were made from is about to go."""
    with engine.begin() as connection:
        connection.execute(
            sa.delete(manifest).where(manifest.c.step == step, manifest.c.piece > piece)
        )
