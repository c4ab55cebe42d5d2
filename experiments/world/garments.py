"""Silhouettes of garments and accessories: four shapes per category, as sketches."""

from functools import lru_cache

import numpy as np

from experiments.world.sketch import Part, Points, Sketch, curve, flip, mirror, oval, poly


def _both(points: Points, tone: str, stroke: float = 0.0) -> list[Part]:
    return [Part(points, tone, stroke), Part(flip(points), tone, stroke)]


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
        parts[:0] = _both(poly((0.74, 0.0), (0.98, 0.16), (0.86, 0.24), (0.74, 0.16)), "body")
    if shape == 2:
        parts[:0] = _both(poly((0.74, 0.0), (0.9, 0.12), (1.0, 0.52), (0.89, 0.54), (0.74, 0.18)), "body")
    if shape == 3:
        straps = poly((0.6, 0.13), (0.63, 0.0))
        top = mirror((0.5, 0.15), (0.66, 0.1), (0.76, 0.18), (waist, 0.36))
        parts = [*_both(straps, "shade", 0.03), Part(skirt, "body"), Part(top, "body")]
    parts.append(Part(poly((1 - waist, 0.36), (waist, 0.36)), "shade", 0.03 if shape != 2 else 0.012))
    for x in (0.4, 0.5, 0.6):
        parts.append(Part(poly((x, 0.44), (x + (x - 0.5) * 1.5, 0.95)), "shade", 0.008))
    return Sketch(0.5 if shape != 3 else 0.42, tuple(parts))


def outerwear(shape: int) -> Sketch:
    long = shape in (0, 3)
    cuff = 0.62 if long else 0.92
    sleeve = poly((0.7, 0.06), (0.85, 0.12), (1.0, cuff), (0.87, cuff + 0.03), (0.74, 0.3))
    body = mirror((0.55, 0.02), (0.72, 0.06), (0.77, 0.16), (0.76, 0.6), (0.8 if long else 0.74, 1.0))
    parts = [*_both(sleeve, "body"), Part(body, "body")]
    lapel = poly((0.5, 0.42), (0.57, 0.01), (0.66, 0.05), (0.68, 0.2))
    if shape in (0, 2):
        parts += [Part(mirror((0.57, 0.02), (0.5, 0.36)), "white"), *_both(lapel, "plain")]
        parts += [*_both(lapel, "shade", 0.012), *_both(poly((0.6, 0.68), (0.72, 0.68)), "shade", 0.03)]
        parts += _buttons(0.47, 0.46, 0.8 if long else 0.62, 4 if long else 2, 0.017, 0.7)
    if shape == 1:
        parts += [Part(mirror((0.6, 0.0), (0.62, 0.06), (0.5, 0.1)), "shade"), *_both(
            poly((0.58, 0.62), (0.7, 0.74)), "shade", 0.02)]  # fmt: skip
        parts.append(Part(poly((0.25, 0.97), (0.75, 0.97)), "shade", 0.06))
    if shape == 3:
        parts.append(Part(curve(mirror((0.5, 0.0), (0.62, 0.02), (0.66, 0.12), (0.5, 0.19))), "shade"))
        parts.append(Part(curve(mirror((0.5, 0.04), (0.58, 0.06), (0.5, 0.15))), "dark"))
        parts += [*_both(poly((0.58, 0.6), (0.73, 0.6), (0.73, 0.78), (0.58, 0.78)), "shade", 0.012)]
    if shape in (1, 3):
        parts.append(Part(poly((0.5, 0.15), (0.5, 1.0)), "metal", 0.018))
    parts += _both(poly((0.87, cuff + 0.01), (1.0, cuff - 0.02)), "shade", 0.025)
    return Sketch(0.68 if long else 0.98, tuple(parts))


