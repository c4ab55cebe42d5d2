"""Silhouettes of decoration: four shapes per category, as sketches."""

import numpy as np

from experiments.world.sketch import Part, Sketch, curve, mirror, oval, poly, sketch


def lamp(shape: int) -> Sketch:
    if shape == 0:
        shade = mirror((0.7, 0.0), (0.98, 0.24))
        return sketch(
            0.3,
            Part(poly((0.5, 0.2), (0.5, 0.97)), "metal", 0.06),
            Part(oval(0.5, 0.975, 0.32, 0.022), "metal"),
            Part(shade, "body"),
            Part(poly((0.05, 0.235), (0.95, 0.235)), "glow", 0.05),
        )
    if shape == 1:
        base = curve(
            mirror((0.5, 0.5), (0.58, 0.52), (0.74, 0.72), (0.62, 0.96), (0.66, 1.0), (0.5, 1.0))
        )
        return sketch(
            0.66,
            Part(base, "accent"),
            Part(mirror((0.72, 0.0), (1.0, 0.5)), "body"),
            Part(poly((0.02, 0.49), (0.98, 0.49)), "glow", 0.025),
        )
    if shape == 2:
        dome = mirror((0.56, 0.42), (0.8, 0.56), (1.0, 0.96))
        return sketch(
            0.55,
            Part(poly((0.5, 0.0), (0.5, 0.45)), "dark", 0.025),
            Part(dome, "body"),
            Part(oval(0.5, 0.96, 0.49, 0.04), "glow"),
        )
    arc = curve(poly((0.2, 0.95), (0.2, 0.35), (0.45, 0.03), (0.78, 0.14)), closed=False)
    return sketch(
        0.5,
        Part(arc[:-6], "metal", 0.035),
        Part(oval(0.22, 0.965, 0.2, 0.03), "dark"),
        Part(mirror((0.62, 0.1), (0.76, 0.3)) + np.array([0.25, 0.0]), "body"),
        Part(oval(0.75, 0.3, 0.25, 0.02), "glow"),
    )


def plant(shape: int) -> Sketch:
    pot = mirror((0.74, 0.68), (0.7, 0.98), (0.6, 1.0))
    rim = Part(poly((0.24, 0.7), (0.76, 0.7)), "shade", 0.05)
    leaves: list[Part] = []
    spread = np.linspace(-1.2, 1.2, 9 if shape != 2 else 6)
    for k, angle in enumerate(spread[np.argsort(-np.abs(spread), kind="stable")]):
        reach = (0.62, 0.5, 0.66, 0.58)[shape] * (1 - 0.12 * (k % 3))
        tip = np.array(
            [
                0.5 + reach * 0.75 * np.sin(angle * (0.45 if shape == 2 else 1)),
                0.68 - reach * np.cos(angle * 0.75),
            ]
        )
        root = np.array([0.5 + 0.08 * np.sin(angle), 0.7])
        wide = (0.045, 0.13, 0.06, 0.08)[shape] * np.array(
            [np.cos(angle), np.sin(angle) * 0.7 + 0.1]
        )
        middle = root + (tip - root) * (0.5 if shape != 1 else 0.7) - (0, 0.06 * (shape == 0))
        leaf = curve(np.stack([root, middle - wide, tip, middle + wide]))
        leaves += [
            Part(leaf, "leaf" if k % 2 else "leaf_shade"),
            Part(np.stack([root, middle, tip]), "leaf_shade", 0.008),
        ]
    return sketch((0.85, 0.9, 0.6, 0.8)[shape], *leaves, Part(pot, "body"), rim)


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
            stems += [
                Part(poly((0.5, 0.5), (x, y + 0.05)), "leaf", 0.025),
                Part(oval(x, y + 0.03, 0.11, 0.05), "accent"),
            ]
    smooth = curve(outline)
    return sketch(
        (0.5, 0.78, 0.4, 0.6)[shape],
        *stems,
        Part(smooth, "body"),
        Part(mouth, "shade"),
        Part(poly((0.34, 0.62), (0.36, 0.8)), "light", 0.05),
    )


def clock(shape: int) -> Sketch:
    ticks = [
        Part(np.stack([0.5 + 0.33 * d, 0.5 + 0.38 * d]), "dark", 0.02)
        for d in (np.array([np.cos(a), np.sin(a)]) for a in np.arange(12) * np.pi / 6)
    ]
    hands = [
        Part(poly((0.5, 0.5), (0.5, 0.24)), "dark", 0.03),
        Part(poly((0.5, 0.5), (0.66, 0.6)), "dark", 0.04),
    ]
    if shape == 1:
        frame, face = mirror((1.0, 0.0), (1.0, 1.0)), mirror((0.9, 0.1), (0.9, 0.9))
        return sketch(1.0, Part(frame, "body"), Part(face, "white"), *ticks, *hands)
    rays: list[Part] = []
    if shape == 2:
        rays = [
            Part(np.stack([0.5 + 0.3 * d, 0.5 + 0.49 * d]), "metal", 0.03)
            for d in (np.array([np.cos(a), np.sin(a)]) for a in np.arange(24) * np.pi / 12)
        ]
    size = 0.36 if shape == 2 else 0.5
    inner = [Part((p.points - 0.5) * size / 0.5 + 0.5, p.tone, p.stroke) for p in (*ticks, *hands)]
    face_tone = "light" if shape == 3 else "white"
    return sketch(
        1.0,
        *rays,
        Part(oval(0.5, 0.5, size, size), "body"),
        Part(oval(0.5, 0.5, size * 0.84, size * 0.84), face_tone),
        *inner,
    )


def rug(shape: int) -> Sketch:
    if shape in (1, 3):
        rings = (
            [(0.5, "body"), (0.42, "accent"), (0.39, "body")]
            if shape == 1
            else [(0.5, "shade"), (0.47, "body")]
        )
        return sketch(3.4, *(Part(oval(0.5, 0.5, r, r), tone) for r, tone in rings))
    outline = poly((0.14, 0.0), (0.86, 0.0), (1.0, 1.0), (0.0, 1.0))
    fringe = [
        Part(poly((x, 0.5 + y / 2), (x + s, 0.5 + y / 2)), "white", 0.008)
        for y in np.linspace(-0.9, 0.95, 14)
        for x, s in ((0.07 * (1 - y) - 0.015, 0.02), (1 - 0.07 * (1 - y) - 0.005, 0.02))
    ]
    border = (outline - 0.5) * (0.88, 0.8) + 0.5
    return sketch(
        3.0,
        *fringe,
        Part(outline, "body"),
        Part(np.concatenate([border, border[:2]]), "accent", 0.012 if shape == 0 else 0.022),
    )
