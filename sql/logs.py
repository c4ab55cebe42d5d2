"""What commands did, one JSON object per line in HOME/logs/YYYY-MM-DD.jsonl, for machines.

Python's logging carries it: warnings of libraries and tracebacks arrive in the same file.
"""

import functools
import json
import logging
import re
import sys
import time
import urllib.parse
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import ParamSpec, TextIO, TypeVar

from sql.errors import in_one_line

__all__ = ["LOGGER", "counts", "logged", "logged_step", "masked"]

LOGGER = logging.getLogger("related_pins")
P = ParamSpec("P")
R = TypeVar("R", bound=Mapping[str, object])
_FIELDS = ("step", "event", "seconds", "counts")
_OF_URL = re.compile(r"(?<=://)([^\s:/@]*):([^\s/@]+)@")
_OF_WORD = re.compile(r"(?i)\b(password|passfile|sslpassword)(\s*=\s*)('[^']*'|[^\s&'\"]+)")
_GIVEN = re.compile(r"://[^:/@]*:(.+)@")
_SHORT = 4  # a shorter piece of a password would blank out ordinary words


def masked(text: str, *urls: str | None) -> str:
    """The text without passwords: those in URLs and DSNs, and wherever else those of `urls` stand.

    >>> masked("cannot reach postgresql://ann:s3cret@db/pins?password=s3cret")
    'cannot reach postgresql://ann:***@db/pins?password=***'
    >>> masked("no host named third@db", "postgresql://ann:half@third@db/pins")
    'no host named ***@db'
    """
    text = _OF_WORD.sub(r"\1\2***", _OF_URL.sub(r"\1:***@", text))
    for secret in _secrets(urls):
        text = text.replace(secret, "***")
    return text


def _secrets(urls: tuple[str | None, ...]) -> list[str]:
    """Passwords in the URLs, as written and decoded, and the parts of one with a stray @."""
    found = set[str]()
    for url in filter(None, urls):
        whole = [*_GIVEN.findall(url), *(value for _, _, value in _OF_WORD.findall(url))]
        for raw in whole:
            found |= {raw, urllib.parse.unquote(raw), *raw.split("@")}
    return sorted((s for s in found if len(s) >= _SHORT), key=len, reverse=True)


@contextmanager
def logged(home: Path, command: str, run_id: str, *urls: str | None) -> Iterator[None]:
    """All that is logged or warned inside goes to the home's log of the day, with this run's id.

    Writes a line at the start and one at the end: finished, or failed with the error and its
    traceback. Passwords, also those of `urls`, are masked. Raises OSError where the home cannot
    be written.
    """
    handler = _DayFile(home / "logs")
    handler.setFormatter(_JsonLines(command, run_id, urls))
    begun = time.monotonic()
    with _attached(handler):
        LOGGER.info("%s", command, extra={"event": "started"})
        try:
            yield
        except BaseException as error:
            extra = {"event": "failed", "seconds": _since(begun)}
            with suppress(OSError):  # a full disk: the error itself is what people must see
                LOGGER.error("%s", in_one_line(error), exc_info=True, extra=extra)
            raise
        LOGGER.info("%s", command, extra={"event": "finished", "seconds": _since(begun)})


def logged_step(step: Callable[P, R]) -> Callable[P, R]:
    """The step `<name>_step` with a line when it starts and one, with its counts, when it ends."""
    name = step.__name__.removesuffix("_step")

    @functools.wraps(step)
    def with_lines(*args: P.args, **kwargs: P.kwargs) -> R:
        begun = time.monotonic()
        LOGGER.info("%s", name, extra={"step": name, "event": "started"})
        try:
            done = step(*args, **kwargs)
        except BaseException:
            with suppress(OSError):
                LOGGER.error(
                    "%s", name, extra={"step": name, "event": "failed", "seconds": _since(begun)}
                )
            raise
        extra = {
            "step": name,
            "event": "finished",
            "seconds": _since(begun),
            "counts": counts(done),
        }
        LOGGER.info("%s", name, extra=extra)
        return done

    return with_lines


def counts(summary: Mapping[str, object]) -> dict[str, int]:
    """The whole numbers of a summary by their path, and the lengths of its lists.

    >>> counts({"pairs": {"pairs": 6, "unchanged": True}, "lift": [0.1, 0.2], "verdict": "hold"})
    {'pairs.pairs': 6, 'lift': 2}
    """
    found = dict[str, int]()
    for name, value in summary.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{inner}": n for inner, n in counts(value).items()}
        elif isinstance(value, list | tuple):
            found[name] = len(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            found[name] = value
    return found


def _since(begun: float) -> float:
    return round(time.monotonic() - begun, 3)


class _DayFile(logging.Handler):
    """Appends each record in one write, so that lines of two processes never mix; a record after
    midnight goes into the next file.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder

    def emit(self, record: logging.LogRecord) -> None:
        day = datetime.fromtimestamp(record.created, UTC).date()
        with (self.folder / f"{day}.jsonl").open("ab", buffering=0) as file:
            file.write(self.format(record).encode() + b"\n")


class _JsonLines(logging.Formatter):
    def __init__(self, command: str, run_id: str, urls: tuple[str | None, ...]) -> None:
        super().__init__()
        self.run = {"run_id": run_id, "command": command}
        self.urls = urls

    def format(self, record: logging.LogRecord) -> str:
        time_ = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {"time": time_.replace("+00:00", "Z"), **self.run}
        line |= {name: getattr(record, name, None) for name in _FIELDS}
        line |= {"level": record.levelname.lower(), "message": self._masked(record.getMessage())}
        if record.exc_info:
            line["traceback"] = self._masked(self.formatException(record.exc_info))
        return json.dumps(line, default=str)

    def _masked(self, text: str) -> str:
        return masked(text, *self.urls)


@contextmanager
def _attached(handler: logging.Handler) -> Iterator[None]:
    """Our records, and warnings of all libraries, which stay on stderr as well."""
    root, shown, level = logging.getLogger(), warnings.showwarning, LOGGER.level
    to_stderr = logging.StreamHandler(sys.stderr)
    to_stderr.setLevel(logging.WARNING)
    handlers = [handler, *([] if root.handlers else [to_stderr])]

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int,
        file: TextIO | None = None, line: str | None = None,
    ) -> None:  # fmt: skip
        shown(message, category, filename, lineno, file, line)
        if file is None:
            LOGGER.warning(
                "%s: %s (%s:%d)", category.__name__, message, filename, lineno,
                extra={"event": "warning"},
            )  # fmt: skip

    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    for each in handlers:
        root.addHandler(each)
    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = shown
        for each in handlers:
            root.removeHandler(each)
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(level)
        LOGGER.propagate = True