def top(shape: int) -> Sketch:
    body = mirror((0.6, 0.0), (0.74, 0.05), (0.75, 0.25), (0.73, 0.98), (0.6, 1.0))
    neck = curve(mirror((0.5, -0.01), (0.6, -0.02), (0.58, 0.07), (0.5, 0.11)))
    short = poly((0.72, 0.04), (1.0, 0.28), (0.88, 0.4), (0.74, 0.27))
    full = poly((0.72, 0.04), (0.88, 0.16), (1.0, 0.86), (0.88, 0.9), (0.74, 0.34))
    if shape == 2:
        body = mirror((0.62, 0.0), (0.68, 0.0), (0.69, 0.2), (0.78, 0.3), (0.8, 0.98), (0.6, 1.0))
        deep = curve(mirror((0.5, -0.02), (0.62, -0.02), (0.58, 0.16), (0.5, 0.22)))
        parts = [Part(body, "body"), Part(deep, "shade"), Part(deep, "shade", 0.02)]
        return Sketch(0.82, tuple(parts))
    parts = [*_both(full if shape else short, "body"), Part(body, "body"), Part(neck, "shade")]
    if shape == 1:
        parts += [Part(poly((0.27, 0.95), (0.73, 0.95)), "shade", 0.07), Part(neck, "light", 0.025)]
        parts += _both(poly((0.88, 0.87), (1.0, 0.83)), "shade", 0.05)
    elif shape == 3:
        parts += _both(poly((0.5, 0.14), (0.58, -0.02), (0.66, 0.02), (0.62, 0.16)), "light")
        parts += [Part(poly((0.5, 0.14), (0.5, 1.0)), "shade", 0.012)]
        parts += [*_buttons(0.5, 0.22, 0.9, 6, 0.012, 1.0), *_both(poly((0.88, 0.87), (1.0, 0.83)), "light", 0.05)]
    else:
        parts += _both(poly((0.88, 0.4), (1.0, 0.28)), "shade", 0.02)
    parts += _both(poly((0.74, 0.05), (0.75, 0.28)), "shade", 0.01)
    return Sketch(1.08 if shape == 0 else 1.0, tuple(parts))


def pants(shape: int) -> Sketch:
    ankle, spread = ((0.8, 0.58), (0.7, 0.59), (1.0, 0.56), (0.78, 0.58))[shape]
    leg = mirror((0.72, 0.0), (0.8, 0.2), (ankle, 1.0), (spread, 1.0), (0.5, 0.28))
    parts = [Part(leg, "body"), Part(poly((0.28, 0.025), (0.72, 0.025)), "shade", 0.08)]
    parts += [*_both(poly((0.74, 0.07), (0.66, 0.15)), "shade", 0.02), Part(poly((0.5, 0.05), (0.5, 0.3)), "shade", 0.02)]
    parts += _both(poly((0.65, 0.2), ((ankle + spread) / 2, 0.97)), "light" if shape != 1 else "shade", 0.012)
    parts.append(Part(oval(0.5, 0.025, 0.025, 0.01), "metal"))
    if shape == 3:
        parts += _both(poly((spread, 0.965), (ankle, 0.965)), "light", 0.12)
    return Sketch((0.4, 0.36, 0.5, 0.4)[shape], tuple(parts))


def shorts(shape: int) -> Sketch:
    hem = (0.96, 0.9, 1.0, 0.92)[shape]
    body = mirror((0.76, 0.0), (0.85, 0.35), (hem, 0.96), (0.56, 1.0), (0.5, 0.56))
    parts = [Part(body, "body"), Part(poly((0.24, 0.05), (0.76, 0.05)), "shade" if shape else "accent", 0.08)]
    parts += [Part(poly((0.5, 0.1), (0.5, 0.58)), "shade", 0.015), *_both(poly((0.78, 0.12), (0.7, 0.32)), "shade", 0.015)]
    if shape in (1, 3):
        parts += _both(poly((0.56, 0.95), (hem - 0.01, 0.91)), "light", 0.06)
    if shape == 2:
        parts += [Part(poly((0.47, 0.06), (0.44, 0.34)), "white", 0.02), Part(poly((0.53, 0.06), (0.57, 0.32)), "white", 0.02)]
    return Sketch((1.15, 1.05, 0.86, 0.95)[shape], tuple(parts))


