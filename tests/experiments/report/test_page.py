import datetime as dt
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image

from experiments.arms import ARMS, COLD, CONTROL, PRIMARY
from experiments.history import Run, record
from experiments.plan import COLD_START
from experiments.report.gallery import Change, asked_pins, changed_queries, cropped_pins
from experiments.report.page import ARM_MEANINGS, is_simulated, write_report
from experiments.verdict import ESTIMATOR, verdict
from features.images.pin_images import PinImages
from sql import tables
from sql.database import Database, open_database
from tests.experiments.report.report_page import Page
from tests.experiments.report.report_rows import (
    DATE,
    FIRST,
    HOSTILE,
    VERSION,
    add_experiment,
    reported,
)


@pytest.fixture(scope="module")
def home() -> Path:
    return reported()


@pytest.fixture(scope="module")
def page(home: Path) -> Page:
    return Page(report_of(home))


@pytest.fixture
def filled(home: Path) -> Database:
    return open_database(home / "related_pins.db")


@pytest.fixture
def changed(filled: Database) -> Iterator[Database]:
    """The same database; what a test writes to the experiment is undone."""
    yield filled
    names = ("experiment_lift", "arm_daily_engagement", "experiment_checks", "traffic_metrics",
             "quarantine", "experiment_runs", "experiment_results")  # fmt: skip
    with filled.engine.begin() as connection:
        for name in names:
            connection.execute(sa.delete(tables.METADATA.tables[name]))
    add_experiment(filled)


def report_of(home: Path) -> Path:
    return home / "reports" / str(DATE) / "report.html"


def test_the_report_says_of_every_arm_what_it_is() -> None:
    assert set(ARM_MEANINGS) == set(ARMS)


def test_the_page_is_one_file_that_asks_for_nothing(page: Page, home: Path) -> None:
    assert page.named("img")
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "data", "action"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))
    assert not {"script", "iframe", "object", "embed", "form"} & {tag for tag, _ in page.elements}
    assert not re.search(r"url\((?!#)|@import", page.source)
    assert (report_of(home).parent / "report.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in report_of(home).parent.iterdir()) == [
        "report.html", "report.png",
    ]  # fmt: skip


def test_hostile_texts_are_texts(page: Page) -> None:
    assert HOSTILE in page.text
    assert '"><img src="https://example.org/x.png" onerror="alert(2)">' in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "straße 👜 高さ بسم الله" in page.text
    attributes = {name for _, found in page.elements for name in found}
    assert not {name for name in attributes if name.startswith("on")}
    assert max(map(len, page.texts)) < 5_000
    assert "\x00" not in page.source


def test_the_verdict_stands_first_and_is_the_experiments_own(page: Page, filled: Database) -> None:
    lifts, checks = (
        filled.read(f"SELECT * FROM {name} WHERE date = :date", date=DATE).to_pylist()
        for name in ("experiment_lift", "experiment_checks")
    )
    decided = verdict(lifts, checks)
    assert decided.sentence in page.text
    assert page.text.index(decided.sentence) < page.text.index("Can the verdict be trusted?")


def test_lifts_are_shown_with_their_intervals_losing_ones_too(page: Page) -> None:
    assert "More saves than whole_image: targeted (+4.2%)." in page.text
    assert "Fewer saves than whole_image: object_crop (−3.4%)." in page.text
    words = [found["aria-label"] or "" for found in page.named("div") if "role" in found]
    saves = next(text for text in words if text.startswith("Saves, lift"))
    assert "object_crop: −3.4% (−5.0% to −1.8%), worse" in saves
    assert "targeted: +4.2% (+2.6% to +5.8%), better" in saves
    hides = next(text for text in words if text.startswith("Hides (fewer is better), lift"))
    assert "oracle (evaluation only): +6.1% (+2.0% to +10.2%), worse" in hides


def test_a_second_report_is_the_same_to_the_byte(home: Path, filled: Database) -> None:
    folder = report_of(home).parent
    before = [path.read_bytes() for path in sorted(folder.iterdir())]
    assert write_report(filled, home / "source", home, DATE) == report_of(home)
    assert [path.read_bytes() for path in sorted(folder.iterdir())] == before


def test_a_failed_check_comes_first(page: Page) -> None:
    checks = page.text[page.text.index("Can the verdict be trusted?") :]
    assert checks.index("overlap_effective_size") < checks.index("a_a")
    assert "✗ failed" in checks[: checks.index("a_a")]
    said = page.text[: page.text.index("Can the verdict be trusted?")]
    assert "✓ Checks passed: 4 of 5." in said
    assert "✗ Checks failed: overlap_effective_size (not critical)." in said


