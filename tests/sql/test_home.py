import os
import subprocess
import sys
from pathlib import Path

from sql.home import clear_leftovers


def test_only_what_dead_processes_left_aside_is_deleted(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    names = (f".a.parquet.{dead.pid}", f".a.parquet.{os.getpid()}", "a.parquet", ".gitignore",
             f"a.{dead.pid}")  # fmt: skip
    for name in names:
        (tmp_path / "visuals" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "visuals" / name).write_text("")
    clear_leftovers(tmp_path)
    assert sorted(p.name for p in (tmp_path / "visuals").iterdir()) == sorted(names[1:])


def test_a_home_that_is_not_there_yet_is_no_error(tmp_path: Path) -> None:
    clear_leftovers(tmp_path / "nowhere")
    assert not list(tmp_path.iterdir())