def skirt(shape: int) -> Sketch:
    hem, hips = ((0.78, 0.86), (1.0, 0.78), (0.98, 0.74), (0.94, 0.84))[shape]
    body = mirror((0.7, 0.0), (hips, 0.3), (hem, 0.96), (0.7, 1.0))
    if shape == 3:
        body = curve(mirror((0.68, 0.0), (0.8, 0.3), (1.0, 0.86), (0.75, 1.0), (0.6, 0.93)))
    parts = [Part(body, "body"), Part(poly((0.3, 0.04), (0.7, 0.04)), "shade", 0.07)]
    pleats = (0.42, 0.58) if shape != 2 else (0.14, 0.24, 0.34, 0.44, 0.56, 0.66, 0.76, 0.86)
    for x in pleats:
        parts.append(Part(poly((0.5 + (x - 0.5) * 0.55, 0.1), (0.5 + (x - 0.5) * 1.15, 0.96)), "shade", 0.012))
    if shape == 0:
        parts.append(Part(poly((0.56, 1.0), (0.54, 0.72)), "dark", 0.02))
    return Sketch((0.62, 0.95, 1.0, 0.7)[shape], tuple(parts))


def _shoe(shape: int) -> list[Part]:
    if shape == 0:
        upper = curve(poly((0.03, 0.3), (0.16, 0.22), (0.32, 0.3), (0.5, 0.42), (0.8, 0.6), (0.98, 0.8), (0.5, 0.86), (0.04, 0.85)))
        parts = [Part(upper, "body"), Part(curve(poly((0.02, 0.8), (0.5, 0.83), (0.97, 0.78), (1.0, 0.93), (0.5, 1.0), (0.02, 0.98))), "white")]
        parts += [Part(poly((x, y), (x + 0.09, y - 0.09)), "white", 0.022) for x, y in ((0.36, 0.44), (0.44, 0.5), (0.52, 0.55))]
        return [*parts, Part(curve(poly((0.12, 0.7), (0.3, 0.72), (0.5, 0.55)), closed=False), "accent", 0.05)]
    if shape == 1:
        upper = curve(poly((0.02, 0.1), (0.1, 0.04), (0.26, 0.34), (0.5, 0.62), (0.8, 0.7), (1.0, 0.9), (0.8, 0.97), (0.5, 0.92), (0.24, 0.62), (0.05, 0.5)))
        return [Part(poly((0.04, 0.44), (0.14, 0.52), (0.1, 1.0), (0.06, 1.0)), "shade"), Part(upper, "body"),
                Part(poly((0.52, 0.97), (0.98, 0.97)), "dark", 0.02)]  # fmt: skip
    if shape == 2:
        upper = poly((0.1, 0.0), (0.5, 0.0), (0.52, 0.5), (0.84, 0.66), (0.98, 0.84), (0.97, 0.92), (0.06, 0.92), (0.1, 0.5))
        parts = [Part(upper, "body"), Part(poly((0.04, 0.9), (0.99, 0.9), (0.98, 1.0), (0.4, 1.0), (0.38, 0.96), (0.34, 1.0), (0.04, 1.0)), "dark")]
        return [*parts, Part(poly((0.1, 0.04), (0.5, 0.04)), "shade", 0.05), Part(poly((0.24, 0.2), (0.28, 0.5)), "shade", 0.1)]
    upper = curve(poly((0.02, 0.34), (0.2, 0.36), (0.34, 0.5), (0.55, 0.4), (0.8, 0.52), (1.0, 0.8), (0.9, 0.93), (0.04, 0.93)))
    return [Part(upper, "body"), Part(poly((0.02, 0.95), (0.97, 0.95)), "leather", 0.05),
            Part(poly((0.5, 0.42), (0.58, 0.66)), "shade", 0.07), Part(poly((0.52, 0.5), (0.6, 0.54)), "metal", 0.03)]  # fmt: skip


def shoes(shape: int) -> Sketch:
    one = _shoe(shape)
    back = [Part(p.points * (0.8, 0.78) + (0.2, 0.0), p.tone, p.stroke * 0.8) for p in one]
    front = [Part(p.points * (0.8, 0.78) + (0.0, 0.22), p.tone, p.stroke * 0.8) for p in one]
    return Sketch((1.45, 1.15, 1.05, 1.6)[shape], (*back, *front))


