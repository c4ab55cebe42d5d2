"""A plan: what an experiment compares, by what, where and when, as an owner writes it in TOML."""

import datetime as dt
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from experiments import metrics
from experiments.arms import ARMS, CONTROL, LINEAR, PRIMARY

DIMENSIONS = ("query_has_object", "category", "platform", "query_pin_age")
DAILY_FILE = Path(__file__).with_name("daily.toml")


@dataclass(frozen=True)
class Plan:
    """An experiment before it is run.

    arms: what is compared with the control beside the treatment; empty for every arm that was
    ranked. primary: metrics of the verdict, the first decides; guardrails: metrics that must not
    get worse. most_pages_a_day: who opens more is taken for a robot and left out.
    last: the last held-out day, None for the day of the run. level: of the verdict's
    tests; worthwhile: a lift surely below it is not worth shipping. planned_users: where
    the interval for owners who look every day is narrowest, fixed before the first look.
    """

    name: str
    treatment: str = PRIMARY
    control: str = CONTROL
    question: str = ""
    arms: tuple[str, ...] = ()
    primary: tuple[str, ...] = ("save", "click")
    guardrails: tuple[str, ...] = ("hide",)
    segments: tuple[str, ...] = DIMENSIONS
    most_pages_a_day: int = 300
    days: int = 4
    last: dt.date | None = None
    level: float = 0.05
    worthwhile: float = 0.01
    planned_users: int = 5000

    def __post_init__(self) -> None:
        if self.treatment == self.control:
            raise ValueError(f"Plan {self.name}: treatment and control are both {self.control}.")
        for metric in metrics.known((*self.primary, *self.guardrails)):
            if metric.kind != "engagement":
                raise ValueError(
                    f"Plan {self.name}: {metric.name} cannot decide; use one of "
                    f"{', '.join(metrics.ENGAGEMENT)}."
                )
        if not self.primary:
            raise ValueError(f"Plan {self.name}: name at least one primary metric.")
        for segment in self.segments:
            if segment not in DIMENSIONS:
                raise ValueError(
                    f"Plan {self.name}: there is no segment {segment!r}; there are "
                    f"{', '.join(DIMENSIONS)}."
                )
        if not (
            0 < self.level < 1
            and 0 <= self.worthwhile < 1
            and self.days >= 1
            and min(self.most_pages_a_day, self.planned_users) >= 1
        ):
            raise ValueError(
                f"Plan {self.name}: level and worthwhile are shares below 1; days, "
                "most_pages_a_day and planned_users are at least 1."
            )

    def compared(self, ranked: tuple[str, ...], date: dt.date) -> tuple[str, ...]:
        """Returns the arms to read, control first, of those that were ranked on the date.

        Raises ValueError where the control, the treatment or an arm of the plan was not.
        """
        wanted = (self.control, self.treatment, *self.arms)
        if missing := [arm for arm in wanted if arm not in ranked]:
            raise ValueError(
                f"{missing[0]} has no ranking of {date}; ranked were: "
                f"{', '.join(ranked) or 'none'}. Run related-pins rank first."
            )
        return tuple(dict.fromkeys(wanted if self.arms else (*wanted, *ranked)))

    def family(self, arms: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        """Returns the (arm, metric) that Holm's correction is over: treatments that could ship, and
        linear rankers that the plan names."""
        named = {self.treatment, *self.arms} & set(LINEAR)
        ship = [
            a for a in arms
            if a != self.control and (a not in ARMS or ARMS[a].shippable or a in named)
        ]  # fmt: skip
        return tuple((arm, metric) for arm in ship for metric in self.primary)


def read_plan(file: Path) -> Plan:
    """Returns the plan in a TOML file; daily.toml beside this module is an example.

    Raises ValueError, naming the file, for anything that is not a plan.
    """
    return parse_plan(file.read_text(), str(file))


def parse_plan(text: str, origin: str) -> Plan:
    """Returns the plan in a TOML text; `origin` names it in errors.

    >>> plan = parse_plan('name = "mine"\\ntreatment = "presence"\\n[window]\\ndays = 2', "a file")
    >>> plan.treatment, plan.control, plan.days
    ('presence', 'whole_image', 2)
    """
    try:
        values = tomllib.loads(text)
        window = values.pop("window", {})
        if not isinstance(window, Mapping) or set(window) - {"days", "last"}:
            raise ValueError("[window] holds days and last only.")
        return Plan(**_typed({**values, **window}))
    except (tomllib.TOMLDecodeError, ValueError) as error:
        raise ValueError(f"{origin} is not a plan of an experiment: {error}") from error


def _typed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as fields of a Plan; raises ValueError for unknown keys and wrong types."""
    kinds = {field.name: field.type for field in fields(Plan)}
    if unknown := [key for key in values if key not in kinds]:
        raise ValueError(f"there is no key {unknown[0]!r}; there are {', '.join(kinds)}.")
    if "name" not in values:
        raise ValueError("it has no name.")
    typed: dict[str, Any] = {}
    for key, value in values.items():
        default = getattr(Plan, key, "")
        if key == "last":
            right = type(value) is dt.date
        elif isinstance(default, tuple):
            right = isinstance(value, list) and all(isinstance(v, str) for v in value)
            value = tuple(value) if right else value
        elif isinstance(default, float):
            right = type(value) in (int, float)
        else:
            right = type(value) is type(default)
        if not right:
            raise ValueError(f"{key} = {value!r} has the wrong type.")
        typed[key] = value
    return typed


DAILY = read_plan(DAILY_FILE)
COLD_START = read_plan(DAILY_FILE.with_name("cold_start.toml"))
