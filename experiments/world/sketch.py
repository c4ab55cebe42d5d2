"""A sketch (named parts in a unit box) and its rendering into antialiased, shaded pixels."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from experiments.world.appearance import RGB, Appearance, mix

Points = NDArray[np.float64]  # (N, 2) x, y in the unit box, y downwards
Floats = NDArray[np.float32]
SUPERSAMPLING = 3
PAD = 6  # empty pixels around a rendered object
TILE = 1024


@dataclass(frozen=True)
class Part:
    """One polygon (stroke = 0) or line (stroke = its width as a share of the sketch's width)."""

    points: Points
    tone: str
    stroke: float = 0.0


@dataclass(frozen=True)
class Sketch:
    """Parts drawn in order over the unit box; `aspect` is width over height."""

    aspect: float
    parts: tuple[Part, ...]


def sketch(aspect: float, *parts: Part) -> Sketch:
    """Returns a sketch of the parts, drawn in this order."""
    return Sketch(aspect, parts)


def poly(*xy: tuple[float, float]) -> Points:
    """Returns the points as an (N, 2) array."""
    return np.array(xy, dtype=np.float64)


def path(text: str) -> Points:
    """Returns the points written as "x,y x,y", in hundredths of the unit box.

    >>> path("0,50 100,25").tolist()
    [[0.0, 0.5], [1.0, 0.25]]
    """
    return np.array([pair.split(",") for pair in text.split()], dtype=np.float64) / 100


def mirror(*right: tuple[float, float]) -> Points:
    """Returns the closed outline whose right half is given from top to bottom.

    >>> mirror((0.5, 0.0), (1.0, 1.0)).tolist()
    [[0.5, 0.0], [1.0, 1.0], [0.0, 1.0], [0.5, 0.0]]
    """
    half = poly(*right)
    return np.concatenate([half, (half * (-1, 1) + (1, 0))[::-1]])


def flip(points: Points) -> Points:
    """Returns the points mirrored left to right."""
    return points * (-1, 1) + (1, 0)


def both(points: Points, tone: str, stroke: float = 0.0) -> list[Part]:
    """Returns the part and its mirror image."""
    return [Part(points, tone, stroke), Part(flip(points), tone, stroke)]


def curve(points: Points, steps: int = 6, closed: bool = True) -> Points:
    """Returns a Catmull-Rom spline through the points."""
    before = np.roll(points, 1, 0) if closed else np.concatenate([points[:1], points[:-1]])
    after = np.roll(points, -1, 0) if closed else np.concatenate([points[1:], points[-1:]])
    after2 = np.roll(points, -2, 0) if closed else np.concatenate([after[1:], after[-1:]])
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    p0, p1, p2, p3 = (p[:, None] for p in (before, points, after, after2))
    bend = (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    return np.asarray(p1 + 0.5 * ((p2 - p0) * t + bend)).reshape(-1, 2)


def oval(x: float, y: float, rx: float, ry: float, start: float = 0, stop: float = 360) -> Points:
    """Returns the outline of an ellipse, or an arc of it (degrees, clockwise from 3 o'clock)."""
    angle = np.radians(np.linspace(start, stop, 41))
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


@lru_cache(maxsize=1)
def _noise() -> tuple[Floats, Floats]:
    """Returns (folds, grain): smooth noise in -1..1 and unit white noise, tiles of (TILE, TILE)."""
    rng = np.random.default_rng(20261115)
    coarse = np.zeros((TILE, TILE), np.float32)
    for cells, weight in ((16, 0.6), (48, 0.4)):
        small = Image.fromarray(rng.uniform(-1, 1, (cells, cells)).astype(np.float32))
        coarse += weight * np.asarray(small.resize((TILE, TILE), Image.Resampling.BICUBIC))
    return coarse, rng.standard_normal((TILE, TILE), dtype=np.float32)


def noise(height: int, width: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Returns windows (height, width) of the folds and grain tiles at a random place."""
    y, x = int(rng.integers(TILE - height)), int(rng.integers(TILE - width))
    folds, grain = _noise()
    window = slice(y, y + height), slice(x, x + width)
    return folds[window], grain[window]


def palette(look: Appearance) -> dict[str, RGB]:
    """Returns the colour of every tone a part may have."""
    warm = look.shape % 2 == 0
    return {
        "body": look.rgb,
        "plain": look.rgb,
        "shade": mix(look.rgb, (12, 10, 16), 0.38),
        "light": mix(look.rgb, (255, 253, 246), 0.45),
        "accent": look.accent,
        "metal": (204, 168, 92) if warm else (190, 194, 200),
        "white": (240, 238, 232),
        "dark": (46, 40, 40),
        "leather": (112, 74, 50) if warm else (52, 44, 42),
        "wood": (164, 116, 74) if warm else (98, 66, 44),
        "glass": (44, 48, 58) if warm else (84, 62, 48),
        "leaf": (58, 118, 66) if warm else (86, 138, 74),
        "leaf_shade": (38, 88, 54) if warm else (60, 108, 56),
        "glow": (252, 236, 190),
    }


def _spots(u: Floats, v: Floats, petals: float) -> Floats:
    """Returns signed closeness to a jittered grid of round (petals = 0) or petalled spots."""
    row = np.floor(v)
    cu, cv = np.floor(u + 0.5 * (row % 2)), row
    fu, fv = u + 0.5 * (row % 2) - cu - 0.5, v - cv - 0.5
    jitter = np.float32(0.16 if petals else 0.0)
    fu, fv = (
        fu - jitter * np.sin(cu * 12.9 + cv * 78.2),
        fv - jitter * np.cos(cu * 39.4 + cv * 11.1),
    )
    radius = np.hypot(fu, fv)
    edge = 0.27 * (1 + petals * np.cos(5 * np.arctan2(fv, fu) + cu + cv)) if petals else 0.24
    return np.asarray(edge - radius, np.float32)


def pattern_weight(look: Appearance, u: Floats, v: Floats, period: float) -> Floats:
    """Returns the share of the accent colour (0..1) at object coordinates u, v in pixels."""
    a, b = u / period, v / period
    soft = np.float32(period * 0.9)
    match look.pattern:
        case "stripes":
            along = (a, b, (a + b) * 0.7)[look.shape % 3]
            depth = np.abs((along % 1) - 0.5) - 0.27
        case "check":
            lines = [np.clip((np.abs((t % 1) - 0.5) - 0.25) * soft + 0.5, 0, 1) for t in (a, b)]
            return np.asarray(0.5 * lines[0] + 0.5 * lines[1], np.float32)
        case "dots":
            depth = _spots(a, b, 0.0)
        case "floral":
            depth = _spots(a * 0.75, b * 0.75, 0.38)
        case _:
            return np.zeros_like(a)
    return np.asarray(np.clip(depth * soft + 0.5, 0, 1), np.float32)


def _share(picture: Image.Image) -> Floats:
    return np.asarray(np.asarray(picture, np.float32) / 255, np.float32)


def _draw(
    outline: Sketch,
    colours: dict[str, RGB],
    place: NDArray[np.float64],
    shift: NDArray[np.float64],
    size: tuple[int, int],
    width: float,
) -> tuple[Floats, Floats, Image.Image]:
    """Returns flat colours (H, W, 3), the pattern's mask (H, W) and the alpha picture."""
    big = (size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING)
    flat, body, alpha = (
        Image.new("RGB", big, colours["body"]),
        Image.new("L", big),
        Image.new("L", big),
    )
    pens = [ImageDraw.Draw(layer) for layer in (flat, body, alpha)]
    for part in outline.parts:
        xy = ((part.points @ place.T + shift) * SUPERSAMPLING).ravel().tolist()
        inks: list[RGB | int] = [colours[part.tone], 255 if part.tone == "body" else 0, 255]
        stroke = max(SUPERSAMPLING, round(part.stroke * width * SUPERSAMPLING))
        for pen, ink in zip(pens, inks, strict=True):
            if part.stroke:
                pen.line(xy, fill=ink, width=stroke, joint="curve")
            else:
                pen.polygon(xy, fill=ink)
    flat, body, alpha = (layer.reduce(SUPERSAMPLING) for layer in (flat, body, alpha))
    return np.asarray(flat, np.float32), _share(body), alpha


def render(
    outline: Sketch, look: Appearance, width: float, rng: np.random.Generator, angle: float = 0.0
) -> tuple[Floats, Floats]:
    """Returns the object's colours (H, W, 3) 0..255 and alpha (H, W) 0..1.

    It is turned by `angle` degrees; `width` is the unrotated width in pixels. Patterns, folds
    and light follow the silhouette.
    """
    cos, sin = float(np.cos(np.radians(angle))), float(np.sin(np.radians(angle)))
    spin = np.array([[cos, -sin], [sin, cos]])
    place = spin * (width, width / outline.aspect)
    corners = np.concatenate([part.points for part in outline.parts]) @ place.T
    margin = PAD + max(part.stroke for part in outline.parts) * width / 2
    shift = margin - corners.min(0)
    w, h = (int(np.ceil(x)) for x in corners.max(0) + shift + margin)
    colours = palette(look)
    flat, body, alpha_image = _draw(outline, colours, place, shift, (w, h), width)
    if look.pattern != "plain":
        y, x = np.mgrid[:h, :w].astype(np.float32) - shift.astype(np.float32)[::-1, None, None]
        u, v = x * cos + y * sin, y * cos - x * sin
        period = max(6.0, float(width) * (0.1 + 0.03 * look.shape))
        weight = pattern_weight(look, u, v, period) * body
        flat = flat + (np.array(look.accent, np.float32) - flat) * weight[..., None]
    light = _light(alpha_image, rng)
    return np.clip(flat * light[..., None] + 6, 0, 255), _share(alpha_image)


def _light(alpha: Image.Image, rng: np.random.Generator) -> Floats:
    """Returns brightness factors (H, W): rounded edges, light from top left, folds and grain."""
    w, h = alpha.size
    reach = max(2, min(w, h) // 14)
    blurred = _share(alpha.filter(ImageFilter.BoxBlur(reach)))
    relief = np.roll(blurred, -reach // 2, (0, 1)) - np.roll(blurred, reach // 2, (0, 1))
    folds, grain = noise(h, w, rng)
    light = 0.74 + 0.24 * blurred + 0.22 * relief + 0.11 * folds + 0.025 * grain
    return np.asarray(light, np.float32)
