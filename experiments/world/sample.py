"""A whole simulated data set in the input contract, with its truth beside it."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from experiments.world import behaviour, logs, policy
from experiments.world.behaviour import PLATFORMS, Effects, Floats, People, Visits
from experiments.world.coco import write_boxes
from experiments.world.dirt import soil
from experiments.world.logs import Photo
from experiments.world.pins import Corpus, draw, plan_corpus
from experiments.world.scenes import Scene

POSITIONS = 12
_README = """SIMULATED. Nothing here was seen or done by people.

The pins are drawn scenes and products; requests, impressions, engagements and crops come from a
program with known rules. *.parquet and photos/ are the data set, in the input contract.

The truth, which no real data set has:
- truth.json: the planted effects, examination per platform and position, the dirt, counted.
- boxes.json: the true boxes of the photos (COCO format).
- truth_pairs.parquet: for each query pin, candidate pin and platform, the probability of each
  action given that the candidate is examined, averaged over the requests of this sample.
"""


@dataclass(frozen=True)
class Sample:
    """What was written: rows per table (dirt included), true boxes, and the dirt by kind."""

    directory: Path
    rows: dict[str, int]
    boxes: int
    dirt: dict[str, int]


@dataclass(frozen=True)
class World:
    """One simulated world: its pins, people and requests, and what each pin's appeal is."""

    corpus: Corpus
    people: People
    visits: Visits
    appeal: Floats
    effects: Effects
    days: int


def draw_world(
    *,
    seed: int,
    pins: int = 420,
    requests: int = 30_000,
    users: int = 3_000,
    days: int = 14,
    random_share: float = 0.25,
    effects: Effects | None = None,
) -> World:
    """Returns a world drawn from the seed; nothing is painted yet."""
    rng = np.random.default_rng(seed)
    corpus = plan_corpus(pins, rng)
    people = behaviour.draw_people(users, rng)
    visits = behaviour.draw_visits(corpus, people, requests, days, random_share, rng)
    appeal = behaviour.quality(corpus, rng)
    return World(corpus, people, visits, appeal, effects or Effects(), days)


def show_pages(world: World, rng: np.random.Generator) -> policy.Shown:
    """Returns what each request shows; a pin is a candidate from the day after its creation."""
    corpus = world.corpus
    created = np.array([pin.created_day for pin in corpus.pins])
    there = (corpus.candidates >= 0)[world.visits.query]
    born = created[corpus.candidates][world.visits.query] < world.visits.day[:, None]
    noise = rng.normal(0, 0.5, corpus.candidates.shape)
    scores = 1.1 * corpus.alike + 0.6 * world.appeal[corpus.candidates] + noise
    visits = world.visits
    return policy.show(visits.query, visits.randomised, there & born, scores, POSITIONS, rng)


