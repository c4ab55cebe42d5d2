"""Tables and numbers in Markdown."""

from collections.abc import Sequence

import pandas as pd

from experiments.proof.measures import Error, Share


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table.

    >>> print(table(["a", "b"], [["1", "2"]]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    text = [f"| {' | '.join(line)} |" for line in (head, *rows)]
    return "\n".join([text[0], "|" + "---|" * len(head), *text[1:]])


def share(of: Share) -> str:
    """Returns the share in percent, with its interval in brackets.

    >>> share(Share(5, 100, 0.022, 0.1118))
    '5.0% [2.2, 11.2]'
    """
    return f"{of.value:.1%} [{100 * of.low:.1f}, {100 * of.high:.1f}]"


def error(of: Error) -> str:
    """Returns bias / RMSE in percent, bold where biased.

    >>> error(Error(-0.02, 0.03, 0.02, True, 0))
    '**−2.0 / 3.0**'
    """
    text = f"{100 * of.bias:+.1f} / {100 * of.rmse:.1f}".replace("-", "−")
    text = f"**{text}**" if of.biased else text
    return text + (f" ({of.n_undefined} undefined)" if of.n_undefined else "")


def sizes(rows: pd.DataFrame) -> str:
    """Returns the numbers of requests in the rows.

    >>> sizes(pd.DataFrame({"n_requests": [2000, 500, 2000]}))
    '500, 2,000'
    """
    return ", ".join(f"{n:,}" for n in sorted(set(rows["n_requests"])))
