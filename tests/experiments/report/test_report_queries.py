"""The query under a figure gives the numbers of the figure, to a client that is not ours."""

import itertools
import json
import math
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from statsmodels.stats.multitest import multipletests

from experiments.report.figures import METRICS
from experiments.report.page import write_report
from experiments.wording import number, p_value, per_request, percent
from sql.database import Database, open_database
from tests.experiments.report.report_page import Figure, Page
from tests.experiments.report.report_rows import DATE, add_experiment, reported

Ask = Callable[[Figure], list[dict[str, Any]]]
NUMBER = re.compile(r"(?<![\w@=.])[+−]?\d[\d,]*(?:\.\d+)?%?(?![\w@])")
LIFT = re.compile(r"(\S+|n/a) \S \w+ (\S+) to (\S+)(?: adjusted p (.+))?$")
SPAN = re.compile(r"(\S+)% \[(\S+), (\S+)\]$")


@pytest.fixture(scope="module")
def home() -> Path:
    return reported()


@pytest.fixture(scope="module")
def page(home: Path) -> Page:
    return Page(home / "reports" / str(DATE) / "report.html")


@pytest.fixture(scope="module")
def ask(home: Path) -> Iterator[Ask]:
    """The rows of a figure's queries, by the standard library's client."""
    connection = sqlite3.connect(f"file:{home / 'related_pins.db'}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row

    def rows(figure: Figure) -> list[dict[str, Any]]:
        return [dict(row) for query in figure.queries for row in connection.execute(query)]

    yield rows
    connection.close()


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Database]:
    """The server's database, emptied and at the newest schema."""
    fresh = open_database(postgres_url)
    with fresh.engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    fresh.upgrade()
    yield fresh
    fresh.engine.dispose()


def test_no_figure_is_without_its_query(page: Page) -> None:
    assert not page.outside
    assert len(page.figures) > 25
    for figure in page.figures:
        assert figure.queries, figure.title
        for query in figure.queries:
            assert query.endswith(";")
            assert not re.search(r":[a-z_]+\b", query), query
            assert sqlite3.complete_statement(query)


def test_every_number_of_a_figure_is_in_the_rows_of_its_query(page: Page, ask: Ask) -> None:
    for figure in page.figures:
        rows = ask(figure)
        known = {text for row in rows for value in row.values() for text in written(value)}
        printed = numbers(figure)
        assert printed, figure.title
        assert printed <= known, (figure.title, sorted(printed - known))


def test_numbers_that_are_not_in_the_rows_are_noticed(page: Page, ask: Ask) -> None:
    one, other = page.figure("Coverage"), page.figure("Rows per table")
    known = {text for row in ask(other) for value in row.values() for text in written(value)}
    assert not numbers(one) <= known


@pytest.mark.parametrize("metric", METRICS)
def test_a_plot_of_lift_draws_the_rows_of_its_query(page: Page, ask: Ask, metric: str) -> None:
    figure = next(f for f in page.figures if f.title == METRICS[metric] and f.drawn)
    rows = [row for row in ask(figure) if row["estimator"] == "snips_position_based"]
    assert {row["metric"] for row in rows} == {metric}
    assert spans(figure) == Counter(span(row) for row in rows)


def test_the_plot_of_segments_draws_the_primary_arms_rows(page: Page, ask: Ask) -> None:
    figure = page.figure("Saves, targeted")
    assert spans(figure) == Counter(span(r) for r in ask(figure) if r["arm"] == "targeted")


def test_segments_carry_p_values_adjusted_over_all_rows_of_the_table(page: Page, ask: Ask) -> None:
    tables = [f for f in page.figures if f.rows and f.rows[0][0] == "Segment"]
    assert [figure.title for figure in tables] == list(METRICS.values())
    for figure in tables:
        rows = ask(figure)
        adjusted = multipletests([row["p_value"] for row in rows], method="fdr_bh")[1]
        expected = Counter((*cell(row), p_value(p)) for row, p in zip(rows, adjusted, strict=True))
        assert lifts(figure) == expected


def test_only_a_corrected_difference_is_marked(page: Page, ask: Ask) -> None:
    marked = {"better": 0, "worse": 0, "unclear": 0}
    for figure in (f for f in page.figures if f.rows and f.rows[0][0] == "Segment"):
        for text in itertools.chain.from_iterable(row[1:] for row in figure.rows[1:]):
            adjusted = float(text.rpartition(" ")[2].replace("<", ""))
            reading = next(word for word in marked if f" {word} " in text)
            marked[reading] += 1
            assert (reading == "unclear") == (adjusted >= 0.05), text
    assert all(marked.values()), marked


