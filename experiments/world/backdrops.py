"""What lies behind the objects: table tops, cloth, marble, studio paper, rooms."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from experiments.world.appearance import RGB, mix
from experiments.world.sketch import Floats, noise

TEXTURES = ("wood", "marble", "fabric", "plain", "tiles")
_TINTS: dict[str, tuple[RGB, ...]] = {
    "wood": ((186, 148, 108), (130, 92, 62), (214, 190, 160), (104, 84, 72)),
    "marble": ((232, 230, 228), (214, 210, 208), (62, 62, 68), (226, 214, 200)),
    "fabric": ((222, 212, 196), (178, 186, 196), (206, 178, 172), (120, 128, 120)),
    "plain": ((240, 238, 234), (222, 206, 190), (196, 210, 214), (232, 214, 214), (92, 98, 108)),
    "tiles": ((224, 224, 220), (190, 200, 204), (204, 190, 170)),
}
_WALLS: tuple[RGB, ...] = (
    (228, 222, 212),
    (196, 206, 204),
    (216, 198, 188),
    (168, 182, 192),
    (234, 232, 228),
    (150, 160, 146),
)


@dataclass(frozen=True)
class Setting:
    """A photo's surroundings and composition: the same setting gives the same look as a whole."""

    texture: str
    rgb: RGB
    seed: int


def random_setting(rng: np.random.Generator, kind: str) -> Setting:
    """Returns surroundings for a scene of this kind (product, outfit or room)."""
    seed = int(rng.integers(2**31))
    if kind == "room":
        return Setting("room", _WALLS[rng.integers(len(_WALLS))], seed)
    texture = "plain" if kind == "product" else str(rng.choice(TEXTURES))
    tints = _TINTS[texture]
    return Setting(texture, tints[rng.integers(len(tints))], seed)


def backdrop(setting: Setting, width: int, height: int) -> Floats:
    """Returns the empty scene, (height, width, 3) float32, 0..255, for the caller to paint on."""
    return _backdrop(setting, width, height).copy()


@lru_cache(maxsize=32)
def _backdrop(setting: Setting, width: int, height: int) -> Floats:
    rng = np.random.default_rng(setting.seed)
    if setting.texture == "room":
        return _room(setting.rgb, width, height, rng)
    folds, grain = noise(height, width, rng)
    light = 1.0 + (0.02 if setting.texture == "plain" else 0.05) * folds + 0.012 * grain
    y, x = np.mgrid[:height, :width].astype(np.float32)
    slope = rng.uniform(-0.16, 0.16, 2).tolist()
    light += slope[0] * (x / width - 0.5) + slope[1] * (y / height - 0.5)
    match setting.texture:
        case "wood":
            light += _planks(x, y, folds, float(rng.uniform(60, 130)), bool(rng.integers(2)))
        case "marble":
            vein = np.abs(np.sin((x * slope[0] * 5 + y) * 0.02 + 5 * folds))
            light += (-0.22 if sum(setting.rgb) > 360 else 0.5) * np.clip(1 - vein * 9, 0, 1)
        case "fabric":
            light += 0.05 * np.sin(x * 1.9 + folds) * np.sin(y * 1.9) + 0.12 * np.sin(4 * folds)
        case "tiles":
            size = float(rng.uniform(70, 120))
            light -= 0.16 * ((x % size < 2.5) | (y % size < 2.5))
        case _:
            pass
    return _tinted(setting.rgb, light)


def _tinted(rgb: RGB, light: Floats) -> Floats:
    return np.clip(light[..., None].astype(np.float32) * np.array(rgb, np.float32), 0, 255)


def _planks(x: Floats, y: Floats, folds: Floats, size: float, upright: bool) -> Floats:
    across, along = (x, y) if upright else (y, x)
    plank = np.floor(across / size)
    tone = 0.06 * np.sin(plank * 37.7)
    rings = 0.05 * np.sin(across * 0.35 + 9 * folds + 0.01 * along + plank * 9)
    return np.asarray(tone + rings - 0.3 * (across % size < 1.8), np.float32)


def _room(wall: RGB, width: int, height: int, rng: np.random.Generator) -> Floats:
    """Returns a wall (plain, striped or panelled), a floor and perhaps a window or a picture."""
    folds, grain = noise(height, width, rng)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    floor_y = height * float(rng.uniform(0.6, 0.7))
    light = (
        1.0 + 0.03 * folds + 0.01 * grain - 0.12 * np.abs(x / width - float(rng.uniform(0.2, 0.8)))
    )
    style, size = int(rng.integers(4)), float(rng.uniform(24, 60))
    if style == 1:
        light += 0.035 * np.sign(np.sin(x * np.pi / size))
    elif style == 2:
        light -= 0.1 * ((x % (size * 2) < 2) | ((y % (size * 3)) < 2))
    canvas = _tinted(wall, light)
    wood = ((176, 134, 94), (116, 84, 62), (206, 184, 154), (150, 146, 142))[rng.integers(4)]
    depth = (y - floor_y) / height + 0.25
    skewed = (x - width / 2) / depth
    ground = (
        0.86 + 0.06 * folds + 0.4 * depth * 0.4 + _planks(skewed, y, folds * 0.3, 260.0, True) * 0.5
    )
    canvas = np.where((y >= floor_y)[..., None], _tinted(wood, ground), canvas)
    canvas[int(floor_y) - 9 : int(floor_y)] = np.array(mix(wall, (255, 255, 255), 0.55), np.float32)
    picture = Image.fromarray(canvas.astype(np.uint8))
    _decorate(ImageDraw.Draw(picture), wall, width, floor_y, rng)
    return np.asarray(picture, np.float32) + 1.5 * grain[..., None]


def _decorate(
    pen: ImageDraw.ImageDraw, wall: RGB, width: int, floor_y: float, rng: np.random.Generator
) -> None:
    if rng.random() < 0.45:
        left, w = float(rng.uniform(0.03, 0.65)) * width, float(rng.uniform(80, 150))
        box = (left, 40.0, left + w, floor_y - 80)
        pen.rectangle(box, fill=(206, 224, 236), outline=(246, 246, 244), width=8)
        pen.line((left + w / 2, 40, left + w / 2, floor_y - 80), fill=(246, 246, 244), width=5)
    for _ in range(int(rng.integers(0, 3))):
        left, top = float(rng.uniform(0.05, 0.85)) * width, float(rng.uniform(30, 90))
        w, h = rng.uniform(40, 80, 2).tolist()
        art = (int(rng.integers(90, 230)), int(rng.integers(90, 230)), int(rng.integers(90, 230)))
        pen.rectangle(
            (left, top, left + w, top + h), fill=mix(wall, art, 0.7), outline=(60, 50, 44), width=4
        )
        pen.ellipse((left + w * 0.3, top + h * 0.3, left + w * 0.75, top + h * 0.7), fill=art)
