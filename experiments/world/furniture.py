"""Silhouettes of furniture: four shapes per category, as sketches."""

from itertools import pairwise

import numpy as np

from experiments.world.sketch import Part, Sketch, curve, flip, mirror, oval, path, poly, sketch


def _legs(xs: tuple[float, ...], top: float, lean: float, stroke: float, tone: str) -> list[Part]:
    return [Part(poly((x, top), (x + lean * (x - 0.5), 0.985)), tone, stroke) for x in xs]


def chair(shape: int) -> Sketch:
    if shape == 0:
        posts = [Part(poly((x, 0.0), (x, 0.6)), "wood", 0.07) for x in (0.14, 0.86)]
        rails = [Part(poly((0.14, y), (0.86, y)), "wood", 0.06) for y in (0.06, 0.2, 0.34)]
        seat = poly((0.1, 0.5), (0.9, 0.5), (1.0, 0.64), (0.0, 0.64))
        return sketch(
            0.55,
            *_legs((0.2, 0.8), 0.55, 0.0, 0.05, "wood"),
            *posts,
            *rails,
            *_legs((0.06, 0.94), 0.6, 0.0, 0.07, "wood"),
            Part(seat, "body"),
        )
    if shape == 1:
        back = curve(mirror((0.5, 0.0), (0.78, 0.03), (0.86, 0.2), (0.84, 0.6), (0.5, 0.62)))
        arm = curve(path("78,36 92,32 100,42 97,84 80,86"))
        seat = curve(mirror((0.5, 0.5), (0.78, 0.51), (0.82, 0.62), (0.8, 0.74), (0.5, 0.75)))
        base = mirror((0.86, 0.66), (0.86, 0.88))
        return sketch(
            0.92,
            *_legs((0.16, 0.84), 0.85, 0.1, 0.04, "wood"),
            Part(back, "body"),
            Part(base, "body"),
            Part(arm, "body"),
            Part(flip(arm), "body"),
            Part(seat, "light"),
            Part(poly((0.2, 0.75), (0.8, 0.75)), "shade", 0.015),
        )
    if shape == 2:
        shell = curve(path("10,2 50,0 90,2 96,40 98,56 50,64 2,56 4,40"))
        return sketch(
            0.68,
            *_legs((0.26, 0.74), 0.58, 0.5, 0.045, "wood"),
            *_legs((0.42, 0.58), 0.58, 0.9, 0.035, "wood"),
            Part(shell, "body"),
            Part(curve(poly((0.06, 0.44), (0.5, 0.5), (0.94, 0.44)), closed=False), "shade", 0.025),
        )
    side = curve(path("8,2 20,0 32,46 90,46 98,52 90,62 26,62"))
    return sketch(
        0.72,
        *_legs((0.3, 0.88), 0.58, 0.12, 0.05, "metal"),
        Part(side, "body"),
        Part(poly((0.12, 0.42), (0.8, 0.36)), "wood", 0.05),
    )


def couch(shape: int) -> Sketch:
    seats = (2, 3, 3, 2)[shape]
    back = mirror((0.9, 0.04), (0.93, 0.12), (0.93, 0.7))
    arm = curve(path("88,30 96,26 100,36 99,84 88,86"))
    parts = [
        *_legs((0.06, 0.94), 0.85, 0.0, 0.02, "wood"),
        Part(back, "body"),
        Part(mirror((0.93, 0.55), (0.93, 0.88)), "plain"),
    ]
    edges = np.linspace(0.11, 0.89, seats + 1)
    for left, right in pairwise(edges.tolist()):
        cushion = poly(
            (left + 0.005, 0.5), (right - 0.005, 0.5), (right - 0.002, 0.68), (left + 0.002, 0.68)
        )
        parts += [
            Part(poly((right, 0.06), (right, 0.5)), "shade", 0.006),
            Part(cushion, "light"),
            Part(cushion, "shade", 0.006),
        ]
    if shape == 1:
        parts += [
            Part(oval(x, y, 0.008, 0.018), "shade")
            for x in np.linspace(0.16, 0.84, 9)
            for y in (0.18, 0.34)
        ]
    if shape == 3:
        parts = [Part(p.points * (1, 0.9) + (0, 0.1), p.tone, p.stroke) for p in parts]
        parts.append(Part(curve(path("50,10 30,16 10,2 2,30 50,30")), "body"))
    pillow = poly((0.2, 0.3), (0.33, 0.26), (0.36, 0.5), (0.22, 0.53))
    if shape in (0, 2):
        parts.append(Part(pillow, "accent"))
    parts += [Part(arm, "body"), Part(flip(arm), "body")]
    if shape == 2:
        parts.append(Part(poly((0.5, 0.62), (0.92, 0.62), (0.99, 0.9), (0.5, 0.9)), "plain"))
    return sketch((2.1, 2.5, 2.4, 2.0)[shape], *parts)


def table(shape: int) -> Sketch:
    if shape == 0:
        return sketch(
            1.7,
            *_legs((0.16, 0.84), 0.12, 0.0, 0.035, "shade"),
            *_legs((0.05, 0.95), 0.15, 0.0, 0.045, "plain"),
            Part(poly((0.08, 0.0), (0.92, 0.0), (1.0, 0.13), (0.0, 0.13)), "body"),
            Part(poly((0.0, 0.16), (1.0, 0.16)), "shade", 0.035),
        )
    if shape == 1:
        foot = mirror((0.54, 0.15), (0.55, 0.86), (0.8, 0.95), (0.78, 1.0))
        return sketch(
            1.1,
            Part(foot, "shade"),
            Part(oval(0.5, 0.14, 0.5, 0.13), "shade"),
            Part(oval(0.5, 0.11, 0.5, 0.11), "body"),
        )
    if shape == 2:
        return sketch(
            2.3,
            *_legs((0.2, 0.8), 0.3, 0.2, 0.03, "metal"),
            *_legs((0.1, 0.9), 0.3, 0.15, 0.03, "metal"),
            Part(oval(0.5, 0.27, 0.5, 0.24), "shade"),
            Part(oval(0.5, 0.22, 0.5, 0.22), "body"),
        )
    body = poly((0.03, 0.1), (0.97, 0.1), (0.97, 0.62), (0.03, 0.62))
    fronts = [
        Part(
            poly((x, 0.18), (x + 0.4, 0.18), (x + 0.4, 0.54), (x, 0.54), (x, 0.18)), "shade", 0.012
        )
        for x in (0.07, 0.53)
    ]
    knobs = [Part(oval(x, 0.36, 0.018, 0.03), "metal") for x in (0.27, 0.73)]
    return sketch(
        1.6,
        *_legs((0.1, 0.9), 0.6, 0.1, 0.035, "wood"),
        Part(body, "body"),
        Part(poly((0.0, 0.06), (1.0, 0.06)), "light", 0.06),
        *fronts,
        *knobs,
    )
