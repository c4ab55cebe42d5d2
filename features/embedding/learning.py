"""Learning the projection: objects of one category and colour, and objects of pins that people
engaged with together, are drawn near; see docs/model-card.md.

Learning starts from the principal axes of the features, each feature scaled by how well it tells
categories apart, and turns them a little: longer or faster learning finds fewer of the street's
categories in the catalogue. The loss is a contrastive cross entropy with soft targets (Khosla et
al. 2020, "Supervised Contrastive Learning", arXiv 2004.11362, equation 2, positives weighted by
likeness of colour), and with the other pairs of a batch as negatives for pairs from the log (Oord
et al. 2018, InfoNCE, arXiv 1807.03748, equation 4).
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from features.embedding.projection import Projection
from features.visuals.store import Progress

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
LOUDEST = 6.0


@dataclass(frozen=True, eq=False)
class Objects:
    """N objects to learn from.

    views: `(V, N, C)` features of the same objects, such as tight and with context. categories:
    `(N,)` codes. families: `(N,)` codes of narrower kinds, such as a catalogue's boards, -1 where
    unknown. colours: `(N, 3)` Lab. pairs: `(M, 2)` rows of objects whose pins people engaged with
    together; M may be 0.
    """

    views: Floats
    categories: Ints
    families: Ints
    colours: Floats
    pairs: Ints


@dataclass(frozen=True)
class LearningRecipe:
    """How a projection is learned: Adam, one cosine, batches with every category alike.

    dimension: of the vectors. temperature: of the softmax over cosines. colour_scale: Lab distance
    at which a likeness of colour has fallen to 1/e. family_weight: how much more an object of the
    same family counts. pairs_weight: of the log's loss beside the catalogue's.
    """

    dimension: int = 128
    steps: int = 400
    batch: int = 1024
    learning_rate: float = 1e-3
    temperature: float = 0.07
    colour_scale: float = 12.0
    category_weight: float = 0.3
    family_weight: float = 1.0
    across: float = 0.5
    pairs_weight: float = 0.5
    dropout: float = 0.2
    weight_decay: float = 1e-4
    seed: int = 7


def learn_projection(
    objects: Objects,
    learned_on: str,
    recipe: LearningRecipe | None = None,
    progress: Progress | None = None,
) -> Projection:
    """The projection that draws alike objects near. Raises ValueError for fewer than two objects.

    learned_on: version of the features. The same objects and recipe give the same projection.
    """
    if objects.views.shape[1] < 2:
        raise ValueError("A projection needs at least two objects to learn from.")
    recipe = recipe or LearningRecipe()
    torch.manual_seed(recipe.seed)
    dice = np.random.default_rng(recipe.seed)
    mean, loudness = objects.views.mean(axis=(0, 1)), telling(objects)
    views = torch.from_numpy((objects.views - mean) * loudness)
    matrix = torch.nn.Parameter(_first_axes(views, recipe.dimension))
    optimizer = torch.optim.Adam(
        [matrix], lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.steps)
    chances = _balanced(objects.categories)
    for step in range(recipe.steps):
        rows = dice.choice(len(chances), min(recipe.batch, len(chances)), False, chances)
        seen = dice.integers(len(views), size=len(rows))
        loss = _catalogue_loss(views[seen, rows] @ matrix, objects, rows, recipe)
        if len(objects.pairs):
            drawn = objects.pairs[dice.integers(len(objects.pairs), size=recipe.batch // 4)]
            loss = loss + recipe.pairs_weight * _pairs_loss(views, matrix, drawn, recipe)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if progress is not None:
            progress("learn", step + 1, recipe.steps)
    return Projection(mean, loudness[:, None] * matrix.detach().numpy(), learned_on)


def _catalogue_loss(
    vectors: Tensor, objects: Objects, rows: Ints, recipe: LearningRecipe
) -> Tensor:
    target = torch.from_numpy(likeness(objects, rows, recipe))
    has_like = target.sum(dim=1) > 0
    dropped = functional.dropout(vectors, recipe.dropout)
    cosines = _cosines(dropped, dropped, recipe.temperature)
    cosines = cosines.masked_fill(torch.eye(len(rows), dtype=torch.bool), -1e4)
    share = target / target.sum(dim=1, keepdim=True).clamp(min=1e-9)
    losses = -(share * functional.log_softmax(cosines, dim=1)).sum(dim=1)
    mean: Tensor = losses[has_like].mean()
    return mean


def _pairs_loss(views: Tensor, matrix: Tensor, pairs: Ints, recipe: LearningRecipe) -> Tensor:
    one, two = views[0, pairs[:, 0]] @ matrix, views[0, pairs[:, 1]] @ matrix
    return functional.cross_entropy(
        _cosines(one, two, recipe.temperature), torch.arange(len(pairs))
    )


def _cosines(one: Tensor, two: Tensor, temperature: float) -> Tensor:
    return functional.normalize(one, dim=1) @ functional.normalize(two, dim=1).T / temperature


def likeness(objects: Objects, rows: Ints, recipe: LearningRecipe) -> Floats:
    """How alike `(B, B)` the objects of the rows are, diagonal 0: 0 across categories, else falling
    with the distance of colours, more within a family. A row's likeness to objects on its own side
    (with or without family) sums to 1 - across, to those on the other to across, or to 0.
    """
    categories, families = objects.categories[rows], objects.families[rows]
    colours = objects.colours[rows]
    distance = np.linalg.norm(colours[:, None] - colours[None], axis=-1)
    known = families >= 0
    family = (families[:, None] == families[None]) & known[:, None]
    alike = np.exp(-distance / recipe.colour_scale) * (1 + recipe.family_weight * family)
    alike = (recipe.category_weight + alike) * (categories[:, None] == categories[None])
    np.fill_diagonal(alike, 0)
    other_side = known[:, None] != known[None]
    return np.asarray(
        recipe.across * _shares(alike * other_side)
        + (1 - recipe.across) * _shares(alike * ~other_side),
        dtype=np.float32,
    )


def telling(objects: Objects) -> Floats:
    """How well each feature `(C,)` tells categories apart: standard deviation between over within
    categories, at most LOUDEST, plus a half (Fisher's ratio)."""
    features = objects.views[0]
    counts = np.bincount(objects.categories)
    means = np.zeros((len(counts), features.shape[1]))
    np.add.at(means, objects.categories, features)
    means = means[counts > 0] / counts[counts > 0, None]
    shares = counts[counts > 0] / len(features)
    between = shares @ (means - features.mean(axis=0)) ** 2
    within = np.maximum(features.var(axis=0) - between, 1e-9)
    ratio = np.minimum(np.sqrt(between / within), LOUDEST)
    return np.asarray(ratio + 0.5, dtype=np.float32)


def _shares(values: Floats) -> Floats:
    return np.asarray(values / np.maximum(values.sum(axis=1, keepdims=True), 1e-9))


def _balanced(categories: Ints) -> NDArray[np.float64]:
    """Chances `(N,)` by which every category is drawn with the square root of its frequency."""
    chance = 1 / np.sqrt(np.bincount(categories)[categories])
    return np.asarray(chance / chance.sum())


def _first_axes(views: Tensor, dimension: int) -> Tensor:
    """The principal axes `(C, E)`, entries of 0.1 in the root mean square: where learning starts
    (cosines do not depend on the scale, the learning rate does)."""
    flat = views.reshape(-1, views.shape[-1]).double()
    _, axes = torch.linalg.eigh(flat.T @ flat / len(flat))
    largest: Tensor = axes[:, -dimension:].flip(1)
    return (largest * 0.1 / largest.square().mean().sqrt()).float()