def bag(shape: int) -> Sketch:
    if shape == 0:
        handles = [Part(curve(poly((0.3, 0.42), (0.32, 0.12), (0.5, 0.03), (0.68, 0.12), (0.7, 0.42)), closed=False), "leather", w) for w in (0.045,)]
        parts = [*handles, Part(mirror((0.94, 0.36), (1.0, 0.94), (0.94, 1.0)), "body"), Part(poly((0.06, 0.4), (0.94, 0.4)), "shade", 0.04)]
        return Sketch(0.86, tuple(parts))
    if shape == 1:
        handle = curve(poly((0.32, 0.36), (0.36, 0.1), (0.5, 0.03), (0.64, 0.1), (0.68, 0.36)), closed=False)
        flap = curve(mirror((0.5, 0.32), (0.84, 0.32), (0.9, 0.5), (0.7, 0.66), (0.5, 0.68)))
        return Sketch(1.1, (Part(handle, "shade", 0.045), Part(mirror((0.86, 0.3), (1.0, 0.9), (0.93, 1.0)), "body"),
                            Part(flap, "plain"), Part(flap, "shade", 0.015), Part(oval(0.5, 0.68, 0.05, 0.045), "metal")))  # fmt: skip
    if shape == 2:
        strap = curve(poly((0.08, 0.62), (0.1, 0.25), (0.5, 0.02), (0.9, 0.25), (0.92, 0.62)), closed=False)
        box = curve(mirror((0.5, 0.5), (0.9, 0.5), (0.98, 0.6), (0.97, 0.9), (0.85, 0.99), (0.5, 1.0)))
        return Sketch(0.9, (Part(strap, "metal", 0.025), Part(box, "body"), Part(poly((0.04, 0.7), (0.96, 0.7)), "shade", 0.02),
                            Part(poly((0.45, 0.66), (0.55, 0.66), (0.55, 0.76), (0.45, 0.76)), "metal")))  # fmt: skip
    shell = curve(mirror((0.5, 0.06), (0.76, 0.1), (0.9, 0.3), (0.94, 0.9), (0.8, 0.99), (0.5, 1.0)))
    pocket = curve(mirror((0.5, 0.56), (0.74, 0.57), (0.78, 0.7), (0.76, 0.9), (0.5, 0.92)))
    loop = curve(poly((0.42, 0.1), (0.45, 0.01), (0.55, 0.01), (0.58, 0.1)), closed=False)
    return Sketch(0.78, (Part(loop, "shade", 0.04), Part(shell, "body"), Part(pocket, "plain"), Part(pocket, "shade", 0.02),
                         Part(curve(poly((0.14, 0.42), (0.5, 0.3), (0.86, 0.42)), closed=False), "metal", 0.02)))  # fmt: skip


def hat(shape: int) -> Sketch:
    if shape == 0:
        brim = curve(mirror((0.5, 0.72), (0.85, 0.7), (1.0, 0.8), (0.75, 0.98), (0.5, 1.0)))
        crown = curve(mirror((0.5, 0.1), (0.63, 0.0), (0.74, 0.14), (0.79, 0.8), (0.5, 0.88)))
        band = curve(poly((0.23, 0.66), (0.5, 0.74), (0.77, 0.66)), closed=False)
        return Sketch(1.55, (Part(brim, "body"), Part(crown, "body"), Part(band, "dark", 0.07)))
    if shape == 1:
        dome = curve(poly((0.04, 0.76), (0.1, 0.25), (0.38, 0.0), (0.62, 0.16), (0.72, 0.72), (0.4, 0.82)))
        peak = curve(poly((0.55, 0.7), (0.75, 0.66), (1.0, 0.86), (0.95, 1.0), (0.7, 0.86)))
        return Sketch(1.5, (Part(peak, "shade"), Part(dome, "body"), Part(oval(0.38, 0.03, 0.03, 0.04), "accent"),
                            Part(curve(poly((0.38, 0.03), (0.44, 0.4), (0.42, 0.8)), closed=False), "shade", 0.012)))  # fmt: skip
    if shape == 2:
        dome = curve(mirror((0.5, 0.14), (0.8, 0.22), (0.95, 0.6), (0.92, 0.9), (0.5, 0.95)))
        parts = [Part(oval(0.5, 0.11, 0.13, 0.11), "light"), Part(dome, "body"), Part(poly((0.06, 0.86), (0.94, 0.86)), "shade", 0.2)]
        parts += [Part(poly((x, 0.77), (x, 0.95)), "body", 0.012) for x in np.linspace(0.1, 0.9, 12)]
        return Sketch(1.0, tuple(parts))
    return Sketch(1.25, (Part(oval(0.5, 0.5, 0.5, 0.5), "body"), Part(oval(0.5, 0.48, 0.27, 0.28), "dark"),
                         Part(oval(0.5, 0.46, 0.245, 0.255), "body"), Part(oval(0.5, 0.42, 0.13, 0.08), "shade", 0.015)))  # fmt: skip


