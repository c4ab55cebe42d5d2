"""Silhouettes of furniture and decoration: four shapes per category, as sketches."""

from functools import lru_cache

import numpy as np

from experiments.world.sketch import Part, Sketch, curve, flip, mirror, oval, poly


def _legs(xs: tuple[float, ...], top: float, lean: float, stroke: float, tone: str) -> list[Part]:
    return [Part(poly((x, top), (x + lean * (x - 0.5), 0.985)), tone, stroke) for x in xs]


def chair(shape: int) -> Sketch:
    if shape == 0:
        back = [Part(poly((x, 0.0), (x, 0.6)), "wood", 0.07) for x in (0.14, 0.86)]
        rails = [Part(poly((0.14, y), (0.86, y)), "wood", 0.06) for y in (0.06, 0.2, 0.34)]
        seat = poly((0.1, 0.5), (0.9, 0.5), (1.0, 0.64), (0.0, 0.64))
        return Sketch(0.55, (*_legs((0.2, 0.8), 0.55, 0.0, 0.05, "wood"), *back, *rails, *_legs((0.06, 0.94), 0.6, 0.0, 0.07, "wood"), Part(seat, "body")))
    if shape == 1:
        back = curve(mirror((0.5, 0.0), (0.78, 0.03), (0.86, 0.2), (0.84, 0.6), (0.5, 0.62)))
        arm = curve(poly((0.78, 0.36), (0.92, 0.32), (1.0, 0.42), (0.97, 0.84), (0.8, 0.86)))
        seat = curve(mirror((0.5, 0.5), (0.78, 0.51), (0.82, 0.62), (0.8, 0.74), (0.5, 0.75)))
        base = mirror((0.86, 0.66), (0.86, 0.88))
        return Sketch(0.92, (*_legs((0.16, 0.84), 0.85, 0.1, 0.04, "wood"), Part(back, "body"), Part(base, "body"), Part(arm, "body"), Part(flip(arm), "body"),
                             Part(seat, "light"), Part(poly((0.2, 0.75), (0.8, 0.75)), "shade", 0.015)))  # fmt: skip
    if shape == 2:
        shell = curve(poly((0.1, 0.02), (0.5, 0.0), (0.9, 0.02), (0.96, 0.4), (0.98, 0.56), (0.5, 0.64), (0.02, 0.56), (0.04, 0.4)))
        return Sketch(0.68, (*_legs((0.26, 0.74), 0.58, 0.5, 0.045, "wood"), *_legs((0.42, 0.58), 0.58, 0.9, 0.035, "wood"), Part(shell, "body"),
                             Part(curve(poly((0.06, 0.44), (0.5, 0.5), (0.94, 0.44)), closed=False), "shade", 0.025)))  # fmt: skip
    side = curve(poly((0.08, 0.02), (0.2, 0.0), (0.32, 0.46), (0.9, 0.46), (0.98, 0.52), (0.9, 0.62), (0.26, 0.62)))
    return Sketch(0.72, (*_legs((0.3, 0.88), 0.58, 0.12, 0.05, "metal"), Part(side, "body"), Part(poly((0.12, 0.42), (0.8, 0.36)), "wood", 0.05)))


def couch(shape: int) -> Sketch:
    seats = (2, 3, 3, 2)[shape]
    back = mirror((0.9, 0.04), (0.93, 0.12), (0.93, 0.7))
    arm = curve(poly((0.88, 0.3), (0.96, 0.26), (1.0, 0.36), (0.99, 0.84), (0.88, 0.86)))
    parts = [*_legs((0.06, 0.94), 0.85, 0.0, 0.02, "wood"), Part(back, "body"), Part(mirror((0.93, 0.55), (0.93, 0.88)), "plain")]
    edges = np.linspace(0.11, 0.89, seats + 1)
    for left, right in zip(edges[:-1], edges[1:], strict=True):
        cushion = poly((left + 0.005, 0.5), (right - 0.005, 0.5), (right - 0.002, 0.68), (left + 0.002, 0.68))
        parts += [Part(poly((right, 0.06), (right, 0.5)), "shade", 0.006), Part(cushion, "light"), Part(cushion, "shade", 0.006)]
    if shape == 1:
        parts += [Part(oval(x, y, 0.008, 0.018), "shade") for x in np.linspace(0.16, 0.84, 9) for y in (0.18, 0.34)]
    if shape == 3:
        parts = [Part(p.points * (1, 0.9) + (0, 0.1), p.tone, p.stroke) for p in parts]
        parts.append(Part(curve(poly((0.5, 0.1), (0.3, 0.16), (0.1, 0.02), (0.02, 0.3), (0.5, 0.3))), "body"))
    pillow = poly((0.2, 0.3), (0.33, 0.26), (0.36, 0.5), (0.22, 0.53))
    if shape in (0, 2):
        parts.append(Part(pillow, "accent"))
    parts += [Part(arm, "body"), Part(flip(arm), "body")]
    if shape == 2:
        parts.append(Part(poly((0.5, 0.62), (0.92, 0.62), (0.99, 0.9), (0.5, 0.9)), "plain"))
    return Sketch((2.1, 2.5, 2.4, 2.0)[shape], tuple(parts))


