"""The world's logs as tables of the input contract: pins, requests, impressions, and so on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from experiments.world.behaviour import ACTIONS, PLATFORMS, Floats, Ints, People, Visits
from experiments.world.pins import Corpus, PlannedPin
from experiments.world.policy import Shown
from experiments.world.scenes import DrawnObject

UTC = pa.timestamp("us", tz="UTC")
JUNK = 0.12  # share of crops that hold nothing in particular
_DELAYS = {"closeup": 8, "click": 40, "long_click": 130, "save": 70, "hide": 15}  # seconds


@dataclass(frozen=True)
class Photo:
    """A drawn photo: its size in pixels and what it shows."""

    width: int
    height: int
    objects: tuple[DrawnObject, ...]


def timestamps(first: date, days: Ints, seconds: NDArray[np.int64]) -> pa.Array:
    """Returns UTC times from days since the first day and seconds of the day."""
    base = np.datetime64(first, "us")
    times = base + days.astype("timedelta64[D]") + seconds.astype("timedelta64[s]")
    return pa.array(times.astype("datetime64[us]"), pa.timestamp("us")).cast(UTC)


def names(prefix: str, width: int, numbers: Ints) -> pa.Array:
    """Returns ids such as u00042 for the numbers, (N,)."""
    unique, inverse = np.unique(numbers, return_inverse=True)
    texts = pa.array([f"{prefix}{n:0{width}d}" for n in unique.tolist()], pa.string())
    return texts.take(pa.array(inverse))


def pins_table(pins: Sequence[PlannedPin], first: date, rng: np.random.Generator) -> pa.Table:
    days = np.array([pin.created_day for pin in pins])
    return pa.table(
        {
            "pin_id": [pin.pin_id for pin in pins],
            "image": [f"photos/{pin.pin_id}.jpg" for pin in pins],
            "title": [pin.title for pin in pins],
            "board": [pin.board for pin in pins],
            "created_at": timestamps(first, days, rng.integers(0, 86400, len(pins))),
        }
    )


def candidates_table(corpus: Corpus) -> pa.Table:
    ids = pa.array([pin.pin_id for pin in corpus.pins])
    query, column = np.nonzero(corpus.candidates >= 0)
    return pa.table(
        {
            "query_pin_id": ids.take(pa.array(corpus.queries[query])),
            "candidate_pin_id": ids.take(pa.array(corpus.candidates[query, column])),
            "source": corpus.sources[query, column].tolist(),
        }
    )


def requests_table(corpus: Corpus, people: People, visits: Visits, first: date) -> pa.Table:
    ids = pa.array([pin.pin_id for pin in corpus.pins])
    return pa.table(
        {
            "request_id": names("r", 7, np.arange(len(visits.user))),
            "user_id": names("u", 5, visits.user),
            "query_pin_id": ids.take(pa.array(corpus.queries[visits.query])),
            "requested_at": timestamps(first, visits.day, visits.second),
            "policy": np.where(visits.randomised, "random", "production").tolist(),
            "platform": [PLATFORMS[i] for i in people.platform[visits.user].tolist()],
        }
    )


def impressions_table(corpus: Corpus, visits: Visits, shown: Shown) -> pa.Table:
    ids = pa.array([pin.pin_id for pin in corpus.pins])
    requests, positions = shown.columns.shape
    pin = corpus.candidates[visits.query[:, None], shown.columns]
    return pa.table(
        {
            "request_id": names("r", 7, np.repeat(np.arange(requests), positions)),
            "candidate_pin_id": ids.take(pa.array(pin.ravel())),
            "position": np.tile(np.arange(1, positions + 1), requests),
            "propensity": shown.propensity.ravel(),
        }
    )


def engagements_table(
    corpus: Corpus,
    visits: Visits,
    shown: Shown,
    acted: dict[str, NDArray[np.bool_]],
    first: date,
    rng: np.random.Generator,
) -> pa.Table:
    """Returns one row per action, shuffled as streams of events arrive."""
    ids = pa.array([pin.pin_id for pin in corpus.pins])
    parts = []
    for action in ACTIONS:
        request, position = np.nonzero(acted[action])
        pin = corpus.candidates[visits.query[request], shown.columns[request, position]]
        wait = _DELAYS[action] + rng.integers(0, 90, len(request)) + 6 * position
        rows = {
            "request_id": names("r", 7, request),
            "candidate_pin_id": ids.take(pa.array(pin)),
            "action": pa.array([action] * len(request), pa.string()),
            "engaged_at": timestamps(first, visits.day[request], visits.second[request] + wait),
        }
        parts.append(pa.table(rows))
    table = pa.concat_tables(parts)
    return table.take(pa.array(rng.permutation(len(table))))


def crops_table(
    corpus: Corpus,
    people: People,
    photos: dict[str, Photo],
    crops: int,
    days: int,
    first: date,
    rng: np.random.Generator,
) -> tuple[pa.Table, int]:
    """Returns the crops and how many of them are junk.

    Most are drawn around the object their user wants, with an unsteady hand.
    """
    scenes = [pin for pin in corpus.pins if pin.kind != "product" and pin.pin_id in photos]
    weight = rng.pareto(1.5, len(scenes)) + 0.3
    chosen = [scenes[i] for i in rng.choice(len(scenes), crops, p=weight / weight.sum())]
    junk = rng.random(crops) < JUNK
    boxes = np.array(
        [_crop(pin, photos[pin.pin_id], bad, rng) for pin, bad in zip(chosen, junk, strict=True)]
    )
    day = np.array([rng.integers(max(pin.created_day + 1, 0), days) for pin in chosen])
    table = pa.table(
        {
            "crop_id": names("c", 6, np.arange(crops)),
            "user_id": names("u", 5, rng.choice(len(people.activity), crops, p=people.activity)),
            "pin_id": [pin.pin_id for pin in chosen],
            **{name: boxes[:, i].round(1) for i, name in enumerate(("x1", "y1", "x2", "y2"))},
            "cropped_at": timestamps(first, day, rng.integers(0, 86400, crops)),
        }
    )
    return table, int(junk.sum())


def _crop(pin: PlannedPin, photo: Photo, junk: bool, rng: np.random.Generator) -> Floats:
    """Returns one crop xyxy inside the photo, at least 8 pixels wide and high."""
    size = np.array([photo.width, photo.height], np.float64)
    if junk:
        extent = size * rng.uniform(0.1, 0.9, 2)
        centre = size * rng.uniform(0, 1, 2)
    else:
        wanted = dict(zip(pin.looks, pin.wanted, strict=True))
        weight = np.array([wanted[thing.appearance] for thing in photo.objects])
        box = np.array(photo.objects[rng.choice(len(weight), p=weight / weight.sum())].box)
        extent = (box[2:] - box[:2]) * np.exp(rng.normal(0.05, 0.12, 2))
        centre = (box[:2] + box[2:]) / 2 + rng.normal(0, 0.06, 2) * extent
    low = np.clip(centre - extent / 2, 0, size - 8)
    high = np.clip(centre + extent / 2, low + 8, size)
    return np.concatenate([low, high])
