"""Silhouettes of clothes: four shapes per category, as sketches."""

import numpy as np

from experiments.world.sketch import Part, Sketch, both, curve, mirror, oval, path, poly, sketch


def _buttons(x: float, top: float, bottom: float, n: int, size: float, aspect: float) -> list[Part]:
    ys = np.linspace(top, bottom, n)
    return [Part(oval(x, float(y), size, size * aspect), "metal") for y in ys]


def dress(shape: int) -> Sketch:
    hem = (0.98, 0.84, 0.76, 0.9)[shape]
    waist = (0.66, 0.64, 0.7, 0.62)[shape]
    bodice = mirror((0.57, 0.10), (0.66, 0.02), (0.74, 0.0), (0.77, 0.14), (waist, 0.36))
    skirt = mirror((waist, 0.35), (waist + 0.05, 0.5), (hem, 0.98), (0.75, 1.0))
    parts = [Part(skirt, "body"), Part(bodice, "body")]
    if shape == 1:
        parts[:0] = both(poly((0.74, 0.0), (0.98, 0.16), (0.86, 0.24), (0.74, 0.16)), "body")
    if shape == 2:
        parts[:0] = both(path("74,0 90,12 100,52 89,54 74,18"), "body")
    if shape == 3:
        straps = poly((0.6, 0.13), (0.63, 0.0))
        top = mirror((0.5, 0.15), (0.66, 0.1), (0.76, 0.18), (waist, 0.36))
        parts = [*both(straps, "shade", 0.03), Part(skirt, "body"), Part(top, "body")]
    parts.append(
        Part(poly((1 - waist, 0.36), (waist, 0.36)), "shade", 0.03 if shape != 2 else 0.012)
    )
    for x in (0.4, 0.5, 0.6):
        parts.append(Part(poly((x, 0.44), (x + (x - 0.5) * 1.5, 0.95)), "shade", 0.008))
    return sketch(0.5 if shape != 3 else 0.42, *parts)


def outerwear(shape: int) -> Sketch:
    long = shape in (0, 3)
    cuff = 0.62 if long else 0.92
    sleeve = poly((0.7, 0.06), (0.85, 0.12), (1.0, cuff), (0.87, cuff + 0.03), (0.74, 0.3))
    body = mirror(
        (0.55, 0.02), (0.72, 0.06), (0.77, 0.16), (0.76, 0.6), (0.8 if long else 0.74, 1.0)
    )
    parts = [*both(sleeve, "body"), Part(body, "body")]
    lapel = poly((0.5, 0.42), (0.57, 0.01), (0.66, 0.05), (0.68, 0.2))
    if shape in (0, 2):
        parts += [Part(mirror((0.57, 0.02), (0.5, 0.36)), "white"), *both(lapel, "plain")]
        parts += [
            *both(lapel, "shade", 0.012),
            *both(poly((0.6, 0.68), (0.72, 0.68)), "shade", 0.03),
        ]
        parts += _buttons(0.47, 0.46, 0.8 if long else 0.62, 4 if long else 2, 0.017, 0.7)
    if shape == 1:
        parts += [
            Part(mirror((0.6, 0.0), (0.62, 0.06), (0.5, 0.1)), "shade"),
            *both(poly((0.58, 0.62), (0.7, 0.74)), "shade", 0.02),
        ]
        parts.append(Part(poly((0.25, 0.97), (0.75, 0.97)), "shade", 0.06))
    if shape == 3:
        parts.append(
            Part(curve(mirror((0.5, 0.0), (0.62, 0.02), (0.66, 0.12), (0.5, 0.19))), "shade")
        )
        parts.append(Part(curve(mirror((0.5, 0.04), (0.58, 0.06), (0.5, 0.15))), "dark"))
        parts += [*both(poly((0.58, 0.6), (0.73, 0.6), (0.73, 0.78), (0.58, 0.78)), "shade", 0.012)]
    if shape in (1, 3):
        parts.append(Part(poly((0.5, 0.15), (0.5, 1.0)), "metal", 0.018))
    parts += both(poly((0.87, cuff + 0.01), (1.0, cuff - 0.02)), "shade", 0.025)
    return sketch(0.68 if long else 0.98, *parts)


