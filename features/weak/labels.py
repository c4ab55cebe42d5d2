"""Weak labels: what weak boxes hold, from the annotations of pins that look like them.

Words of visually similar pins as labels: Zhai et al. 2017, arXiv 1702.04680. A photo of a person in
the street looks unlike a product on white ground, so that single votes are weak; boxes of the same
look, size and place are voted on together, and a classifier learns from the outcome and is applied
again (self-training: Lee 2013, "Pseudo-Label").
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from features.boxes import area
from features.embedding.embedding import unit
from features.weak.annotations import parts
from features.weak.neighbours import nearest

VOTERS, SHARPNESS = 20, 4  # nearest pins that vote, each by its cosine to this power
ALIKE = 10  # boxes that are voted on together
COMMON = 0.35  # power of a category's mean vote by which its votes are divided
FEW = 200  # boxes below which nothing is learned and the votes stand
LOOKS = 64  # dimensions of look beside those of place
LOOK_WEIGHT, PLACE_WEIGHT = 0.3, 2.0
STRENGTH = 0.05  # inverse of the classifier's regularisation

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]


def votes(
    looks: Vectors, known: Vectors, shares: Floats, same: NDArray[np.int64] | None = None
) -> tuple[Floats, NDArray[np.float64], NDArray[np.int64]]:
    """What the nearest annotated pins say of N boxes: shares `(N, C)` whose rows sum to 1 (0 where
    no neighbour says anything), and weight and row `(N, K)` of each neighbour, K at most 20.

    looks: `(N, D)` embeddings of boxes. known: `(M, D)` embeddings of annotated pins. shares:
    `(M, C)`. same: `(N,)` row in known of the box's own pin, which has no vote, or -1. Both sets
    of embeddings are centred first, which removes what is common to street photos on one side and
    to product photos on the other.
    """
    if not len(looks) or not len(known):
        none = np.zeros((len(looks), 0))
        return np.zeros((len(looks), shares.shape[1])), none, none.astype(np.int64)
    cosines, rows = nearest(centred(known), centred(looks), min(VOTERS + 1, len(known)))
    weights = np.maximum(cosines.astype(np.float64), 0) ** SHARPNESS
    if same is not None:
        weights[rows == same[:, None]] = 0
    return parts(np.einsum("nk,nkc->nc", weights, shares[rows])), weights, rows


def centred(vectors: Vectors) -> Vectors:
    """Vectors `(N, D)` less their mean, of unit length; a single one stays as it is."""
    return unit(vectors - vectors.mean(axis=0) if len(vectors) > 1 else vectors)


def places(boxes: Floats, width: int, height: int) -> Floats:
    """Place and shape `(N, 13)` of the N boxes of one pin.

    In shares of the image: distance of the centre from the middle, height of the centre, top,
    bottom; logarithms of width, height, aspect ratio and area. In shares of the rectangle around
    all boxes of the pin: height of the centre, distance from the middle. Largest share of the box
    inside a larger one, and of a smaller one inside the box. How much another box is its twin in
    size and height (a pair of shoes), 0 to 1.
    """
    if not len(boxes):
        return np.zeros((0, 13))
    sides = np.array([width, height])
    middle, size = (boxes[:, :2] + boxes[:, 2:]) / 2, np.maximum(boxes[:, 2:] - boxes[:, :2], 1e-6)
    corner, opposite = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    inside = (middle - corner) / np.maximum(opposite - corner, 1e-6)
    shape = np.log(size / sides)
    in_larger, of_smaller = containment(boxes)
    columns = (
        np.abs(middle[:, 0] / width - 0.5), middle[:, 1] / height,
        boxes[:, 1] / height, boxes[:, 3] / height,
        *shape.T, np.log(size[:, 0] / size[:, 1]), shape.sum(axis=1),
        inside[:, 1], np.abs(inside[:, 0] - 0.5), in_larger, of_smaller,
        twin(middle[:, 1] / height, shape.sum(axis=1)),
    )  # fmt: skip
    return np.stack(columns, axis=1)


def twin(heights: Floats, log_areas: Floats) -> Floats:
    """For each of N boxes how close the most alike other one is in area and height, 0 to 1."""
    apart = np.abs(log_areas[:, None] - log_areas) + 20 * np.abs(heights[:, None] - heights)
    np.fill_diagonal(apart, np.inf)
    return np.asarray(np.exp(-apart).max(axis=1))


def containment(boxes: Floats) -> tuple[Floats, Floats]:
    """For each of `(N, 4)` boxes the largest share of it inside a larger one, and the largest share
    of a smaller one inside it, 0 to 1.

    >>> [found.tolist() for found in containment(np.array([[0.0, 0, 4, 4], [3, 0, 5, 2]]))]
    [[0.0, 0.5], [0.5, 0.0]]
    """
    areas = area(boxes)
    corner = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    opposite = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = np.prod(np.clip(opposite - corner, 0, None), axis=-1)
    larger = areas[None] > areas[:, None]
    part = np.where(larger, shared / np.maximum(areas, 1e-9)[:, None], 0)
    return part.max(axis=1), part.max(axis=0)


def learned(voted: Floats, looks: Vectors, place: Floats, fit: Floats, seed: int = 0) -> Floats:
    """Shares `(N, C)` after boxes alike were voted on together and a classifier has learned from
    that; rows sum to 1.

    A category that all boxes get votes for says less of one box (as in TF-IDF): the votes are
    divided by a power of their mean. Votes and what the classifier says are multiplied by how
    well each category fits the box. voted: `(N, C)` from `votes`. looks: `(N, D)`. place: `(N, P)`
    from `places`. fit: `(N, C)` from `body.fits`. With fewer than 200 boxes, or where all would
    get one category, nothing is learned and the votes are only multiplied by the fit.
    """
    fitted = parts(voted * fit)
    if len(voted) < FEW or voted.shape[1] < 2:
        return fitted
    pca = PCA(min(LOOKS, *looks.shape), random_state=seed)
    look = pca.fit_transform(centred(looks).astype(np.float64))
    look /= max(look.std(axis=0).mean(), 1e-9)
    at = StandardScaler().fit_transform(place)
    rare = parts(voted / np.maximum(voted.mean(axis=0), 1e-9) ** COMMON * fit)
    guess = pool(rare, np.hstack([LOOK_WEIGHT * look, PLACE_WEIGHT * at])).argmax(axis=1)
    if len(set(guess)) < 2:
        return fitted
    model = LogisticRegression(C=STRENGTH, max_iter=300)
    model.fit(np.hstack([look, at]), guess)
    shares = np.zeros_like(voted)
    shares[:, model.classes_] = model.predict_proba(np.hstack([look, at]))
    return parts(shares * fit)


def pool(voted: Floats, points: Floats) -> Floats:
    """Votes `(N, C)` averaged over the boxes nearest in `(N, Q)` points: one in forty,
    at most 10, the box itself among them."""
    k = int(np.clip(len(points) // 40, 1, ALIKE))
    rows = NearestNeighbors(n_neighbors=k).fit(points).kneighbors(points, return_distance=False)
    return np.asarray(voted[rows].mean(axis=1))
