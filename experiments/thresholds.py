"""The thresholds of the quality gates, as an operator writes them in gates.toml."""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("gates.toml")


@dataclass(frozen=True)
class Thresholds:
    """What the gates allow; gates.toml says what each means. Shares are 0 to 1.

    canary_coco and canary_photos are None where there is no canary set.
    """

    rows_least_share: float
    objects_least_share: float
    objects_most_drop: float
    nulls_most_rise: float
    nulls_least_known: float
    drift_most_psi: float
    drift_requests_a_day: int
    ranking_most_drop: float
    canary_least_ap50: float
    canary_coco: Path | None = None
    canary_photos: Path | None = None


def read_thresholds(home: Path) -> Thresholds:
    """The thresholds of HOME/gates.toml, or of the file beside this module where there is none.

    Raises ValueError, naming the file, where it is not such a file.
    """
    file = home / "gates.toml"
    return parse_thresholds((file if file.exists() else FILE).read_text(), home, str(file))


def parse_thresholds(text: str, home: Path, origin: str) -> Thresholds:
    """The thresholds in a TOML text; paths are relative to `home`, `origin` names it in errors.

    >>> parse_thresholds(FILE.read_text(), Path("home"), "a file").drift_most_psi
    0.25
    """
    kinds = {field.name: field.type for field in fields(Thresholds)}
    try:
        values = {f"{part}_{key}": value for part, keys in tomllib.loads(text).items()
                  for key, value in keys.items()}  # fmt: skip
        if unknown := set(values) - set(kinds):
            raise ValueError(f"there is no {min(unknown)}; there are {', '.join(kinds)}.")
        if ("canary_coco" in values) != ("canary_photos" in values):
            raise ValueError("[canary] needs both coco and photos.")
        return Thresholds(**{name: _typed(name, v, home) for name, v in values.items()})
    except (tomllib.TOMLDecodeError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{origin} does not hold the thresholds of the gates: {error} Copy {FILE}."
        ) from error


def _typed(name: str, value: Any, home: Path) -> Any:
    if name in ("canary_coco", "canary_photos"):
        return home / str(value)
    if type(value) not in (int, float) or value < 0:
        raise ValueError(f"{name} = {value!r} is not a number from 0.")
    return value
