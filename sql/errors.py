"""Errors of the machine, in one sentence that says what to do: disk, rights, database."""

import errno
from collections.abc import Iterator

__all__ = ["in_one_line", "sentence"]

AGAIN = "then run the same command again: it goes on where it was."
MOST = 1_000
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)
FULL_WORDS = ("no space left on device", "disk is full", "disk quota exceeded", "file too large",
              "could not extend file")  # fmt: skip
IO_WORDS = ("disk i/o error",)
READ_ONLY_WORDS = ("readonly database", "read-only file system", "unable to open database file")
PASSWORD_WORDS = ("password authentication failed", "no password supplied")
GONE_WORDS = (
    "server closed the connection", "terminating connection", "connection refused",
    "the database system is", "no connection to the server", "connection to server",
    "could not connect to server", "ssl connection has been closed", "the connection is closed",
    "could not receive data from server", "could not send data to server", "consuming input failed",
    "connection timed out", "failed to resolve host", "could not translate host name",
)  # fmt: skip


def sentence(error: BaseException) -> str | None:
    """What went wrong and what to do, where it is the disk, a right or the database; else None.

    Looks at the error and its causes, since libraries wrap what the system said; a ValueError says
    already what to do.

    >>> sentence(OSError(errno.ENOSPC, "No space left on device", "/home/a/shard"))[:46]
    'The disk is full (/home/a/shard); free some sp'
    >>> sentence(ValueError("no such column")) is None
    True
    """
    chain = [] if isinstance(error, ValueError) else list(_causes(error))
    for found in chain:
        if isinstance(found, OSError) and (said := _of_system(found)):
            return said
    text = " ".join(" ".join(str(found).lower().split()) for found in chain if _of_library(found))
    return _of_words(text) if text else None


def in_one_line(error: BaseException) -> str:
    """The sentence on the error, or its own text without line breaks, without SQL, and cut where it
    is longer than MOST characters.

    >>> in_one_line(ValueError("no such\\n  column")), in_one_line(KeyboardInterrupt())
    ('no such column', 'KeyboardInterrupt')
    >>> in_one_line(OSError("too deep\\nQuery was: SELECT 1. SQLSTATE: 54001"))
    'too deep'
    """
    said = sentence(error) or str(getattr(error, "orig", None) or error)
    line = " ".join(said.split()).split(" Query was: ")[0]
    return (line if len(line) <= MOST else f"{line[:MOST]} ...") or type(error).__name__


def _of_system(error: OSError) -> str | None:
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in FULL:
        return f"The disk is full{where}; free some space or name a --home elsewhere, {AGAIN}"
    if error.errno in NOT_WRITABLE:
        return _not_writable(where)
    return None


def _of_words(text: str) -> str | None:
    def says(words: tuple[str, ...]) -> bool:
        return any(word in text for word in words)

    if says(FULL_WORDS):
        return (
            "The disk of the home or of the database is full; free some space or name a --home "
            f"elsewhere, {AGAIN}"
        )
    if says(IO_WORDS):
        return (
            "The disk of the database cannot be read or written: it is full, or a file has reached "
            f"its limit, or it is failing; see to it (free some space), {AGAIN}"
        )
    if says(READ_ONLY_WORDS):
        return _not_writable(" (the database file)")
    if says(PASSWORD_WORDS):
        return (
            "The database refuses the user or the password; correct them in --db or "
            f"RELATED_PINS_DB, {AGAIN}"
        )
    if says(GONE_WORDS):
        return (
            "The database cannot be reached, or went away in the middle; see that its server runs "
            f"and that --db names it, {AGAIN}"
        )
    return None


def _not_writable(where: str) -> str:
    return (
        f"The home or a file cannot be written or opened{where}; mount it for writing and give "
        f"this user the rights, or name another --home, {AGAIN}"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _of_library(error: BaseException) -> bool:
    """Whether it passes on what the system or the server said; the text of SQLAlchemy's own errors
    is mostly SQL, and their cause is in the chain.
    """
    return type(error).__module__.split(".")[0] != "sqlalchemy" and not isinstance(
        error, ValueError
    )