def table(shape: int) -> Sketch:
    if shape == 0:
        return Sketch(1.7, (*_legs((0.16, 0.84), 0.12, 0.0, 0.035, "shade"), *_legs((0.05, 0.95), 0.15, 0.0, 0.045, "plain"),
                            Part(poly((0.08, 0.0), (0.92, 0.0), (1.0, 0.13), (0.0, 0.13)), "body"), Part(poly((0.0, 0.16), (1.0, 0.16)), "shade", 0.035)))  # fmt: skip
    if shape == 1:
        foot = mirror((0.54, 0.15), (0.55, 0.86), (0.8, 0.95), (0.78, 1.0))
        return Sketch(1.1, (Part(foot, "shade"), Part(oval(0.5, 0.14, 0.5, 0.13), "shade"), Part(oval(0.5, 0.11, 0.5, 0.11), "body")))
    if shape == 2:
        return Sketch(2.3, (*_legs((0.2, 0.8), 0.3, 0.2, 0.03, "metal"), *_legs((0.1, 0.9), 0.3, 0.15, 0.03, "metal"),
                            Part(oval(0.5, 0.27, 0.5, 0.24), "shade"), Part(oval(0.5, 0.22, 0.5, 0.22), "body")))  # fmt: skip
    body = poly((0.03, 0.1), (0.97, 0.1), (0.97, 0.62), (0.03, 0.62))
    fronts = [Part(poly((x, 0.18), (x + 0.4, 0.18), (x + 0.4, 0.54), (x, 0.54), (x, 0.18)), "shade", 0.012) for x in (0.07, 0.53)]
    knobs = [Part(oval(x, 0.36, 0.018, 0.03), "metal") for x in (0.27, 0.73)]
    return Sketch(1.6, (*_legs((0.1, 0.9), 0.6, 0.1, 0.035, "wood"), Part(body, "body"), Part(poly((0.0, 0.06), (1.0, 0.06)), "light", 0.06), *fronts, *knobs))


def lamp(shape: int) -> Sketch:
    if shape == 0:
        shade = mirror((0.7, 0.0), (0.98, 0.24))
        return Sketch(0.3, (Part(poly((0.5, 0.2), (0.5, 0.97)), "metal", 0.06), Part(oval(0.5, 0.975, 0.32, 0.022), "metal"), Part(shade, "body"), Part(poly((0.05, 0.235), (0.95, 0.235)), "glow", 0.05)))
    if shape == 1:
        base = curve(mirror((0.5, 0.5), (0.58, 0.52), (0.74, 0.72), (0.62, 0.96), (0.66, 1.0), (0.5, 1.0)))
        return Sketch(0.66, (Part(base, "accent"), Part(mirror((0.72, 0.0), (1.0, 0.5)), "body"), Part(poly((0.02, 0.49), (0.98, 0.49)), "glow", 0.025)))
    if shape == 2:
        dome = mirror((0.56, 0.42), (0.8, 0.56), (1.0, 0.96))
        return Sketch(0.55, (Part(poly((0.5, 0.0), (0.5, 0.45)), "dark", 0.025), Part(dome, "body"), Part(oval(0.5, 0.96, 0.49, 0.04), "glow")))
    arc = curve(poly((0.2, 0.95), (0.2, 0.35), (0.45, 0.03), (0.78, 0.14)), closed=False)
    return Sketch(0.5, (Part(arc[:-6], "metal", 0.035), Part(oval(0.22, 0.965, 0.2, 0.03), "dark"), Part(mirror((0.62, 0.1), (0.76, 0.3)) + (0.25, 0.0), "body"),
                        Part(oval(0.75, 0.3, 0.25, 0.02), "glow")))  # fmt: skip


def plant(shape: int) -> Sketch:
    pot = mirror((0.74, 0.68), (0.7, 0.98), (0.6, 1.0))
    rim = Part(poly((0.24, 0.7), (0.76, 0.7)), "shade", 0.05)
    leaves: list[Part] = []
    spread = np.linspace(-1.2, 1.2, 9 if shape != 2 else 6)
    for k, angle in enumerate(spread[np.argsort(-np.abs(spread), kind="stable")]):
        reach = (0.62, 0.5, 0.66, 0.58)[shape] * (1 - 0.12 * (k % 3))
        tip = np.array([0.5 + reach * 0.75 * np.sin(angle * (0.45 if shape == 2 else 1)), 0.68 - reach * np.cos(angle * 0.75)])
        root = np.array([0.5 + 0.08 * np.sin(angle), 0.7])
        wide = (0.045, 0.13, 0.06, 0.08)[shape] * np.array([np.cos(angle), np.sin(angle) * 0.7 + 0.1])
        middle = root + (tip - root) * (0.5 if shape != 1 else 0.7) - (0, 0.06 * (shape == 0))
        leaf = curve(np.stack([root, middle - wide, tip, middle + wide]))
        leaves += [Part(leaf, "leaf" if k % 2 else "leaf_shade"), Part(np.stack([root, middle, tip]), "leaf_shade", 0.008)]
    return Sketch((0.85, 0.9, 0.6, 0.8)[shape], (*leaves, Part(pot, "body"), rim))


