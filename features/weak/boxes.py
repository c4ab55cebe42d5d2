"""Weak boxes: the objects of a pin, from where people cropped it.

People crop what interests them, so that crops that fall together mark an object (Jing et al. 2015,
arXiv 1505.07647; Zhai et al. 2017, arXiv 1702.04680). A user has one vote per object, so that one
busy user cannot make one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from scipy.special import expit

from features.boxes import area, iou

LEAST_SIDE = 4.0  # pixels
LEAST_SHARE, MOST_SHARE = 0.0002, 0.9  # of the image
SAME = 0.5  # mean IoU from which votes are for one object
MOST_VOTES = 2000  # clustered per pin; the rest is only counted
OBJECTS, INTEREST = 4.5, 0.1  # objects per pin; share of a pin's croppers that crop one of them
STRAYS, MEET = 0.06, 0.0004  # share of crops of no object; chance that two of them fall together
MARGIN = 0.05  # share of a crop's side that people leave around the object, at each end
JUNK = ("not a number", "inside out", "outside the image", "tiny", "whole image")

Boxes = NDArray[np.float64]
Users = NDArray[np.object_]
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class WeakBoxes:
    """Objects of one pin, by falling number of users and then by place.

    boxes: `(N, 4)` float64 xyxy, pixels of the original image. n_users: `(N,)` users with a crop of
    the object. confidence: `(N,)` float64, chance that there is an object, 0 to 1. n_croppers:
    users with a usable crop of the pin at all.
    """

    boxes: Boxes
    n_users: Rows
    confidence: NDArray[np.float64]
    n_croppers: int

    def at_least(self, confidence: float) -> "WeakBoxes":
        """Only the boxes of at least this confidence."""
        sure = self.confidence >= confidence
        boxes, n_users, sureness = self.boxes[sure], self.n_users[sure], self.confidence[sure]
        return WeakBoxes(boxes, n_users, sureness, self.n_croppers)


def junk(boxes: Boxes, width: int, height: int) -> Rows:
    """Why each of `(N, 4)` crops is unusable: `(N,)` rows of JUNK, -1 for a usable one.

    A crop is outside where less than half of it lies in the image, tiny where a side has less than
    4 pixels or the area is less than 0.02 % of the image, and the whole image from 90 %.

    >>> crops = np.array([[10.0, 10, 60, 60], [60, 10, 10, 60], [0, 0, 100, 99], [5, 5, 7, 50]])
    >>> [JUNK[row] if row >= 0 else "" for row in junk(crops, 100, 100)]
    ['', 'inside out', 'whole image', 'tiny']
    """
    finite = np.isfinite(boxes).all(axis=1)
    known = np.nan_to_num(boxes, nan=0, posinf=0, neginf=0)
    inside = clipped(known, width, height)
    sides, share = inside[:, 2:] - inside[:, :2], area(inside) / (width * height)
    tests = (
        ~finite,
        np.less_equal(known[:, 2:], known[:, :2]).any(axis=1),
        area(inside) < area(known) / 2,
        (sides < LEAST_SIDE).any(axis=1) | (share < LEAST_SHARE),
        share >= MOST_SHARE,
    )
    return np.select(tests, range(len(tests)), -1).astype(np.int64)


def clipped(boxes: Boxes, width: int, height: int) -> Boxes:
    """Boxes `(N, 4)` cut at the edges of the image."""
    return np.asarray(np.clip(boxes, 0, np.array([width, height, width, height], dtype=float)))


def tightened(boxes: Boxes, sizes: Boxes) -> Boxes:
    """Boxes `(N, 4)` without the margin that people leave around what they crop: a twentieth of the
    crop at each end, but none where the crop ends with the image. Measured once, against true boxes
    of street photos, where it is the same for every category and number of users.

    sizes: `(N, 2)`, width and height of the image of each.

    >>> tightened(np.array([[10.0, 0, 30, 100]]), np.array([[200, 100]])).tolist()
    [[11.0, 0.0, 29.0, 100.0]]
    """
    margin = MARGIN * (boxes[:, 2:] - boxes[:, :2])
    inside = np.hstack([boxes[:, :2] > 0, boxes[:, 2:] < sizes])
    return np.asarray(boxes + inside * np.hstack([margin, -margin]))


def weak_boxes(users: Users, boxes: Boxes) -> WeakBoxes:
    """The objects of a pin from C usable crops: who cropped `(C,)` and where `(C, 4)`.

    Crops of one user that fall together are one vote, at the median of their edges; votes that fall
    together are one object, at the median of theirs. Together means a mean IoU of at least 0.5
    (average linkage). Neither the order of the crops nor a repeated crop changes anything. No
    crops give no boxes.
    """
    voters, votes = votes_of(users, boxes)
    if not len(votes):
        return WeakBoxes(np.zeros((0, 4)), np.zeros(0, dtype=np.int64), np.zeros(0), 0)
    sample = np.sort(np.random.default_rng(0).permutation(len(votes))[:MOST_VOTES])
    cluster = together(votes[sample])
    objects = middles(votes[sample], cluster)
    chosen = nearest_box(votes, objects)
    chosen[sample] = cluster
    n_users = np.array([len(set(voters[chosen == k])) for k in range(len(objects))])
    order = np.lexsort((*objects.T[::-1], -n_users))
    n_users, n_croppers = n_users[order], len(set(voters))
    return WeakBoxes(objects[order], n_users, confidence(n_users, n_croppers), n_croppers)


def confidence(n_users: Rows, n_croppers: int) -> NDArray[np.float64]:
    """Chance `(N,)`, 0 to 1, that boxes with n_users votes of a pin's n_croppers are objects.

    Bayes' rule on two kinds of boxes. One of the pin's OBJECTS gets a Poisson number of votes with
    mean INTEREST * n_croppers. A stray crop, STRAYS * n_croppers of them, is met by a Poisson
    number of others with mean MEET * n_croppers. A lone crop among few is likely an object that
    few cared for, a lone crop among many is not. The rates were set once, against true boxes of
    street photos; other images may need others.

    >>> confidence(np.array([1, 2]), 5).round(2).tolist(), confidence(np.array([1, 2, 5]), 100).round(2).tolist()
    ([0.82, 1.0], [0.0, 0.04, 1.0])
    """  # noqa: E501
    votes = n_users.astype(np.float64)
    log_odds = (
        np.log(OBJECTS * INTEREST / (STRAYS * votes))
        + (votes - 1) * np.log(INTEREST / MEET)
        - (INTEREST - MEET) * n_croppers
    )
    return np.asarray(expit(log_odds))


def nearest_box(boxes: Boxes, objects: Boxes) -> Rows:
    """The object `(N,)` that each of `(N, 4)` boxes overlaps most, -1 below an IoU of 0.5."""
    overlap = np.stack([iou(boxes, each) for each in objects], axis=1)
    return np.where(overlap.max(axis=1) >= SAME, overlap.argmax(axis=1), -1)


def votes_of(users: Users, boxes: Boxes) -> tuple[Users, Boxes]:
    """(users `(V,)`, boxes `(V, 4)`): one vote per user and place, sorted by user and place."""
    crops = sorted({(user, *edges) for user, edges in zip(users, boxes.tolist(), strict=True)})
    by_user: dict[object, list[tuple[float, ...]]] = {}
    for user, *edges in crops:
        by_user.setdefault(user, []).append(tuple(edges))
    voters: list[object] = []
    votes = [np.zeros((0, 4))]
    for user, places in by_user.items():
        own = np.array(places)
        votes.append(middles(own, together(own)))
        voters += [user] * len(votes[-1])
    return np.array(voters, dtype=object), np.concatenate(votes)


def together(boxes: Boxes) -> Rows:
    """The cluster `(N,)`, from 0, of each of `(N, 4)` boxes: average linkage over 1 - IoU."""
    if len(boxes) < 2:
        return np.zeros(len(boxes), dtype=np.int64)
    wide = boxes.astype(np.float32)
    distances = np.stack([1 - iou(box, wide) for box in wide])
    np.fill_diagonal(distances, 0)
    tree = linkage(squareform(distances, checks=False), method="average")
    return np.asarray(fcluster(tree, 1 - SAME, criterion="distance") - 1, dtype=np.int64)


def middles(boxes: Boxes, cluster: Rows) -> Boxes:
    """The median edges `(K, 4)` of the boxes of each of K clusters."""
    return np.array([np.median(boxes[cluster == k], axis=0) for k in range(cluster.max() + 1)])
