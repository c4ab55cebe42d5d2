"""The sketch of any category: one place to look up its silhouettes."""

from functools import lru_cache

from experiments.world import accessories, clothes, decor, furniture
from experiments.world.sketch import Sketch

_DRAW = {
    draw.__name__: draw
    for draw in (
        clothes.dress,
        clothes.outerwear,
        clothes.top,
        clothes.pants,
        clothes.shorts,
        clothes.skirt,
        accessories.shoes,
        accessories.bag,
        accessories.hat,
        accessories.sunglasses,
        accessories.belt,
        accessories.scarf,
        accessories.tie,
        accessories.watch,
        furniture.chair,
        furniture.couch,
        furniture.table,
        decor.lamp,
        decor.plant,
        decor.vase,
        decor.clock,
        decor.rug,
    )
}


@lru_cache(maxsize=256)
def silhouette(category: str, shape: int) -> Sketch:
    """Returns the sketch of a category in one of its shapes, 0 to 3."""
    return _DRAW[category](shape)