def vase(shape: int) -> Sketch:
    outline = (
        mirror((0.66, 0.0), (0.62, 0.06), (0.6, 0.3), (0.95, 0.62), (0.8, 0.97), (0.5, 1.0)),
        mirror((0.7, 0.0), (0.68, 0.1), (1.0, 0.5), (0.78, 0.96), (0.5, 1.0)),
        mirror((0.82, 0.42), (0.7, 0.6), (0.68, 0.8), (0.76, 1.0), (0.5, 1.0)),
        mirror((0.84, 0.0), (0.78, 0.3), (0.92, 0.7), (0.72, 1.0), (0.5, 1.0)),
    )[shape]
    mouth = oval(0.5, 0.425 if shape == 2 else 0.015, (0.16, 0.2, 0.32, 0.34)[shape], 0.022)
    stems: list[Part] = []
    if shape == 2:
        for x, y in ((0.2, 0.08), (0.42, 0.02), (0.66, 0.05), (0.85, 0.14)):
            stems += [Part(poly((0.5, 0.5), (x, y + 0.05)), "leaf", 0.025), Part(oval(x, y + 0.03, 0.11, 0.05), "accent")]
    smooth = curve(outline)
    return Sketch((0.5, 0.78, 0.4, 0.6)[shape], (*stems, Part(smooth, "body"), Part(mouth, "shade"), Part(poly((0.34, 0.62), (0.36, 0.8)), "light", 0.05)))


def clock(shape: int) -> Sketch:
    ticks = [Part(np.stack([0.5 + 0.33 * d, 0.5 + 0.38 * d]), "dark", 0.02) for d in (np.array([np.cos(a), np.sin(a)]) for a in np.arange(12) * np.pi / 6)]
    hands = [Part(poly((0.5, 0.5), (0.5, 0.24)), "dark", 0.03), Part(poly((0.5, 0.5), (0.66, 0.6)), "dark", 0.04)]
    if shape == 1:
        frame, face = mirror((1.0, 0.0), (1.0, 1.0)), mirror((0.9, 0.1), (0.9, 0.9))
        return Sketch(1.0, (Part(frame, "body"), Part(face, "white"), *ticks, *hands))
    rays: list[Part] = []
    if shape == 2:
        rays = [Part(np.stack([0.5 + 0.3 * d, 0.5 + 0.49 * d]), "metal", 0.03) for d in (np.array([np.cos(a), np.sin(a)]) for a in np.arange(24) * np.pi / 12)]
    size = 0.36 if shape == 2 else 0.5
    inner = [Part((p.points - 0.5) * size / 0.5 + 0.5, p.tone, p.stroke) for p in (*ticks, *hands)]
    face_tone = "light" if shape == 3 else "white"
    return Sketch(1.0, (*rays, Part(oval(0.5, 0.5, size, size), "body"), Part(oval(0.5, 0.5, size * 0.84, size * 0.84), face_tone), *inner))


def rug(shape: int) -> Sketch:
    if shape in (1, 3):
        rings = [(0.5, "body"), (0.42, "accent"), (0.39, "body")] if shape == 1 else [(0.5, "shade"), (0.47, "body")]
        return Sketch(3.4, tuple(Part(oval(0.5, 0.5, r, r), tone) for r, tone in rings))
    outline = poly((0.14, 0.0), (0.86, 0.0), (1.0, 1.0), (0.0, 1.0))
    fringe = [Part(poly((x, 0.5 + y / 2), (x + s, 0.5 + y / 2)), "white", 0.008) for y in np.linspace(-0.9, 0.95, 14) for x, s in ((0.07 * (1 - y) - 0.015, 0.02), (1 - 0.07 * (1 - y) - 0.005, 0.02))]
    border = (outline - 0.5) * (0.88, 0.8) + 0.5
    return Sketch(3.0, (*fringe, Part(outline, "body"), Part(np.concatenate([border, border[:2]]), "accent", 0.012 if shape == 0 else 0.022)))


_DRAW = {f.__name__: f for f in (chair, couch, table, lamp, plant, vase, clock, rug)}


@lru_cache(maxsize=64)
def furniture(category: str, shape: int) -> Sketch:
    """Returns the sketch of a piece of furniture or decoration; shape is 0..3."""
    return _DRAW[category](shape)
