"""The command line when things go wrong: a second command, no rights, no disk, no database."""

import datetime as dt
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import features.daily
import features.pairs.store
import related_pins
from features.pairs.shards import MadePairs, PairWork
from sql import exchanges
from sql.database import Database, open_database
from sql.errors import in_one_line
from sql.lock import locked
from sql.status import status
from tests.features.pairs.pair_world import filled
from tests.postgres import Server, new_server
from tests.sql.example import FILES

PASSWORD = "pa55@wörd/x"
QUOTED = "pa55%40w%C3%B6rd%2Fx"
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `related-pins WORDS`: its exit code, what it prints, and its errors."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["related-pins", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            related_pins.main()
        code = ended.value.code
        assert code is None or isinstance(code, int)
        out, err = capsys.readouterr()
        return code or 0, out, err.lstrip("\n")  # of the progress bars

    return run


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with new_server(PASSWORD) as running:
        yield running


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """A mount over the folder, for root on a machine that allows it; else the test is skipped."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", *options, str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    if os.getuid() == 0:
        with mounted(folder, "--bind", "-o", "ro", str(folder)):
            yield
    else:
        folder.chmod(0o555)
        yield
        folder.chmod(0o755)


def log_lines(home: Path) -> list[dict[str, object]]:
    files = sorted((home / "logs").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def states(home: Path, database: Database) -> list[str]:
    return [run.status for run in status(home, database).runs]


def assert_one_sentence(text: str) -> None:
    assert text.startswith("Error: "), text
    assert text.count("\n") == 1, text
    assert text.endswith(".\n"), text


def test_a_run_leaves_lines_with_its_id_steps_and_counts(
    command: Command, source: Path, tmp_path: Path
) -> None:
    words = ("ingest", "--source", source, "--date", "2026-11-03", "--home", tmp_path / "home")
    code, out, _ = command(*words, "--json")
    assert code == 0
    lines = log_lines(tmp_path / "home")
    assert [(line["step"], line["event"]) for line in lines] == [
        (None, "started"), ("ingest", "started"), ("ingest", "finished"), (None, "finished"),
    ]  # fmt: skip
    database = open_database(tmp_path / "home" / "related_pins.db")
    (run,) = status(tmp_path / "home", database).runs
    assert {(line["run_id"], line["command"]) for line in lines} == {(run.run_id, "ingest")}
    counted = lines[2]["counts"]
    assert isinstance(counted, dict)
    assert counted["ingest.written.pins"] == json.loads(out)["ingest"]["written"]["pins"] == 5
    assert all(dt.datetime.fromisoformat(str(line["time"])).utcoffset() == dt.timedelta(0)
               for line in lines)  # fmt: skip


def test_the_second_command_leaves_with_four(
    command: Command, source: Path, tmp_path: Path
) -> None:
    hold = (
        "import sys; from pathlib import Path; from sql.lock import locked\n"
        "with locked(Path(sys.argv[1]), None, 'daily'): print(flush=True); sys.stdin.read()"
    )
    words = ("ingest", "--source", source, "--date", "2026-11-03", "--home", tmp_path / "home")
    with subprocess.Popen([sys.executable, "-c", hold, str(tmp_path / "home")],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:  # fmt: skip
        assert other.stdout is not None
        other.stdout.readline()
        code, _, err = command(*words)
        assert code == 4
        assert_one_sentence(err)
        assert f"`related-pins daily` (process {other.pid} on " in err
        assert log_lines(tmp_path / "home")[-1]["event"] == "failed"
        other.kill()
    assert command(*words)[0] == 0


def test_a_killed_run_is_shown_as_killed_then_marked(
    command: Command, source: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    die = (
        "import os, signal, sys, related_pins\n"
        "related_pins.ingest_step = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "related_pins.main()"
    )
    words = ("ingest", "--source", source, "--date", "2026-11-03", "--home", home)
    done = subprocess.run([sys.executable, "-c", die, *map(str, words)], check=False)
    assert done.returncode == -9
    database = open_database(home / "related_pins.db")
    assert states(home, database) == ["killed"]
    assert "killed" in command("status", "--home", home)[1]
    with read_only(home):  # what it wrote last is in the write-ahead log that it left
        assert "killed" in command("status", "--home", home)[1]
        counted = command("sql", "query", "SELECT COUNT(*) AS n FROM runs", "--home", home)
    assert (counted[0], counted[1].split()[-1]) == (0, "1")
    assert command(*words)[0] == 0
    assert states(home, database) == ["done", "killed"]
    kept = database.read("SELECT status FROM runs ORDER BY started_at")
    assert kept["status"].to_pylist() == ["killed", "done"]


def test_an_error_goes_to_the_log_with_its_traceback_and_to_the_run(
    command: Command, source: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    (source / "pins.csv").unlink()
    code, _, err = command("ingest", "--source", source, "--date", "2026-11-03", "--home", home)
    assert code == 1
    assert_one_sentence(err)
    last = log_lines(home)[-1]
    assert (last["event"], last["level"]) == ("failed", "error")
    assert "Traceback" in str(last["traceback"])
    assert f"Error: {last['message']}\n" == err
    (run,) = status(home, open_database(home / "related_pins.db")).runs
    assert (run.status, f"Error: {run.error}\n") == ("failed", err)


def test_a_read_only_home(command: Command, source: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    words = ("ingest", "--source", source, "--date", "2026-11-03", "--home", home)
    assert command(*words)[0] == 0
    with read_only(home):
        code, _, err = command(*words)
        assert code == 1
        assert_one_sentence(err)
        for part in (str(home), "rights", "another --home", "same command again"):
            assert part in err
        code, out, err = command("status", "--home", home)
        assert (code, err) == (0, "")
        assert "ingest      2026-11-03  done" in out
        read = command("sql", "query", "SELECT COUNT(*) AS n FROM pins", "--home", home)
        assert (read[0], read[1].split()[-1]) == (0, "5")
    assert command(*words)[0] == 0


def test_a_full_disk_then_a_rerun(command: Command, source: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    words = ("ingest", "--source", source, "--home", home, "--date")
    with mounted(home, "-t", "tmpfs", "-o", "size=8m", "tmpfs"):
        assert command(*words, "2026-11-02")[0] == 0
        disk = os.statvfs(home)
        (home / "filler").write_bytes(b"x" * (disk.f_bavail * disk.f_frsize))
        code, _, err = command(*words, "2026-11-03")
        assert code == 1
        assert_one_sentence(err)
        for part in ("disk", "full", "free some space", "same command again"):
            assert part in err
        (home / "filler").unlink()
        again = [sys.executable, "-m", "related_pins", *map(str, words), "2026-11-03"]
        subprocess.run(again, check=True, capture_output=True)
        assert states(home, open_database(home / "related_pins.db"))[0] == "done"


def test_a_limit_on_the_size_of_files_is_a_full_disk_too(source: Path, tmp_path: Path) -> None:
    code = (
        "import resource, related_pins\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "related_pins.main()"
    )
    words = ("ingest", "--source", source, "--date", "2026-11-03", "--home", tmp_path / "home")
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert_one_sentence(done.stderr.lstrip("\n"))
    assert "free some space" in done.stderr


def test_a_database_that_goes_away_in_the_middle(
    command: Command, source: Path, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, stopped = tmp_path / "home", []

    @contextmanager
    def stopping() -> Iterator[Callable[[str, int, int], None]]:
        def progress(_: str, done: int, total: int) -> None:
            if done > total / 2 and not stopped:
                stopped.append(done)
                server.stop()

        yield progress

    words = ("ingest", "--source", source, "--date", "2026-11-03", "--home", home)
    words = (*words, "--db", server.url)
    with monkeypatch.context() as patch:
        patch.setattr(related_pins, "bars", stopping)
        code, _, err = command(*words)
    server.start()
    assert stopped
    assert code == 1
    assert_one_sentence(err)
    assert "went away in the middle" in err
    assert "same command again" in err
    assert log_lines(home)[-1]["event"] == "failed"
    database = open_database(server.url)
    assert states(home, database) == ["killed"]
    assert command(*words)[0] == 0
    assert states(home, database) == ["done", "killed"]
    assert database.read("SELECT COUNT(*) AS n FROM pins").to_pylist() == [{"n": 5}]
    database.engine.dispose()


def test_pairs_go_on_where_they_were_when_the_database_went_away(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, made, swapped = open_database(server.url), list[str](), list[object]()
    database.upgrade()
    world = filled(database, tmp_path)
    write, swap = features.daily.write_pairs, exchanges._swap

    def stopped_once(pieces: Sequence[object]) -> None:
        if len(pieces) == 3:
            server.stop()

    def writing(work: PairWork) -> MadePairs:
        made.append(work.name)
        stopped_once(made)
        return write(work)

    def swapping(*arguments: Any) -> None:
        swapped.append(arguments)
        stopped_once(swapped)
        swap(*arguments)

    monkeypatch.setattr(features.pairs.store, "PAIRS_AT_A_TIME", 7)
    monkeypatch.setattr(features.daily, "write_pairs", writing)
    monkeypatch.setattr(exchanges, "_swap", swapping)
    for _ in range(2):
        with pytest.raises(Exception) as ended:  # noqa: PT011
            world.refresh()
        assert "went away in the middle" in in_one_line(ended.value)
        server.start()
        database.engine.dispose()
        assert [len(rows) for rows in world.rows().values()][:2] == [0, 0]
    assert world.refresh().pairs == len(world.pairs)
    assert sorted(Counter(made).values()) == [1, 1, 1, 1, 2]  # twice: the one in flight
    database.engine.dispose()


def test_no_password_is_printed_or_kept(
    command: Command, source: Path, tmp_path: Path, server: Server
) -> None:
    right, wrong = server.url, server.url.replace(QUOTED, "wr0ng%40secret")
    broken = server.url.replace(QUOTED, "half@oth3r")
    by_query = right.replace(f":{QUOTED}", "") + f"?password={QUOTED}"
    printed = ""
    for number, (url, expected) in enumerate(
        [(right, 0), (by_query, 0), (wrong, 1), (broken, 1), (right + "x", 1)]
    ):
        words = ("--home", tmp_path / f"home{number}", "--db", url)
        for what in (
            ("ingest", "--source", source, "--date", "2026-11-03"),
            ("status",),
            ("sql", "upgrade"),
        ):
            code, out, err = command(*what, *words)
            assert code == expected, (what, number, err)
            if code:
                assert_one_sentence(err)
            printed += out + err
    files = [p for p in tmp_path.rglob("*") if p.is_file() and source not in p.parents]
    assert any(p.suffix == ".jsonl" for p in files)
    kept = printed + "".join(p.read_text() for p in files)
    kept += str(open_database(right).read("SELECT * FROM runs").to_pylist())
    for secret in (PASSWORD, QUOTED, "wr0ng@secret", "wr0ng%40secret", "oth3r", "pa55", "half"):
        assert secret not in kept
    assert "refuses the user or the password" in printed
    assert "related_pins:***@" in printed


def test_a_held_lock_is_seen_in_the_status(command: Command, tmp_path: Path) -> None:
    with locked(tmp_path, None, "daily") as database:
        database.upgrade()
        assert "Writing   `related-pins daily`" in command("status", "--home", tmp_path)[1]
        assert "related_pins_lock_held 1\n" in command("status", "--metrics", "--home", tmp_path)[1]
        found = json.loads(command("status", "--json", "--home", tmp_path)[1])
        assert found["holder"]["pid"] == os.getpid()
