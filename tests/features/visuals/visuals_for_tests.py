"""Random PinVisuals with what is asked for."""

import numpy as np

from features.embedding.embedding import unit
from features.visuals.visuals import PinVisual


def random_visual(
    seed: int, categories: tuple[str, ...] = (), dimension: int = 16, content: str = ""
) -> PinVisual:
    rng = np.random.default_rng(seed)
    n = len(categories)
    corners = np.sort(rng.uniform(0, 200, (n, 2, 2)), axis=1).reshape(n, 4)

    def vectors(rows: int) -> np.ndarray:
        return unit(rng.normal(size=(rows, dimension)).astype(np.float32))

    return PinVisual(
        content_hash=content or f"{seed:064x}",
        width=200,
        height=250,
        whole=vectors(1)[0],
        whole_crop=vectors(1)[0],
        boxes=corners.astype(np.float32),
        scores=-np.sort(-rng.uniform(0.4, 1, n)).astype(np.float32),
        categories=categories,
        crops=vectors(n),
        padded=vectors(n),
        colours=rng.uniform(0, 100, (n, 3)).astype(np.float32),
    )
