"""The recipe of a linear ranker; that of trees are the settings in `ranking/ranker.py`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Linear:
    """A ranker whose score is a sum of weights times columns.

    Where the column `where` is 1, the weight of the column `boosted` is multiplied by `factor`
    after learning, by hand; None for no such column.
    """

    boosted: str | None = None
    where: str | None = None
    factor: float = 1.0
