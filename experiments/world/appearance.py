"""How an object looks: its category, colour, pattern and shape."""

from dataclasses import dataclass

import numpy as np

GARMENTS = (
    "dress", "outerwear", "top", "pants", "shorts", "skirt", "shoes", "bag", "hat",
    "sunglasses", "belt", "scarf", "tie", "watch",
)  # fmt: skip
FURNITURE = ("chair", "couch", "table", "lamp", "plant", "vase", "clock", "rug")
CATEGORIES = GARMENTS + FURNITURE

COLOURS: dict[str, tuple[int, int, int]] = {
    "black": (38, 38, 42),
    "white": (238, 236, 230),
    "grey": (140, 142, 146),
    "beige": (212, 190, 156),
    "brown": (122, 80, 52),
    "red": (190, 40, 44),
    "pink": (228, 150, 168),
    "orange": (224, 122, 48),
    "yellow": (230, 194, 72),
    "green": (62, 138, 82),
    "olive": (112, 112, 62),
    "teal": (40, 132, 138),
    "blue": (78, 128, 196),
    "navy": (38, 52, 98),
    "purple": (118, 74, 144),
}
PATTERNS = ("plain", "stripes", "dots", "check", "floral")
SHAPES = 4  # silhouettes per category
_SMALL = frozenset(("sunglasses", "belt", "watch", "clock", "lamp", "plant", "table"))

RGB = tuple[int, int, int]


@dataclass(frozen=True)
class Appearance:
    """The look of one object: the same value always draws the same object."""

    category: str
    colour: str
    rgb: RGB
    pattern: str
    shape: int

    @property
    def accent(self) -> RGB:
        """The second colour of the pattern: light on dark things, dark or vivid on light ones."""
        light = sum(self.rgb) > 360
        if self.shape % 2:
            return mix(self.rgb, (28, 26, 34) if light else (246, 242, 232), 0.72)
        vivid = list(COLOURS.values())[(sum(self.rgb) // 8 + self.shape) % len(COLOURS)]
        return mix(vivid, (20, 20, 30) if light else (255, 252, 240), 0.45)


def mix(a: RGB, b: RGB, share: float) -> RGB:
    """Returns the colour `share` of the way from a to b, 0..255 per channel.

    >>> mix((0, 0, 0), (200, 100, 50), 0.5)
    (100, 50, 25)
    """
    r, g, b_ = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return r, g, b_


def random_appearance(
    category: str, rng: np.random.Generator, colour: str | None = None
) -> Appearance:
    """Returns a random look of the category, of the given colour where one is named.

    Raises ValueError for a category or colour that is not known.
    """
    if category not in CATEGORIES:
        raise ValueError(f"{category!r} is no category; choose one of {', '.join(CATEGORIES)}.")
    name = str(rng.choice(list(COLOURS))) if colour is None else colour
    if name not in COLOURS:
        raise ValueError(f"{name!r} is no colour; choose one of {', '.join(COLOURS)}.")
    r, g, b = np.clip(np.array(COLOURS[name]) + rng.integers(-10, 11, 3), 0, 255).tolist()
    weights = (0.85, 0.08, 0.02, 0.05, 0.0) if category in _SMALL else (0.5, 0.16, 0.1, 0.12, 0.12)
    pattern = str(rng.choice(PATTERNS, p=weights))
    return Appearance(category, name, (r, g, b), pattern, int(rng.integers(SHAPES)))


def random_looks(kind: str, rng: np.random.Generator) -> tuple[Appearance, ...]:
    """Returns the looks of one scene: 1 for a product, 3 to 6 for an outfit or a room."""
    match kind:
        case "product":
            names = [str(rng.choice(CATEGORIES))]
        case "room":
            names = rng.choice(FURNITURE, int(rng.integers(3, 7)), replace=False).tolist()
        case "outfit":
            names = _outfit(rng)
        case _:
            raise ValueError(f"{kind!r} is no kind of scene; choose product, outfit or room.")
    return tuple(random_appearance(name, rng) for name in names)


def _outfit(rng: np.random.Generator) -> list[str]:
    """Returns 3 to 6 categories that go together: a dress, or a top and something below it."""
    below = str(rng.choice(("pants", "shorts", "skirt"), p=(0.42, 0.28, 0.3)))
    names = ["dress"] if rng.random() < 0.35 else ["top", below]
    if rng.random() < 0.35:
        names.append("outerwear")
    extras = rng.permutation(["shoes", "bag", "hat", "sunglasses", "belt", "scarf", "tie", "watch"])
    chosen: list[str] = extras.tolist()[: max(int(rng.integers(3, 7)) - len(names), 1)]
    return names + chosen
