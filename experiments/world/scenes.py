"""Pin images drawn from appearances: products, flat-lay outfits, room boards; with true boxes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from experiments.world.appearance import (
    CATEGORIES,
    FURNITURE,
    GARMENTS,
    Appearance,
    random_appearance,
)
from experiments.world.backdrops import Setting, backdrop, random_setting
from experiments.world.silhouettes import silhouette
from experiments.world.sketch import Floats, render

__all__ = [
    "CATEGORIES", "FURNITURE", "GARMENTS", "Appearance", "DrawnObject", "Scene", "Setting",
    "draw_outfit", "draw_product", "draw_room", "random_appearance", "random_setting",
]  # fmt: skip

Box = tuple[float, float, float, float]

# Height of a garment in a flat-lay, as a share of the scene's height.
_HEIGHTS = {
    "dress": 0.62, "outerwear": 0.52, "top": 0.36, "pants": 0.56, "shorts": 0.27, "skirt": 0.36,
    "shoes": 0.17, "bag": 0.26, "hat": 0.17, "sunglasses": 0.085, "belt": 0.17, "scarf": 0.38,
    "tie": 0.36, "watch": 0.17,
}  # fmt: skip
# Height of furniture as a share of the room's height, where it stands (x from, to; foot y).
_PLACES = {
    "rug": (0.16, (0.3, 0.7), 0.97),
    "clock": (0.16, (0.15, 0.85), 0.28),
    "couch": (0.34, (0.36, 0.64), 0.8),
    "lamp": (0.52, (0.06, 0.94), 0.8),
    "chair": (0.4, (0.14, 0.86), 0.88),
    "plant": (0.4, (0.08, 0.92), 0.84),
    "table": (0.24, (0.3, 0.7), 0.95),
    "vase": (0.2, (0.2, 0.8), 0.79),
}
_SHADOW = 0.38


@dataclass(frozen=True)
class DrawnObject:
    """One object of a scene: its look, its box and how much of it can be seen.

    `box` is xyxy in pixels, tight around the visible pixels (alpha above one half), the right
    and bottom edges exclusive. `visible` is the visible share of the object's pixels, 0..1.
    """

    appearance: Appearance
    box: Box
    visible: float


@dataclass(frozen=True)
class Scene:
    """A drawn pin image and what it shows; kind is product, outfit or room."""

    kind: str
    image: Image.Image
    objects: tuple[DrawnObject, ...]


class _Canvas:
    """The scene while it is painted: colours, and which object owns each pixel."""

    def __init__(self, background: Floats) -> None:
        self.pixels = background
        self.owner: NDArray[np.int8] = np.full(background.shape[:2], -1, np.int8)
        self.looks: list[Appearance] = []
        self.areas: list[int] = []

    def paste(
        self, look: Appearance, paint: Floats, alpha: Floats, x: float, y: float, drop: int
    ) -> None:
        """Lays the object with its centre at x, y; its shadow falls `drop` pixels away."""
        h, w = int(alpha.shape[0]), int(alpha.shape[1])
        left, top = round(x - w / 2), round(y - h / 2)
        blurred = Image.fromarray((alpha * 255).astype(np.uint8)).filter(ImageFilter.BoxBlur(4))
        shadow = np.asarray(blurred, np.float32) * np.float32(_SHADOW / 255)
        here, there = self._windows(left + drop // 2, top + drop, w, h)
        self.pixels[here] *= 1 - shadow[there][..., None]
        here, there = self._windows(left, top, w, h)
        cover = alpha[there][..., None]
        self.pixels[here] += (paint[there] - self.pixels[here]) * cover
        self.owner[here][alpha[there] > 0.5] = len(self.looks)
        self.looks.append(look)
        self.areas.append(int((alpha > 0.5).sum()))

    def _windows(
        self, left: int, top: int, w: int, h: int
    ) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        high, wide = self.owner.shape[:2]
        x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + w, wide), min(top + h, high)
        x2, y2 = max(x1, x2), max(y1, y2)
        there = slice(y1 - top, y2 - top), slice(x1 - left, x2 - left)
        return (slice(y1, y2), slice(x1, x2)), there

    def scene(self, kind: str, warmth: float) -> Scene:
        objects = []
        for number, (look, area) in enumerate(zip(self.looks, self.areas, strict=True)):
            mask = self.owner == number
            ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            if len(ys):
                box = (float(xs[0]), float(ys[0]), float(xs[-1] + 1), float(ys[-1] + 1))
                objects.append(DrawnObject(look, box, float(mask.sum() / area)))
        tint = np.array([1 + warmth, 1.0, 1 - warmth], np.float32)
        return Scene(
            kind,
            Image.fromarray(np.clip(self.pixels * tint, 0, 255).astype(np.uint8)),
            tuple(objects),
        )


def draw_product(
    appearance: Appearance, rng: np.random.Generator, setting: Setting | None = None
) -> Scene:
    """Returns one object on a plain or softly graded background, 224 to 320 pixels square."""
    setting = setting or random_setting(rng, "product")
    size = int(rng.integers(224, 321))
    canvas = _Canvas(backdrop(setting, size, size))
    sketch = silhouette(appearance.category, appearance.shape)
    room = size * rng.uniform(0.62, 0.84)
    width = room * min(1.0, sketch.aspect)
    angle = float(rng.normal(0, 5)) if appearance.category in GARMENTS else 0.0
    paint, alpha = render(sketch, appearance, width, rng, angle)
    x, y = size / 2 + rng.uniform(-0.04, 0.04, 2) * size
    canvas.paste(appearance, paint, alpha, float(x), float(y), 6)
    return canvas.scene("product", float(rng.normal(0, 0.015)))


def draw_outfit(
    appearances: tuple[Appearance, ...] | list[Appearance],
    rng: np.random.Generator,
    setting: Setting | None = None,
) -> Scene:
    """Returns a flat-lay of the garments, about 400 x 600 pixels.

    The setting fixes the background and the composition: the same setting with objects of the
    same categories looks the same as a whole, whatever their colours and shapes.
    """
    setting = setting or random_setting(rng, "outfit")
    layout = np.random.default_rng(setting.seed)
    width, height = (int(layout.integers(lo, hi)) for lo, hi in ((380, 421), (570, 631)))
    canvas = _Canvas(backdrop(setting, width, height))
    scale = (1.12, 1.12, 1.12, 1.04, 0.97, 0.92, 0.88)[min(len(appearances), 6)]
    order = sorted(range(len(appearances)), key=lambda i: -_HEIGHTS[appearances[i].category])
    taken: list[Box] = []
    for i in order:
        look, sketch = appearances[i], silhouette(appearances[i].category, appearances[i].shape)
        tall = _HEIGHTS[look.category] * height * scale * float(layout.uniform(0.9, 1.08))
        big = _HEIGHTS[look.category] > 0.26 and look.category not in ("scarf", "tie")
        wide = min(tall * sketch.aspect, (0.62 if big else 0.4) * width)
        angle = float(layout.normal(0, 9)) + (
            35 if look.category in ("belt", "tie") else 0
        ) * float(layout.uniform(-1, 1))
        paint, alpha = render(sketch, look, wide, rng, angle)
        x, y = _free_place(taken, (width, height), alpha.shape[1], alpha.shape[0], layout)
        canvas.paste(look, paint, alpha, x, y, 5)
    return canvas.scene("outfit", float(layout.normal(0, 0.02)))


def _free_place(
    taken: list[Box], size: tuple[int, int], w: int, h: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Returns the centre, of 24 tried, that overlaps least with the places taken; takes it."""
    spread = rng.uniform(0, 1, (24, 2))
    x = w * 0.45 + spread[:, 0] * max(size[0] - w * 0.9, 1)
    y = h * 0.47 + spread[:, 1] * max(size[1] - h * 0.94, 1)
    cost = rng.uniform(0, 0.03, 24)
    for x1, y1, x2, y2 in taken:
        over_x = np.clip(np.minimum(x + w / 2, x2) - np.maximum(x - w / 2, x1), 0, None)
        over_y = np.clip(np.minimum(y + h / 2, y2) - np.maximum(y - h / 2, y1), 0, None)
        cost += over_x * over_y / min(w * h, (x2 - x1) * (y2 - y1))
    best = int(np.argmin(cost))
    taken.append((x[best] - w / 2, y[best] - h / 2, x[best] + w / 2, y[best] + h / 2))
    return float(x[best]), float(y[best])


