"""Silhouettes of shoes, bags and other accessories: four shapes per category, as sketches."""

import numpy as np

from experiments.world.sketch import Part, Sketch, both, curve, mirror, oval, path, poly, sketch


def _shoe(shape: int) -> list[Part]:
    if shape == 0:
        upper = curve(path("3,30 16,22 32,30 50,42 80,60 98,80 50,86 4,85"))
        parts = [
            Part(upper, "body"),
            Part(curve(path("2,80 50,83 97,78 100,93 50,100 2,98")), "white"),
        ]
        parts += [
            Part(poly((x, y), (x + 0.09, y - 0.09)), "white", 0.022)
            for x, y in ((0.36, 0.44), (0.44, 0.5), (0.52, 0.55))
        ]
        return [
            *parts,
            Part(curve(poly((0.12, 0.7), (0.3, 0.72), (0.5, 0.55)), closed=False), "accent", 0.05),
        ]
    if shape == 1:
        upper = curve(path("2,10 10,4 26,34 50,62 80,70 100,90 80,97 50,92 24,62 5,50"))
        return [
            Part(poly((0.04, 0.44), (0.14, 0.52), (0.1, 1.0), (0.06, 1.0)), "shade"),
            Part(upper, "body"),
            Part(poly((0.52, 0.97), (0.98, 0.97)), "dark", 0.02),
        ]
    if shape == 2:
        upper = path("10,0 50,0 52,50 84,66 98,84 97,92 6,92 10,50")
        parts = [
            Part(upper, "body"),
            Part(path("4,90 99,90 98,100 40,100 38,96 34,100 4,100"), "dark"),
        ]
        return [
            *parts,
            Part(poly((0.1, 0.04), (0.5, 0.04)), "shade", 0.05),
            Part(poly((0.24, 0.2), (0.28, 0.5)), "shade", 0.1),
        ]
    upper = curve(path("2,34 20,36 34,50 55,40 80,52 100,80 90,93 4,93"))
    return [
        Part(upper, "body"),
        Part(poly((0.02, 0.95), (0.97, 0.95)), "leather", 0.05),
        Part(poly((0.5, 0.42), (0.58, 0.66)), "shade", 0.07),
        Part(poly((0.52, 0.5), (0.6, 0.54)), "metal", 0.03),
    ]


def shoes(shape: int) -> Sketch:
    one = _shoe(shape)
    back = [Part(p.points * (0.8, 0.78) + (0.2, 0.0), p.tone, p.stroke * 0.8) for p in one]
    front = [Part(p.points * (0.8, 0.78) + (0.0, 0.22), p.tone, p.stroke * 0.8) for p in one]
    return sketch((1.45, 1.15, 1.05, 1.6)[shape], *back, *front)


def bag(shape: int) -> Sketch:
    if shape == 0:
        handle = curve(path("30,42 32,12 50,3 68,12 70,42"), closed=False)
        return sketch(
            0.86,
            Part(handle, "leather", 0.045),
            Part(mirror((0.94, 0.36), (1.0, 0.94), (0.94, 1.0)), "body"),
            Part(poly((0.06, 0.4), (0.94, 0.4)), "shade", 0.04),
        )
    if shape == 1:
        handle = curve(path("32,36 36,10 50,3 64,10 68,36"), closed=False)
        flap = curve(mirror((0.5, 0.32), (0.84, 0.32), (0.9, 0.5), (0.7, 0.66), (0.5, 0.68)))
        return sketch(
            1.1,
            Part(handle, "shade", 0.045),
            Part(mirror((0.86, 0.3), (1.0, 0.9), (0.93, 1.0)), "body"),
            Part(flap, "plain"),
            Part(flap, "shade", 0.015),
            Part(oval(0.5, 0.68, 0.05, 0.045), "metal"),
        )
    if shape == 2:
        strap = curve(path("8,62 10,25 50,2 90,25 92,62"), closed=False)
        box = curve(
            mirror((0.5, 0.5), (0.9, 0.5), (0.98, 0.6), (0.97, 0.9), (0.85, 0.99), (0.5, 1.0))
        )
        return sketch(
            0.9,
            Part(strap, "metal", 0.025),
            Part(box, "body"),
            Part(poly((0.04, 0.7), (0.96, 0.7)), "shade", 0.02),
            Part(poly((0.45, 0.66), (0.55, 0.66), (0.55, 0.76), (0.45, 0.76)), "metal"),
        )
    shell = curve(
        mirror((0.5, 0.06), (0.76, 0.1), (0.9, 0.3), (0.94, 0.9), (0.8, 0.99), (0.5, 1.0))
    )
    pocket = curve(mirror((0.5, 0.56), (0.74, 0.57), (0.78, 0.7), (0.76, 0.9), (0.5, 0.92)))
    loop = curve(poly((0.42, 0.1), (0.45, 0.01), (0.55, 0.01), (0.58, 0.1)), closed=False)
    return sketch(
        0.78,
        Part(loop, "shade", 0.04),
        Part(shell, "body"),
        Part(pocket, "plain"),
        Part(pocket, "shade", 0.02),
        Part(curve(poly((0.14, 0.42), (0.5, 0.3), (0.86, 0.42)), closed=False), "metal", 0.02),
    )