def true_pairs(world: World) -> pa.Table:
    """Returns the truth per query pin, candidate pin and platform.

    `match` is how well the candidate fits what people wanted, 0..1, `alike` whether both share a
    setting; then the probability of each action given examination, averaged over the requests
    (`n_requests`) of that query pin on that platform. The expected actions of a ranking are thus
    the sum over positions of examination times this probability.
    """
    corpus, visits = world.corpus, world.visits
    width = corpus.candidates.shape[1]
    columns = np.broadcast_to(np.arange(width), (len(visits.user), width))
    steps = _steps(world, columns)
    values = behaviour.action_probabilities(steps)
    values = {"match": corpus.match[visits.query, visits.wish], **values}
    group = visits.query * len(PLATFORMS) + world.people.platform[visits.user]
    counts = np.bincount(group, minlength=len(corpus.queries) * len(PLATFORMS))
    sums = {name: np.zeros((len(counts), width)) for name in values}
    for name, value in values.items():
        np.add.at(sums[name], group, value)
    there = corpus.candidates[np.arange(len(counts)) // len(PLATFORMS)] >= 0
    row, column = np.nonzero(there & (counts > 0)[:, None])
    query = row // len(PLATFORMS)
    ids = pa.array([pin.pin_id for pin in corpus.pins])
    return pa.table(
        {
            "query_pin_id": ids.take(pa.array(corpus.queries[query])),
            "candidate_pin_id": ids.take(pa.array(corpus.candidates[query, column])),
            "platform": [PLATFORMS[i] for i in (row % len(PLATFORMS)).tolist()],
            "n_requests": counts[row],
            "alike": corpus.alike[query, column],
            **{name: total[row, column] / counts[row] for name, total in sums.items()},
        }
    )


def _steps(world: World, columns: behaviour.Ints) -> dict[str, Floats]:
    return behaviour.step_probabilities(
        world.corpus, world.people, world.visits, columns, world.appeal, world.effects
    )


def write_sample(
    directory: Path | str,
    *,
    seed: int = 20261115,
    pins: int = 420,
    requests: int = 30_000,
    users: int = 3_000,
    crops: int = 4_000,
    days: int = 14,
    end: date | str = "2026-11-15",
    random_share: float = 0.25,
    effects: Effects | None = None,
    on_image: Callable[[], object] = lambda: None,
) -> Sample:
    """Writes a simulated data set in the input contract and returns what was written.

    The log covers `days` days up to and including `end` (UTC). A quarter of the requests is in
    random order by default, far more than a real log would have, so that a small sample can tell
    arms apart. `effects` are the planted effects; `Effects(object_effect=0)` is a world where
    objects do not matter. `on_image` is called after each image. Same arguments, same bytes.
    Raises FileExistsError where the directory already holds pins.parquet.
    """
    directory = Path(directory)
    if (directory / "pins.parquet").exists():
        raise FileExistsError(f"{directory} already holds a data set; name another directory.")
    (directory / "photos").mkdir(parents=True, exist_ok=True)
    last = date.fromisoformat(end) if isinstance(end, str) else end
    first = last - timedelta(days=days - 1)
    world = draw_world(
        seed=seed,
        pins=pins,
        requests=requests,
        users=users,
        days=days,
        random_share=random_share,
        effects=effects,
    )
    rng = np.random.default_rng(seed + 1)
    spoiled = _choose_spoiled(world.corpus, rng)
    photos: dict[str, Photo] = {}
    scenes = _draw_photos(directory, world.corpus, spoiled, photos, rng, on_image)
    boxes = write_boxes(directory / "boxes.json", scenes)
    tables, junk = _tables(world, photos, crops, first, rng)
    tables, dirt = soil(tables, rng)
    dirt |= {"truncated_images": 1, "missing_images": 1, "junk_crops": junk}
    for name, table in tables.items():
        pq.write_table(table, directory / f"{name}.parquet")
    pq.write_table(true_pairs(world), directory / "truth_pairs.parquet")
    _write_truth(directory, world, seed, {**dirt, **spoiled})
    return Sample(directory, {name: len(t) for name, t in tables.items()}, boxes, dirt)


def _tables(
    world: World, photos: dict[str, Photo], crops: int, first: date, rng: np.random.Generator
) -> tuple[dict[str, pa.Table], int]:
    """Returns the clean tables of the contract and the number of junk crops."""
    corpus, people, visits = world.corpus, world.people, world.visits
    shown = show_pages(world, rng)
    theta = behaviour.examination(world.effects, POSITIONS)
    examined = rng.random(shown.columns.shape) < theta[people.platform[visits.user]]
    acted = behaviour.act(_steps(world, shown.columns), examined, rng)
    cropped, junk = logs.crops_table(corpus, people, photos, crops, world.days, first, rng)
    return {
        "pins": logs.pins_table(corpus.pins, first, rng),
        "requests": logs.requests_table(corpus, people, visits, first),
        "impressions": logs.impressions_table(corpus, visits, shown),
        "engagements": logs.engagements_table(corpus, visits, shown, acted, first, rng),
        "candidates": logs.candidates_table(corpus),
        "crops": cropped,
    }, junk


def _choose_spoiled(corpus: Corpus, rng: np.random.Generator) -> dict[str, str]:
    """Returns the candidates whose image will be cut short or missing, by kind of dirt."""
    others = np.setdiff1d(corpus.candidates[corpus.candidates >= 0], corpus.queries)
    short, gone = (corpus.pins[i].pin_id for i in rng.choice(others, 2, replace=False))
    return {"truncated_image": short, "missing_image": gone}


def _draw_photos(
    directory: Path,
    corpus: Corpus,
    spoiled: dict[str, str],
    photos: dict[str, Photo],
    rng: np.random.Generator,
    on_image: Callable[[], object],
) -> Iterator[tuple[str, Scene]]:
    """Writes each pin's image, notes it in `photos`, and yields those that can be read."""
    for pin in corpus.pins:
        scene = draw(pin, rng)
        photos[pin.pin_id] = Photo(*scene.image.size, scene.objects)
        name = f"photos/{pin.pin_id}.jpg"
        path = directory / name
        if pin.pin_id != spoiled["missing_image"]:
            scene.image.save(path, quality=88)
        if pin.pin_id == spoiled["truncated_image"]:
            path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 5])
        if pin.pin_id not in spoiled.values():
            yield name, scene
        on_image()


def _write_truth(directory: Path, world: World, seed: int, dirt: Mapping[str, int | str]) -> None:
    theta = behaviour.examination(world.effects, POSITIONS)
    truth = {
        "simulated": True,
        "seed": seed,
        "effects": asdict(world.effects) | {"decay": dict(world.effects.decay)},
        "examination": {name: row.tolist() for name, row in zip(PLATFORMS, theta, strict=True)},
        "propensity": "production: exact share of its finite set of pages; random: 1 / candidates",
        "dirt": dict(dirt),
    }
    (directory / "truth.json").write_text(json.dumps(truth, indent=2) + "\n")
    (directory / "README.txt").write_text(_README)