def test_the_cold_start_is_shown_where_it_was_run(
    changed: Database, page: Page, tmp_path: Path
) -> None:
    assert "Where nobody has engaged yet" not in page.text
    lifts = [
        {"arm": COLD[1], "metric": metric, "segment": "all", "estimator": ESTIMATOR,
         "n_requests": 900, "n_users": 400, "effective_sample_size": 500.0, "control": 0.2,
         "treatment": 0.22, "lift": 0.1, "standard_error": 0.02, "ci_low": 0.06, "ci_high": 0.14,
         "p_value": 0.001}
        for metric in ("save", "click")
    ]  # fmt: skip
    decided = verdict(lifts, [], COLD_START)
    run = Run.of("0123456789abcdef", COLD_START, DATE, VERSION, lifts, [], decided)
    assert record(changed, run)
    cold = Page(write_report(changed, tmp_path, tmp_path, DATE))
    assert "earn +10.0% saves (95% interval +6.0% to +14.0%)." in cold.text
    assert "cold_targeted over cold_whole_image" in cold.text.replace("\u200b", "")
    assert any(found.get("href") == "#cold-start" for found in cold.named("a"))


def test_a_failed_critical_check_holds(changed: Database, tmp_path: Path) -> None:
    with changed.engine.begin() as connection:
        failing = sa.update(tables.experiment_checks).values(passed=0)
        connection.execute(failing.where(tables.experiment_checks.c.name == "a_a"))
    page = Page(write_report(changed, tmp_path, tmp_path, DATE))
    assert "Hold: no lift can be trusted while a_a fails." in page.text


def test_a_losing_treatment_is_shown_as_losing(changed: Database, tmp_path: Path) -> None:
    lift = tables.experiment_lift
    with changed.engine.begin() as connection:
        connection.execute(
            sa.update(lift)
            .where(lift.c.arm == PRIMARY, lift.c.metric == "save", lift.c.segment == "all")
            .values(lift=-0.05, ci_low=-0.08, ci_high=-0.02, p_value=0.002)
        )
        connection.execute(sa.update(lift).where(lift.c.metric == "hide").values(p_value=0.5))
    page = Page(write_report(changed, tmp_path, tmp_path, DATE))
    assert "Hold targeted, it loses: saves per request −5.0%" in page.text
    assert "Fewer saves than whole_image: object_crop (−3.4%), targeted (−5.0%)." in page.text
    assert "More saves" not in page.text


def test_unknown_intervals_are_not_made_up(changed: Database, tmp_path: Path) -> None:
    lift = tables.experiment_lift
    nothing = dict.fromkeys(("lift", "ci_low", "ci_high", "p_value"))
    with changed.engine.begin() as connection:
        connection.execute(sa.update(lift).where(lift.c.metric == "hide").values(nothing))
    page = Page(write_report(changed, tmp_path, tmp_path, DATE))
    assert "targeted: n/a (n/a to n/a), unclear" in str(page.elements)
    assert "nan" not in page.text.lower().split()


def test_a_log_too_small_for_any_estimate_has_a_report(changed: Database, tmp_path: Path) -> None:
    lift, traffic = tables.experiment_lift, tables.traffic_metrics
    values = ("control", "treatment", "lift", "ci_low", "ci_high", "p_value", "standard_error")
    with changed.engine.begin() as connection:
        connection.execute(sa.update(lift).values(dict.fromkeys(values)))
        connection.execute(sa.update(traffic).values(dict.fromkeys(("value", "ci_low", "ci_high"))))
    page = Page(write_report(changed, tmp_path, tmp_path, DATE))
    assert "More data" in page.text
    assert "nan" not in page.text.lower().split()


@pytest.mark.parametrize(
    ("name", "text", "simulated"),
    [("README.md", "Real logs.", False), ("README.txt", "SIMULATED.", True),
     ("truth.json", "{}", True)],
)  # fmt: skip
def test_data_that_say_so_are_simulated(
    tmp_path: Path, name: str, text: str, simulated: bool
) -> None:
    assert not is_simulated(tmp_path)
    (tmp_path / name).write_text(text)
    assert is_simulated(tmp_path) == simulated


def test_only_simulated_data_are_called_so(page: Page, filled: Database, tmp_path: Path) -> None:
    (tmp_path / "truth.json").write_text("{}")
    simulated = Page(write_report(filled, tmp_path, tmp_path, DATE))
    said = "Nothing about people: the data are simulated."
    assert said in simulated.text
    assert said not in page.text