def sunglasses(shape: int) -> Sketch:
    lens = (
        oval(0.27, 0.55, 0.2, 0.4),
        curve(poly((0.06, 0.14), (0.3, 0.2), (0.46, 0.32), (0.42, 0.78), (0.24, 0.95), (0.1, 0.7))),
        curve(poly((0.06, 0.22), (0.27, 0.16), (0.46, 0.24), (0.44, 0.75), (0.27, 0.93), (0.1, 0.78))),
        curve(poly((0.06, 0.2), (0.28, 0.14), (0.45, 0.26), (0.42, 0.7), (0.25, 1.0), (0.08, 0.66))),
    )[shape]
    bridge = Part(curve(poly((0.44, 0.4), (0.5, 0.3), (0.56, 0.4)), closed=False), "plain", 0.035)
    arms = _both(poly((0.07, 0.36), (0.02, 0.3), (0.05, 0.05)), "plain", 0.035)
    glints = [Part(poly((x, 0.66), (x + 0.09, 0.36)), "light", 0.018) for x in (0.2, 0.68)]
    thin = 0.03 if shape in (0, 3) else 0.06
    return Sketch(2.3, (*arms, bridge, *_both(lens, "glass"), *_both(np.concatenate([lens, lens[:2]]), "plain", thin), *glints))


def belt(shape: int) -> Sketch:
    holes = [Part(oval(x, 0.5, 0.008, 0.07), "dark") for x in (0.7, 0.76, 0.82, 0.88)]
    buckle = poly((0.01, 0.05), (0.11, 0.05), (0.11, 0.95), (0.01, 0.95), (0.01, 0.05), (0.11, 0.05))
    if shape in (0, 2):
        strap = poly((0.04, 0.2), (0.96, 0.2), (1.0, 0.5), (0.96, 0.8), (0.04, 0.8))
        stitch = [Part(poly((0.14, y), (0.95, y)), "shade", 0.006) for y in (0.28, 0.72)]
        return Sketch(7.0 if shape else 9.0, (Part(strap, "body"), *stitch, *holes, Part(buckle, "metal", 0.022)))
    angle = np.linspace(0, 4.4 * np.pi, 90)
    radius = np.linspace(0.2, 0.46, 90)
    flatten = 1.0 if shape == 1 else 0.92
    coil = np.stack([0.5 + radius * np.cos(angle), 0.5 + flatten * radius * np.sin(angle)], axis=1)
    tip = coil[-1]
    square = np.array([(-0.05, -0.09), (0.05, -0.09), (0.05, 0.09), (-0.05, 0.09), (-0.05, -0.09), (0.05, -0.09)]) + tip
    return Sketch(1.0, (Part(coil, "shade", 0.115), Part(coil, "body", 0.095), Part(square, "metal", 0.03)))


