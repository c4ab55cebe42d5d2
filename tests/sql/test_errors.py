import errno
import os
import sqlite3

import adbc_driver_manager
import psycopg
import pytest
import sqlalchemy as sa

from sql.errors import in_one_line, sentence


def wrapped(original: Exception, error: Exception) -> Exception:
    try:
        raise error from original
    except Exception as caught:
        return caught


def adbc(text: str) -> Exception:
    return adbc_driver_manager.OperationalError(
        text, status_code=adbc_driver_manager.AdbcStatusCode.IO
    )


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/srv/a"), "disk is full (/srv/a)"),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), "disk is full"),
        (RuntimeError("write: No space left on device"), "is full"),
        (sqlite3.OperationalError("database or disk is full"), "is full"),
        (adbc("[SQLite] disk I/O error"), "free some space"),
        (OSError(errno.EROFS, os.strerror(errno.EROFS), "/srv/a"), "opened (/srv/a)"),
        (PermissionError(errno.EACCES, "Permission denied", "/srv/a"), "opened (/srv/a)"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "the database file"),
        (psycopg.OperationalError("consuming input failed: server closed the connection"), "away"),
        (psycopg.errors.AdminShutdown("terminating connection"), "away in the middle"),
        (adbc("[libpq] could not receive data from server: Connection refused"), "cannot be reach"),
        (psycopg.OperationalError('password authentication failed for user "a"'), "the password"),
    ],
)
def test_each_failure_of_the_machine_says_what_to_do(error: Exception, words: str) -> None:
    for found in (error, wrapped(error, RuntimeError("the shard was not written"))):
        said = sentence(found)
        assert said is not None
        assert words in said
        assert "then run the same command again" in said
        assert "\n" not in said


def test_a_defect_or_a_sentence_of_ours_is_left_as_it_is() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    for error in (KeyError("disk"), wrapped(full, ValueError("x is not Parquet; write it again."))):
        assert sentence(error) is None
    assert sentence(FileNotFoundError("There is no folder x; name the folder.")) is None


def test_a_row_that_speaks_of_disks_is_no_full_disk() -> None:
    wrong = sqlite3.IntegrityError("UNIQUE constraint failed: pins.pin_id")
    query = "INSERT INTO pins VALUES ('disk is full')"
    error = wrapped(wrong, sa.exc.IntegrityError(query, None, wrong))
    assert sentence(error) is None
    assert in_one_line(error) == "UNIQUE constraint failed: pins.pin_id"