def hat(shape: int) -> Sketch:
    if shape == 0:
        brim = curve(mirror((0.5, 0.72), (0.85, 0.7), (1.0, 0.8), (0.75, 0.98), (0.5, 1.0)))
        crown = curve(mirror((0.5, 0.1), (0.63, 0.0), (0.74, 0.14), (0.79, 0.8), (0.5, 0.88)))
        band = curve(poly((0.23, 0.66), (0.5, 0.74), (0.77, 0.66)), closed=False)
        return sketch(1.55, Part(brim, "body"), Part(crown, "body"), Part(band, "dark", 0.07))
    if shape == 1:
        dome = curve(path("4,76 10,25 38,0 62,16 72,72 40,82"))
        peak = curve(path("55,70 75,66 100,86 95,100 70,86"))
        return sketch(
            1.5,
            Part(peak, "shade"),
            Part(dome, "body"),
            Part(oval(0.38, 0.03, 0.03, 0.04), "accent"),
            Part(curve(poly((0.38, 0.03), (0.44, 0.4), (0.42, 0.8)), closed=False), "shade", 0.012),
        )
    if shape == 2:
        dome = curve(mirror((0.5, 0.14), (0.8, 0.22), (0.95, 0.6), (0.92, 0.9), (0.5, 0.95)))
        parts = [
            Part(oval(0.5, 0.11, 0.13, 0.11), "light"),
            Part(dome, "body"),
            Part(poly((0.06, 0.86), (0.94, 0.86)), "shade", 0.2),
        ]
        parts += [
            Part(poly((x, 0.77), (x, 0.95)), "body", 0.012) for x in np.linspace(0.1, 0.9, 12)
        ]
        return sketch(1.0, *parts)
    return sketch(
        1.25,
        Part(oval(0.5, 0.5, 0.5, 0.5), "body"),
        Part(oval(0.5, 0.48, 0.27, 0.28), "dark"),
        Part(oval(0.5, 0.46, 0.245, 0.255), "body"),
        Part(oval(0.5, 0.42, 0.13, 0.08), "shade", 0.015),
    )


def sunglasses(shape: int) -> Sketch:
    lens = (
        oval(0.27, 0.55, 0.2, 0.4),
        curve(path("6,14 30,20 46,32 42,78 24,95 10,70")),
        curve(path("6,22 27,16 46,24 44,75 27,93 10,78")),
        curve(path("6,20 28,14 45,26 42,70 25,100 8,66")),
    )[shape]
    bridge = Part(curve(poly((0.44, 0.4), (0.5, 0.3), (0.56, 0.4)), closed=False), "plain", 0.035)
    arms = both(poly((0.07, 0.36), (0.02, 0.3), (0.05, 0.05)), "plain", 0.035)
    glints = [Part(poly((x, 0.66), (x + 0.09, 0.36)), "light", 0.018) for x in (0.2, 0.68)]
    thin = 0.03 if shape in (0, 3) else 0.06
    return sketch(
        2.3,
        *arms,
        bridge,
        *both(lens, "glass"),
        *both(np.concatenate([lens, lens[:2]]), "plain", thin),
        *glints,
    )


def belt(shape: int) -> Sketch:
    holes = [Part(oval(x, 0.5, 0.008, 0.07), "dark") for x in (0.7, 0.76, 0.82, 0.88)]
    buckle = path("1,5 11,5 11,95 1,95 1,5 11,5")
    if shape in (0, 2):
        strap = path("4,20 96,20 100,50 96,80 4,80")
        stitch = [Part(poly((0.14, y), (0.95, y)), "shade", 0.006) for y in (0.28, 0.72)]
        return sketch(
            7.0 if shape else 9.0,
            Part(strap, "body"),
            *stitch,
            *holes,
            Part(buckle, "metal", 0.022),
        )
    angle = np.linspace(0, 4.4 * np.pi, 90)
    radius = np.linspace(0.2, 0.46, 90)
    flatten = 1.0 if shape == 1 else 0.92
    coil = np.stack([0.5 + radius * np.cos(angle), 0.5 + flatten * radius * np.sin(angle)], axis=1)
    tip = coil[-1]
    square = (
        np.array(
            [
                (-0.05, -0.09),
                (0.05, -0.09),
                (0.05, 0.09),
                (-0.05, 0.09),
                (-0.05, -0.09),
                (0.05, -0.09),
            ]
        )
        + tip
    )
    return sketch(
        1.0, Part(coil, "shade", 0.115), Part(coil, "body", 0.095), Part(square, "metal", 0.03)
    )


