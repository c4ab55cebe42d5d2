import json
import logging
import os
import warnings
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sql.logs import LOGGER, logged, logged_step, masked


def lines(home: Path) -> list[dict[str, object]]:
    (file,) = (home / "logs").iterdir()
    assert file.name == f"{datetime.now(UTC):%F}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


@logged_step
def pairs_step(n: int) -> dict[str, object]:
    if n < 0:
        raise ValueError("fewer than none")
    return {"pairs": {"pairs": n, "share": 0.5}, "verdict": "hold"}


def test_a_step_has_its_seconds_and_counts(tmp_path: Path) -> None:
    with logged(tmp_path, "features", "run1"):
        assert pairs_step(3)["verdict"] == "hold"
    start, begun, ended, end = lines(tmp_path)
    assert {line["run_id"] for line in (start, begun, ended, end)} == {"run1"}
    assert (begun["step"], begun["event"], begun["counts"]) == ("pairs", "started", None)
    assert (ended["event"], ended["counts"]) == ("finished", {"pairs.pairs": 3})
    assert isinstance(ended["seconds"], float)
    assert (start["event"], end["event"], end["command"]) == ("started", "finished", "features")


def test_a_failed_step_is_named_and_the_traceback_is_there_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fewer"), logged(tmp_path, "features", "run1"):
        pairs_step(-1)
    failed = [line for line in lines(tmp_path) if line["event"] == "failed"]
    assert [line["step"] for line in failed] == ["pairs", None]
    assert ["traceback" in line for line in failed] == [False, True]
    assert failed[1]["message"] == "fewer than none"


def warned(home: Path) -> None:
    with logged(home, "rank", "run1", "postgresql://ann:tr0ub4dor@db/x"):
        warnings.warn("few rows for tr0ub4dor", UserWarning, stacklevel=1)
        logging.getLogger("a.library").warning("slow")


def test_warnings_go_to_the_log_and_still_to_where_they_went(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="few rows"):
        warned(tmp_path)
    said = [line["message"] for line in lines(tmp_path) if line["level"] == "warning"]
    assert str(said[0]).startswith("UserWarning: few rows for *** (")
    assert said[1] == "slow"


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    before = (warnings.showwarning, logging.getLogger().handlers[:], LOGGER.handlers[:])
    with logged(tmp_path, "rank", "run1"):
        pass
    assert (warnings.showwarning, logging.getLogger().handlers, LOGGER.handlers) == before
    LOGGER.warning("after the end")
    assert len(lines(tmp_path)) == 2


LONG = "x" * 100_000


def write_fifty(home: Path, run_id: str) -> None:
    with logged(home, "rank", run_id):
        for _ in range(50):
            LOGGER.info(LONG)


def test_two_processes_share_the_file_of_the_day(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        try:
            write_fifty(tmp_path, "child")
            os._exit(0)
        finally:
            os._exit(1)
    write_fifty(tmp_path, "parent")
    assert os.waitpid(child, 0)[1] == 0
    found = [(line["run_id"], line["message"] == LONG) for line in lines(tmp_path)]
    assert found.count(("child", True)) == found.count(("parent", True)) == 50


passwords = st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=4).filter(
    lambda s: s.strip() == s and s not in "postgresql://ann:@db/pins?password= and again "
)


@given(passwords)
def test_a_password_is_masked_wherever_it_stands(password: str) -> None:
    written = quote(password, safe="")
    for url in (f"postgresql://ann:{written}@db/pins", f"postgresql://db/pins?password={written}"):
        text = masked(f"{url} and {password} and again {written}", url)
        assert password not in text
        assert written not in text
        assert "db/pins" in text or password in "db/pins"


def test_what_is_no_password_stays() -> None:
    for text in ("sqlite:////srv/pins.db", "postgresql://ann@db:5432/pins", "12:30 a@b.c", ""):
        assert masked(text, text) == text
    assert masked("host=db password='a b' user=ann") == "host=db password=*** user=ann"
