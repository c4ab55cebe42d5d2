"""The examples of docs/examples are what their readers take them for."""

import ast
import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from related_pins import app

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
COMMAND = re.compile(r"related-pins ((?:daily|status)[^&>\n\"']*)")


def assert_times(fields: list[str]) -> None:
    for field, (low, high) in zip(fields, LIMITS, strict=True):
        assert_field(field, low, high)


def assert_field(field: str, low: int, high: int) -> None:
    for part in field.split(","):
        found = re.fullmatch(r"(?:\*|(\d+)(?:-(\d+))?)(?:/([1-9]\d*))?", part)
        assert found is not None, field
        numbers = [int(n) for n in found.groups()[:2] if n is not None]
        assert all(low <= n <= high for n in numbers), field
        assert numbers == sorted(numbers), field


def cron_lines(text: str) -> list[tuple[list[str], str]]:
    """(five time fields, command) of each line that is no comment and no setting."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if not line.startswith("#") and not re.match(r"[A-Z_]+=", line):
            *fields, command = line.split(maxsplit=5)
            assert len(fields) == 5, line
            found.append((fields, command))
    return found


def test_crontab() -> None:
    lines = cron_lines((EXAMPLES / "crontab").read_text())
    assert len(lines) == 3
    for fields, command in lines:
        assert_times(fields)
        assert not re.search(r"(?<!\\)%", command), "cron reads a bare % as a newline"
        plain = command.replace("\\%", "%")
        subprocess.run(["sh", "-n", "-c", plain], check=True)


@pytest.mark.parametrize("line", ["61 2 * * * x", "* * 0 * * x", "*/0 * * * * x", "5-1 * * * * x"])
def test_a_wrong_crontab_would_be_seen(line: str) -> None:
    ((fields, _),) = cron_lines(line)
    with pytest.raises(AssertionError):
        assert_times(fields)


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string((EXAMPLES / name).read_text())
    return parser


def test_units_of_systemd() -> None:
    service, timer = unit("related-pins.service"), unit("related-pins.timer")
    assert service["Service"]["Type"] == "oneshot"
    assert service["Service"]["RestartPreventExitStatus"] == "2"
    assert timer["Timer"]["Persistent"] == "true"
    assert timer["Install"]["WantedBy"] == "timers.target"
    if shutil.which("systemd-analyze"):
        files = [EXAMPLES / "related-pins.service", EXAMPLES / "related-pins.timer"]
        done = subprocess.run(
            ["systemd-analyze", "verify", *map(str, files)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        calendar = ["systemd-analyze", "calendar", timer["Timer"]["OnCalendar"]]
        subprocess.run(calendar, check=True, capture_output=True)


def test_airflow_dag() -> None:
    text = (EXAMPLES / "airflow_dag.py").read_text()
    tree = ast.parse(text)
    compile(tree, "airflow_dag.py", "exec")
    calls = {n.func.id: {k.arg: k.value for k in n.keywords} for n in ast.walk(tree)
             if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}  # fmt: skip
    assert ast.literal_eval(calls["DAG"]["max_active_runs"]) == 1
    assert "data_interval_start" in ast.literal_eval(calls["BashOperator"]["bash_command"])
    imported = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert "airflow.sdk" in imported


def test_the_commands_in_the_examples_have_these_options() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    words = "".join(file.read_text() for file in EXAMPLES.iterdir() if file.is_file())
    joined = re.sub(r"\"\n\s*\"", "", words)
    used = COMMAND.findall(joined)
    assert len(used) == 4
    for line in used:
        name = line.split()[0]
        options = {option for p in commands[name].params for option in p.opts}
        assert set(re.findall(r"--[a-z-]+", line)) <= options, line
