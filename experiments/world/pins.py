"""The pins of the simulated world, planned before they are drawn, and who is a candidate for whom.

Look-alikes share the query pin's setting (background and composition) but hold other objects;
matches share one object (category and colour) with it, in another setting or as a product alone.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.world.appearance import FURNITURE, Appearance, random_looks
from experiments.world.backdrops import Setting, random_setting
from experiments.world.scenes import Scene, draw_outfit, draw_product, draw_room

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

SAME_CATEGORY = 0.25  # the match of an object of the same category in another colour
_BOARDS = ("weekend looks", "city style", "wardrobe ideas", "home corners", "new flat", "wish list")
_LAST_NEW_DAY = 9  # pins are created up to this day of the log, never in its last days


@dataclass(frozen=True)
class PlannedPin:
    """A pin before it is drawn; created_day counts from the first day of the log, mostly < 0.

    `wanted` is how often each of its looks is the one that people want, summing to 1.
    """

    pin_id: str
    kind: str
    setting: Setting
    looks: tuple[Appearance, ...]
    wanted: tuple[float, ...]
    created_day: int
    title: str
    board: str

    @property
    def is_room(self) -> bool:
        return self.looks[0].category in FURNITURE


@dataclass(frozen=True)
class Corpus:
    """Planned pins, the query pins among them and their candidates.

    `queries` (Q,) and `candidates` (Q, C) hold pin numbers, -1 where a query has fewer than C;
    `sources` (Q, C) names how a candidate was found. `match` (Q, W, C) is how well the best
    object of the candidate fits the w-th object of the query pin, 0..1; `alike` (Q, C) is 1.0
    where both share the setting.
    """

    pins: tuple[PlannedPin, ...]
    queries: Ints
    candidates: Ints
    sources: NDArray[np.str_]
    match: Floats
    alike: Floats


def draw(pin: PlannedPin, rng: np.random.Generator) -> Scene:
    """Returns the pin's image and true boxes."""
    match pin.kind:
        case "product":
            return draw_product(pin.looks[0], rng, pin.setting)
        case "outfit":
            return draw_outfit(pin.looks, rng, pin.setting)
        case _:
            return draw_room(pin.looks, rng, pin.setting)


def fit(wanted: Appearance, pin: PlannedPin) -> float:
    """Returns how well the pin's best object fits the wanted one: 1 for its category and colour."""
    same = [look.colour == wanted.colour for look in pin.looks if look.category == wanted.category]
    return max((1.0 if colour else SAME_CATEGORY for colour in same), default=0.0)


def plan_corpus(pins: int, rng: np.random.Generator) -> Corpus:
    """Returns a corpus of this many pins: a quarter query pins, a third products.

    Raises ValueError below 100 pins: a query pin needs 24 candidates of its own kind.
    """
    if pins < 100:
        raise ValueError(f"A sample needs at least 100 pins to find candidates, not {pins}.")
    settings = {
        "outfit": [random_setting(rng, "outfit") for _ in range(max(2, pins // 36))],
        "room": [random_setting(rng, "room") for _ in range(max(2, pins // 84))],
        "product": [random_setting(rng, "product") for _ in range(12)],
    }
    n_queries = pins // 4
    wishes: list[Appearance] = []
    planned: list[PlannedPin] = []
    for number in range(pins):
        is_query = number < n_queries
        kind = "product" if number >= pins - pins // 3 else "outfit" if number % 20 < 13 else "room"
        looks = random_looks(kind, rng)
        if is_query:
            wishes.extend(looks)
        else:
            looks = _borrowed(looks, wishes, rng)
        created = int(rng.integers(-60, 0))
        if not is_query and rng.random() < 0.08:
            created = int(rng.integers(0, _LAST_NEW_DAY + 1))
        choices = settings[kind]
        setting = choices[rng.integers(len(choices))]
        planned.append(_plan(number, kind, setting, looks, created, rng))
    return _with_candidates(tuple(planned), n_queries, rng)


def _plan(
    number: int,
    kind: str,
    setting: Setting,
    looks: tuple[Appearance, ...],
    created: int,
    rng: np.random.Generator,
) -> PlannedPin:
    weight = rng.lognormal(0, 0.9, len(looks))
    wanted = tuple((weight / weight.sum()).tolist())
    title = {"outfit": "flat-lay outfit", "room": "room board"}.get(
        kind, f"{looks[0].colour} {looks[0].category}"
    )
    board = _BOARDS[rng.integers(len(_BOARDS))]
    return PlannedPin(f"w{number:04d}", kind, setting, looks, wanted, created, title, board)


def _borrowed(
    looks: tuple[Appearance, ...], wishes: list[Appearance], rng: np.random.Generator
) -> tuple[Appearance, ...]:
    """Returns the looks, most replaced by the same category's look on some query pin."""
    result = []
    for look in looks:
        same = [wish for wish in wishes if wish.category == look.category]
        borrow = same and rng.random() < (0.85 if len(looks) == 1 else 0.45)
        result.append(same[rng.integers(len(same))] if borrow else look)
    return tuple(result)


def _with_candidates(
    pins: tuple[PlannedPin, ...], n_queries: int, rng: np.random.Generator
) -> Corpus:
    queries = np.arange(n_queries)
    width, objects = 32, max(len(pin.looks) for pin in pins)
    candidates = np.full((n_queries, width), -1)
    match = np.zeros((n_queries, objects, width))
    alike = np.zeros((n_queries, width))
    sources = np.full((n_queries, width), "board", dtype="U8")
    for q in queries:
        chosen = _candidates_of(pins, int(q), rng)
        candidates[q, : len(chosen)] = chosen
        for c, number in enumerate(chosen):
            alike[q, c] = pins[number].setting == pins[q].setting
            likely = (0.2, 0.2, 0.6) if alike[q, c] else (0.45, 0.4, 0.15)
            sources[q, c] = rng.choice(("board", "popular", "visual"), p=likely)
            for w, look in enumerate(pins[q].looks):
                match[q, w, c] = fit(look, pins[number])
    return Corpus(pins, queries, candidates, sources, match, alike)


def _candidates_of(pins: tuple[PlannedPin, ...], q: int, rng: np.random.Generator) -> list[int]:
    """Returns 24 to 32 pins of the query's world: look-alikes, matches and others, shuffled."""
    query = pins[q]
    pool = [i for i, p in enumerate(pins) if i != q and p.is_room == query.is_room]
    pool = rng.permutation(pool).tolist()
    lookalikes = [i for i in pool if pins[i].setting == query.setting]
    matches = [
        i
        for i in pool
        if pins[i].setting != query.setting and any(fit(w, pins[i]) == 1 for w in query.looks)
    ]
    total = int(rng.integers(24, 33))
    chosen = [*lookalikes[:8], *matches[:7]]
    chosen += [i for i in pool if i not in chosen][: total - len(chosen)]
    result: list[int] = rng.permutation(chosen).tolist()
    return result