def top(shape: int) -> Sketch:
    body = mirror((0.6, 0.0), (0.74, 0.05), (0.75, 0.25), (0.73, 0.98), (0.6, 1.0))
    neck = curve(mirror((0.5, -0.01), (0.6, -0.02), (0.58, 0.07), (0.5, 0.11)))
    short = poly((0.72, 0.04), (1.0, 0.28), (0.88, 0.4), (0.74, 0.27))
    full = path("72,4 88,16 100,86 88,90 74,34")
    if shape == 2:
        body = mirror((0.62, 0.0), (0.68, 0.0), (0.69, 0.2), (0.78, 0.3), (0.8, 0.98), (0.6, 1.0))
        deep = curve(mirror((0.5, -0.02), (0.62, -0.02), (0.58, 0.16), (0.5, 0.22)))
        parts = [Part(body, "body"), Part(deep, "shade"), Part(deep, "shade", 0.02)]
        return sketch(0.82, *parts)
    parts = [*both(full if shape else short, "body"), Part(body, "body"), Part(neck, "shade")]
    if shape == 1:
        parts += [Part(poly((0.27, 0.95), (0.73, 0.95)), "shade", 0.07), Part(neck, "light", 0.025)]
        parts += both(poly((0.88, 0.87), (1.0, 0.83)), "shade", 0.05)
    elif shape == 3:
        parts += both(poly((0.5, 0.14), (0.58, -0.02), (0.66, 0.02), (0.62, 0.16)), "light")
        parts += [Part(poly((0.5, 0.14), (0.5, 1.0)), "shade", 0.012)]
        parts += [
            *_buttons(0.5, 0.22, 0.9, 6, 0.012, 1.0),
            *both(poly((0.88, 0.87), (1.0, 0.83)), "light", 0.05),
        ]
    else:
        parts += both(poly((0.88, 0.4), (1.0, 0.28)), "shade", 0.02)
    parts += both(poly((0.74, 0.05), (0.75, 0.28)), "shade", 0.01)
    return sketch(1.08 if shape == 0 else 1.0, *parts)


def pants(shape: int) -> Sketch:
    ankle, spread = ((0.8, 0.58), (0.7, 0.59), (1.0, 0.56), (0.78, 0.58))[shape]
    leg = mirror((0.72, 0.0), (0.8, 0.2), (ankle, 1.0), (spread, 1.0), (0.5, 0.28))
    parts = [Part(leg, "body"), Part(poly((0.28, 0.025), (0.72, 0.025)), "shade", 0.08)]
    parts += [
        *both(poly((0.74, 0.07), (0.66, 0.15)), "shade", 0.02),
        Part(poly((0.5, 0.05), (0.5, 0.3)), "shade", 0.02),
    ]
    parts += both(
        poly((0.65, 0.2), ((ankle + spread) / 2, 0.97)), "light" if shape != 1 else "shade", 0.012
    )
    parts.append(Part(oval(0.5, 0.025, 0.025, 0.01), "metal"))
    if shape == 3:
        parts += both(poly((spread, 0.965), (ankle, 0.965)), "light", 0.12)
    return sketch((0.4, 0.36, 0.5, 0.4)[shape], *parts)


def shorts(shape: int) -> Sketch:
    hem = (0.96, 0.9, 1.0, 0.92)[shape]
    body = mirror((0.76, 0.0), (0.85, 0.35), (hem, 0.96), (0.56, 1.0), (0.5, 0.56))
    parts = [
        Part(body, "body"),
        Part(poly((0.24, 0.05), (0.76, 0.05)), "shade" if shape else "accent", 0.08),
    ]
    parts += [
        Part(poly((0.5, 0.1), (0.5, 0.58)), "shade", 0.015),
        *both(poly((0.78, 0.12), (0.7, 0.32)), "shade", 0.015),
    ]
    if shape in (1, 3):
        parts += both(poly((0.56, 0.95), (hem - 0.01, 0.91)), "light", 0.06)
    if shape == 2:
        parts += [
            Part(poly((0.47, 0.06), (0.44, 0.34)), "white", 0.02),
            Part(poly((0.53, 0.06), (0.57, 0.32)), "white", 0.02),
        ]
    return sketch((1.15, 1.05, 0.86, 0.95)[shape], *parts)


def skirt(shape: int) -> Sketch:
    hem, hips = ((0.78, 0.86), (1.0, 0.78), (0.98, 0.74), (0.94, 0.84))[shape]
    body = mirror((0.7, 0.0), (hips, 0.3), (hem, 0.96), (0.7, 1.0))
    if shape == 3:
        body = curve(mirror((0.68, 0.0), (0.8, 0.3), (1.0, 0.86), (0.75, 1.0), (0.6, 0.93)))
    parts = [Part(body, "body"), Part(poly((0.3, 0.04), (0.7, 0.04)), "shade", 0.07)]
    pleats = (0.42, 0.58) if shape != 2 else (0.14, 0.24, 0.34, 0.44, 0.56, 0.66, 0.76, 0.86)
    for x in pleats:
        parts.append(
            Part(
                poly((0.5 + (x - 0.5) * 0.55, 0.1), (0.5 + (x - 0.5) * 1.15, 0.96)), "shade", 0.012
            )
        )
    if shape == 0:
        parts.append(Part(poly((0.56, 1.0), (0.54, 0.72)), "dark", 0.02))
    return sketch((0.62, 0.95, 1.0, 0.7)[shape], *parts)
