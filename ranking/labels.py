"""What an action is worth: the grades and gains that rankers learn from and are measured by.

The grade of an impression is that of its best action. A hide is no action of interest: an
impression with nothing but a hide has grade 0, like one that was passed over. The gain of a grade
is 2^grade - 1 (Burges et al. 2005, "Learning to rank using gradient descent"), so that a save
outweighs a long click and a click together.

| best action | grade | gain |
|---|---|---|
| none, hide | 0 | 0 |
| closeup | 1 | 1 |
| click | 2 | 3 |
| long_click | 3 | 7 |
| save | 4 | 15 |
"""

import numpy as np
import numpy.typing as npt

GRADES = {"hide": 0, "closeup": 1, "click": 2, "long_click": 3, "save": 4}
LABEL_GAIN = tuple(2**grade - 1 for grade in range(max(GRADES.values()) + 1))


def gains(grades: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The gain of each grade, `(N,)` float64 from 0 to 15.

    >>> gains([0, 1, 2, 3, 4])
    array([ 0.,  1.,  3.,  7., 15.])
    """
    return np.asarray(LABEL_GAIN, dtype=np.float64)[np.asarray(grades, dtype=np.int64)]