def test_without_an_experiment_it_says_what_to_run(filled: Database, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="run related-pins experiment --date 2026-11-14 first"):
        write_report(filled, tmp_path, tmp_path, dt.date(2026, 11, 14))
    assert not list(tmp_path.iterdir())


def test_an_experiment_alone_is_enough(database: Database, tmp_path: Path) -> None:
    add_experiment(database)
    page = Page(write_report(database, tmp_path, tmp_path, DATE))
    for said in (
        "No query pins yet.",
        "No crops before 2026-11-12.",
        "No importances were written.",
    ):
        assert said in page.text


def test_the_page_can_be_read_without_eyes_and_by_links(page: Page) -> None:
    assert all(picture.get("alt") for picture in page.named("img"))
    assert len(page.named("main")) == len(page.named("h1")) == 1
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    identifiers = [found["id"] for _, found in page.elements if "id" in found]
    assert len(identifiers) == len(set(identifiers))
    for link in page.named("a"):
        assert (link["href"] or "")[1:] in identifiers
    labels = [found["aria-labelledby"] for _, found in page.elements if "aria-labelledby" in found]
    assert set(labels) <= set(identifiers)


def test_photos_of_noise_still_give_a_page_under_6_megabytes(
    filled: Database, home: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    noise = Image.fromarray(rng.integers(0, 256, (520, 440, 3), np.uint8))
    for photo in (home / "source" / "photos").iterdir():
        noise.save(tmp_path / "photos" / photo.name, quality=90)
    assert write_report(filled, tmp_path, tmp_path, DATE).stat().st_size < 6_000_000


def test_the_side_by_side_shows_the_queries_that_keep_least(filled: Database, home: Path) -> None:
    ranked = filled.read("SELECT * FROM rankings WHERE rank <= 10").to_pylist()
    first: dict[tuple[str, str], set[str]] = {}
    for row in ranked:
        first.setdefault((row["query_pin_id"], row["arm"]), set()).add(row["candidate_pin_id"])
    kept = sorted(len(first[q, CONTROL] & first[q, PRIMARY]) for q in {q for q, _ in first})
    items = changed_queries(filled, PinImages(home / "source", home), DATE, VERSION).items
    assert all(isinstance(item, Change) for item in items)
    assert [item.n_kept for item in items if isinstance(item, Change)] == kept
    for item in items:
        assert isinstance(item, Change)
        assert [tile.mark for tile in item.control] == list("123456")
        assert [tile.mark for tile in item.treatment] == list("123456")


def test_the_pictures_are_of_the_pins_that_people_asked_and_cropped(
    filled: Database, home: Path
) -> None:
    requests = filled.read("SELECT query_pin_id FROM requests")["query_pin_id"].to_pylist()
    most = max(requests.count(pin) for pin in set(requests))
    asked = asked_pins(filled, PinImages(home / "source", home), DATE, VERSION).items
    assert asked[0].notes[0] == f"{most} requests"
    assert any("no object found" in tile.notes for tile in asked)
    cropped = cropped_pins(filled, PinImages(home / "source", home), FIRST, VERSION).items
    croppers = [int(tile.notes[0].split()[0]) for tile in cropped]
    assert croppers == sorted(croppers, reverse=True)
    assert not cropped_pins(
        filled, PinImages(home / "source", home), dt.date(2026, 11, 5), VERSION
    ).items


def test_owners_do_not_load_what_only_training_needs() -> None:
    code = (
        "import sys, experiments.report.page; print(sorted({'torch', 'torchvision', 'timm', "
        "'faiss', 'lightgbm', 'matplotlib.pyplot'} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert printed.stdout.strip() == "[]", printed.stderr


def test_texts_stand_out_from_what_is_behind_them() -> None:
    css = (Path(__file__).parents[3] / "experiments" / "report" / "report.css").read_text(
        encoding="utf-8"
    )
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", css, flags=re.S)[:2]
    )
    inks = ["ink", "muted", "better", "worse", "unclear"] + [f"arm-{n}" for n in range(1, 7)]
    for colours in (light, dark):
        for ink in inks:
            for ground in ("card", "page") if ink.startswith("arm") else ("card", "page", "soft"):
                assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)


def contrast(one: str, other: str) -> float:
    """WCAG 2.1 contrast ratio, 1 to 21: https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio"""
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    channels = np.array([int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