def scarf(shape: int) -> Sketch:
    if shape in (0, 3):
        bend = 0.0 if shape == 0 else 0.16
        body = poly(
            (0.05, 0.06),
            (0.95, 0.06),
            (0.95 - bend, 0.5),
            (0.95, 0.93),
            (0.05 + bend, 0.93),
            (0.05, 0.5),
        )
        fringe = [
            Part(poly((x, y), (x, y + d)), "plain", 0.03)
            for x in np.linspace(0.08 + bend, 0.92, 11)
            for y, d in ((0.92, 0.075),)
        ]
        fringe += [
            Part(poly((x, 0.07), (x, 0.0)), "plain", 0.03) for x in np.linspace(0.08, 0.92, 11)
        ]
        return sketch(
            0.34,
            *fringe,
            Part(body, "body"),
            Part(poly((0.5, 0.06), (0.5 - bend / 2, 0.93)), "shade", 0.02),
        )
    if shape == 1:
        ring = oval(0.5, 0.32, 0.36, 0.24)
        tails = [
            Part(poly((0.4, 0.5), (0.54, 0.5), (0.5, 0.98), (0.28, 0.96)), "body"),
            Part(poly((0.5, 0.5), (0.66, 0.5), (0.8, 0.86), (0.6, 0.9)), "body"),
        ]
        return sketch(
            0.75,
            *tails,
            Part(ring, "shade", 0.27),
            Part(ring, "body", 0.24),
            Part(oval(0.5, 0.33, 0.3, 0.2, 20, 170), "shade", 0.015),
            Part(oval(0.5, 0.32, 0.4, 0.27, 200, 330), "shade", 0.012),
        )
    square = curve(path("2,6 50,0 98,8 100,20 62,80 50,100 38,80 0,20"))
    return sketch(
        1.2,
        Part(square, "body"),
        Part(poly((0.05, 0.17), (0.5, 0.88), (0.95, 0.18)), "accent", 0.03),
        Part(poly((0.3, 0.06), (0.5, 0.7)), "shade", 0.012),
    )


def tie(shape: int) -> Sketch:
    if shape == 1:
        wing = curve(path("46,50 60,16 96,2 100,50 96,98 60,84"))
        knot = poly((0.43, 0.26), (0.57, 0.26), (0.56, 0.74), (0.44, 0.74))
        return sketch(
            2.0,
            *both(wing, "body"),
            Part(knot, "shade"),
            *both(poly((0.6, 0.5), (0.8, 0.42)), "shade", 0.01),
        )
    wide = (0.96, 0.0, 0.8, 0.98)[shape]
    blade = mirror((0.62, 0.12), (wide, 0.84), (0.5, 1.0))
    parts = [
        Part(blade, "body"),
        Part(mirror((0.72, 0.0), (0.64, 0.13), (0.5, 0.14)), "body"),
        Part(poly((0.36, 0.128), (0.64, 0.128)), "shade", 0.04),
    ]
    if shape == 3:
        parts.insert(0, Part(poly((0.5, 0.1), (0.9, 0.78), (0.7, 0.86)), "shade"))
    return sketch((0.24, 0.0, 0.17, 0.3)[shape], *parts)


def watch(shape: int) -> Sketch:
    strap_tone = "metal" if shape == 2 else "body"
    strap = mirror((0.74, 0.0), (0.78, 0.36), (0.78, 0.64), (0.72, 1.0))
    links = [
        Part(poly((0.25, y), (0.75, y)), "shade", 0.02)
        for y in np.linspace(0.04, 0.96, 14 if shape == 2 else 4)
    ]
    case = oval(0.47, 0.5, 0.45, 0.2) if shape != 1 else mirror((0.9, 0.33), (0.9, 0.67))
    face = oval(0.47, 0.5, 0.36, 0.16) if shape != 1 else mirror((0.8, 0.37), (0.8, 0.63))
    hands = [
        Part(poly((0.47, 0.5), (0.47, 0.39)), "dark", 0.03),
        Part(poly((0.47, 0.5), (0.66, 0.53)), "dark", 0.03),
    ]
    crown = Part(poly((0.92, 0.48), (1.0, 0.48), (1.0, 0.52), (0.92, 0.52)), "metal")
    dial = "white" if shape in (0, 1) else "plain"
    return sketch(
        0.44, Part(strap, strap_tone), *links, crown, Part(case, "metal"), Part(face, dial), *hands
    )
