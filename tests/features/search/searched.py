"""Pins with patterns in both halves of their images, described and indexed, and a Searcher."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image as pil

from features.images.images import Image, load_image
from features.search.build import build_index
from features.search.index import open_index
from features.search.query import Searcher
from features.visuals.store import VisualStore
from sql.database import Database
from tests.quick_visuals import quick_extractor

SIDE = 60


def pattern(seed: int, light: bool = False) -> np.ndarray:
    """`(60, 120, 3)` uint8: 3 by 6 squares of random colours, pale (a bag) or dark (a shoe)."""
    low, high = (110, 256) if light else (0, 220)
    squares = np.random.default_rng(seed).integers(low, high, (3, 6, 3), dtype=np.uint8)
    return squares.repeat(20, axis=0).repeat(20, axis=1)


def picture(upper: np.ndarray, lower: np.ndarray) -> pil.Image:
    return pil.fromarray(np.concatenate([upper, lower]))


def as_image(image: pil.Image, folder: Path) -> Image:
    image.save(folder / "query.png")
    return load_image(folder / "query.png")


def searcher(database: Database, home: Path, pictures: Mapping[str, pil.Image]) -> Searcher:
    """Over an index of pins that show these pictures; home/PIN.png are their files."""
    extractor = quick_extractor()
    for pin, image in pictures.items():
        image.save(home / f"{pin}.png")
    files = {pin: home / f"{pin}.png" for pin in pictures}
    VisualStore(database, home, extractor.feature_version).refresh(files, extractor.extract)
    build_index(database, home, extractor.feature_version)
    return Searcher(extractor, open_index(home, extractor.feature_version))