def scarf(shape: int) -> Sketch:
    if shape in (0, 3):
        bend = 0.0 if shape == 0 else 0.16
        body = poly((0.05, 0.06), (0.95, 0.06), (0.95 - bend, 0.5), (0.95, 0.93), (0.05 + bend, 0.93), (0.05, 0.5))
        fringe = [Part(poly((x, y), (x, y + d)), "plain", 0.03) for x in np.linspace(0.08 + bend, 0.92, 11) for y, d in ((0.92, 0.075),)]
        fringe += [Part(poly((x, 0.07), (x, 0.0)), "plain", 0.03) for x in np.linspace(0.08, 0.92, 11)]
        return Sketch(0.34, (*fringe, Part(body, "body"), Part(poly((0.5, 0.06), (0.5 - bend / 2, 0.93)), "shade", 0.02)))
    if shape == 1:
        ring = oval(0.5, 0.32, 0.36, 0.24)
        tails = [Part(poly((0.4, 0.5), (0.54, 0.5), (0.5, 0.98), (0.28, 0.96)), "body"), Part(poly((0.5, 0.5), (0.66, 0.5), (0.8, 0.86), (0.6, 0.9)), "body")]
        return Sketch(0.75, (*tails, Part(ring, "shade", 0.27), Part(ring, "body", 0.24),
                             Part(oval(0.5, 0.33, 0.3, 0.2, 20, 170), "shade", 0.015), Part(oval(0.5, 0.32, 0.4, 0.27, 200, 330), "shade", 0.012)))  # fmt: skip
    square = curve(poly((0.02, 0.06), (0.5, 0.0), (0.98, 0.08), (1.0, 0.2), (0.62, 0.8), (0.5, 1.0), (0.38, 0.8), (0.0, 0.2)))
    return Sketch(1.2, (Part(square, "body"), Part(poly((0.05, 0.17), (0.5, 0.88), (0.95, 0.18)), "accent", 0.03), Part(poly((0.3, 0.06), (0.5, 0.7)), "shade", 0.012)))


def tie(shape: int) -> Sketch:
    if shape == 1:
        wing = curve(poly((0.46, 0.5), (0.6, 0.16), (0.96, 0.02), (1.0, 0.5), (0.96, 0.98), (0.6, 0.84)))
        knot = poly((0.43, 0.26), (0.57, 0.26), (0.56, 0.74), (0.44, 0.74))
        return Sketch(2.0, (*_both(wing, "body"), Part(knot, "shade"), *_both(poly((0.6, 0.5), (0.8, 0.42)), "shade", 0.01)))
    wide = (0.96, 0.0, 0.8, 0.98)[shape]
    blade = mirror((0.62, 0.12), (wide, 0.84), (0.5, 1.0))
    parts = [Part(blade, "body"), Part(mirror((0.72, 0.0), (0.64, 0.13), (0.5, 0.14)), "body"), Part(poly((0.36, 0.128), (0.64, 0.128)), "shade", 0.04)]
    if shape == 3:
        parts.insert(0, Part(poly((0.5, 0.1), (0.9, 0.78), (0.7, 0.86)), "shade"))
    return Sketch((0.24, 0.0, 0.17, 0.3)[shape], tuple(parts))


def watch(shape: int) -> Sketch:
    strap_tone = "metal" if shape == 2 else "body"
    strap = mirror((0.74, 0.0), (0.78, 0.36), (0.78, 0.64), (0.72, 1.0))
    links = [Part(poly((0.25, y), (0.75, y)), "shade", 0.02) for y in np.linspace(0.04, 0.96, 14 if shape == 2 else 4)]
    case = oval(0.47, 0.5, 0.45, 0.2) if shape != 1 else mirror((0.9, 0.33), (0.9, 0.67))
    face = oval(0.47, 0.5, 0.36, 0.16) if shape != 1 else mirror((0.8, 0.37), (0.8, 0.63))
    hands = [Part(poly((0.47, 0.5), (0.47, 0.39)), "dark", 0.03), Part(poly((0.47, 0.5), (0.66, 0.53)), "dark", 0.03)]
    crown = Part(poly((0.92, 0.48), (1.0, 0.48), (1.0, 0.52), (0.92, 0.52)), "metal")
    dial = "white" if shape in (0, 1) else "plain"
    return Sketch(0.44, (Part(strap, strap_tone), *links, crown, Part(case, "metal"), Part(face, dial), *hands))


_DRAW = {f.__name__: f for f in (
    dress, outerwear, top, pants, shorts, skirt, shoes, bag, hat, sunglasses, belt, scarf, tie, watch,
)}  # fmt: skip


@lru_cache(maxsize=256)
def garment(category: str, shape: int) -> Sketch:
    """Returns the sketch of a garment or accessory; shape is 0..3."""
    return _DRAW[category](shape)