@pytest.mark.parametrize(
    "title",
    [
        "Lift per arm and action",
        "nDCG@10 beside the lift in saves",
        "What the pages would be like",
    ],
)
def test_a_table_of_lift_holds_every_row_of_its_query(page: Page, ask: Ask, title: str) -> None:
    figure = page.figure(title)
    rows = [r for r in ask(figure) if r.get("estimator", "") != "snips_item_position"]
    known = Counter((*cell(row), None) for row in rows if row["ci_low"] is not None)
    assert known <= lifts(figure)
    assert lifts(figure).total() == len(rows)


def test_a_plot_by_day_has_a_value_per_row(page: Page, ask: Ask) -> None:
    figure = next(f for f in page.figures if f.words.startswith("Lift of saves per day"))
    said = {
        (arm, text)
        for part in figure.words.partition(". ")[2].split("; ")
        for arm, _, values in [part.partition(": ")]
        for text in values.split(", ")
    }
    labels = {"oracle": "oracle (evaluation only)"}
    assert said == {(labels.get(r["arm"], r["arm"]), percent(r["lift"])) for r in ask(figure)}


def test_what_the_estimates_rest_on_is_one_row_per_arm(page: Page, ask: Ask) -> None:
    figure = page.figure("What the estimates rest on")
    rows = {(row["arm"], row["estimator"]): row for row in ask(figure)}
    table = {line[0]: line[1:] for line in figure.rows[1:]}
    assert len(table) == len({arm for arm, _ in rows}) == 6
    for arm in ("presence", "targeted"):
        model, item = (rows[arm, f"snips_{e}"] for e in ("position_based", "item_position"))
        assert table[arm][:4] == [
            number(model["n_requests"]), number(model["n_users"]),
            number(model["effective_sample_size"]), number(item["effective_sample_size"]),
        ]  # fmt: skip
    assert table["presence"][4] == "n/a"
    assert table["targeted"][4] == "7.3%"


def test_the_traffic_is_shown_as_it_was(page: Page, ask: Ask) -> None:
    figure = page.figure("The traffic as it was")
    assert figure.rows[0] == ["Metric", "Meaning", "production", "random"]
    found = {line[0]: line[1:] for line in figure.rows[1:]}
    assert list(found) == ["Saves", "Hides", "Save propensity"]
    assert found["Save propensity"][0] == "users who saved / users who saw"
    expected = {
        (row["metric"], row["policy"]): f"{per_request(row['value'])} "
        f"[{per_request(row['ci_low'])}, {per_request(row['ci_high'])}]"
        for row in ask(figure)
    }
    assert found["Saves"][1:] == [expected["save", p] for p in ("production", "random")]


def test_the_queries_run_in_postgresql_too(page: Page, postgres: Database, tmp_path: Path) -> None:
    add_experiment(postgres)
    reported = Page(write_report(postgres, tmp_path, tmp_path, DATE))
    with postgres.engine.connect() as connection:
        for figure in (*page.figures, *reported.figures):
            for query in figure.queries:
                connection.exec_driver_sql(query.replace("%", "%%"))
    assert spans(reported.figure("Saves, targeted")) == spans(page.figure("Saves, targeted"))


def numbers(figure: Figure) -> set[str]:
    """The numbers of a figure, in its plot's words, its cells and its notes, but for adjusted
    p-values, which other tests compute, and for what a column means.
    """
    words = re.sub(r"(95%|n?DCG@10) ", "", figure.words)
    header = figure.rows[0] if figure.rows else []
    apart = {n for n, name in enumerate(header) if name in ("p adjusted (Holm)", "Meaning")}
    cells = [
        re.sub("adjusted p .*", "", text)
        for row in figure.rows[1:] for n, text in enumerate(row) if n and n not in apart
    ]  # fmt: skip
    return set(NUMBER.findall(" ".join([words, *figure.notes, *cells])))


def written(value: object) -> set[str]:
    """All the ways in which a value of the database may be written for people."""
    if isinstance(value, str) and value.startswith("["):
        return {str(len(json.loads(value)))}
    if not isinstance(value, int | float) or not math.isfinite(value):
        return set(NUMBER.findall(str(value)))
    return {
        percent(value), percent(value)[:-1], number(value), p_value(value), per_request(value),
        f"{value:,.0f}", f"{value:.1%}", f"{value:.0%}", f"{value:.2f}",
    }  # fmt: skip


def spans(figure: Figure) -> Counter[tuple[str, ...]]:
    return Counter(found.groups() for text in figure.drawn if (found := SPAN.match(text)))


def span(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(percent(row[name])[:-1] for name in ("lift", "ci_low", "ci_high"))


def lifts(figure: Figure) -> Counter[tuple[str | None, ...]]:
    cells = [text for row in figure.rows[1:] for text in row[1:]]
    return Counter(found.groups() for text in cells if (found := LIFT.match(text)))


def cell(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(percent(row[name]) for name in ("lift", "ci_low", "ci_high"))