def draw_room(
    appearances: tuple[Appearance, ...] | list[Appearance],
    rng: np.random.Generator,
    setting: Setting | None = None,
) -> Scene:
    """Returns a room board with the furniture in it, about 600 x 450 pixels; see draw_outfit."""
    setting = setting or random_setting(rng, "room")
    layout = np.random.default_rng(setting.seed)
    width, height = (int(layout.integers(lo, hi)) for lo, hi in ((570, 631), (430, 471)))
    canvas = _Canvas(backdrop(setting, width, height))
    order = sorted(appearances, key=lambda look: list(_PLACES).index(look.category))
    taken: dict[bool, list[float]] = {False: [], True: []}
    for look in order:
        share, (low, high), foot = _PLACES[look.category]
        sketch = silhouette(look.category, look.shape)
        tall = share * height * float(layout.uniform(0.88, 1.1))
        if look.category in ("lamp", "table") and sketch.aspect > (
            0.52 if look.category == "lamp" else 2.2
        ):
            tall *= 0.62
        wide = min(tall * sketch.aspect, 0.6 * width)
        tall = wide / sketch.aspect
        paint, alpha = render(sketch, look, wide, rng)
        tries = layout.uniform(low, high, 8)
        others = taken[look.category in ("rug", "clock")]
        gap = [min((abs(float(t) - o) for o in others), default=1.0) for t in tries]
        x = float(tries[int(np.argmax(gap))])
        others.append(x)
        hung = look.category == "lamp" and look.shape == 2
        y = tall / 2 if hung else foot * height - tall / 2 + float(layout.normal(0, 0.008)) * height
        canvas.paste(look, paint, alpha, x * width, y, 3)
    return canvas.scene("room", float(layout.normal(0, 0.02)))
