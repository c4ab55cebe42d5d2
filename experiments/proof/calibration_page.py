"""The page of a calibration: every table with its aim, and in words where an estimator fails."""

from collections.abc import Callable, Iterator

import pandas as pd

from experiments.estimators.support import MIN_EFFECTIVE
from experiments.proof import calibration_live as live
from experiments.proof import markdown
from experiments.proof.conditions import CONDITIONS
from experiments.proof.measures import Coverage, Share, alarms, coverage, error, groups

FALSE_ALARMS, COVERED = (0.04, 0.06), (0.93, 0.97)
DIFFERENT = {
    "position-based": "nothing: an action needs the position to be examined (1, 0.6, 0.4), and "
    "nothing else matters",
    "no lift": "the second half of the queries repeats the first with the arms' orders exchanged: "
    "orders differ, truth does not",
    "cascade": "people read from the top, leave after an action with probability 0.9, and read on "
    "with 0.8",
    "cannibalisation": "every action takes 70 % off the chance of each further one on the page",
    "sharp logging": "the log is not in random order: Plackett-Luce over the control's scores, "
    "sharpness 2, exact propensities",
    "40 users": "50 requests a user, so 40 users in 2,000 requests",
    "40 equal users": "the same, but all come equally often",
    "very unequal users": "standard deviation of log activity 2, of taste 0.8 (else 1 and 0.5)",
    "rare actions": "about 5 actions per 100 requests (else about 50)",
    "novelty": "90 % of what the object adds wears off, half of that every 1.5 days, over 8 days",
    "large lift": "the object adds 0.2 to relevance (else 0.1)",
}


def page(found: pd.DataFrame, how: str) -> str:
    """Returns the page in Markdown; found: one row per Outcome, how: what it took, in words."""
    parts = (
        _top(how), _in_short(found), _false_alarms(found), _lifts(found), _values(found),
        _missed(found), _errors(found), live.sample_ratios(found), live.families(found),
        live.peeking(found), live.sensitivity(found),
    )  # fmt: skip
    return "\n\n".join("\n".join(part).strip() for part in parts) + "\n"


def _top(how: str) -> Iterator[str]:
    plain = CONDITIONS["position-based"].settings
    yield f"""# Is the harness right as often as it says?

{how}

Every number below is measured in small worlds whose truth is computed exactly
(`experiments/proof/worlds.py`): {plain.n_queries} query pins with {plain.n_candidates} candidates
each, pages of {plain.n_positions}, a lift of about 5 %, users who differ in how often they come and
in how prone they are to act, five requests a user. Examination is measured on as many other
requests in random order, as `related-pins experiment` does. Shares have their 95 % Wilson interval
in brackets. An aim is *met*; or missed *within chance*, where the interval reaches it; or *missed*.
"""
    yield markdown.table(["world", "what is different"], [[*row] for row in DIFFERENT.items()])


def _in_short(found: pd.DataFrame) -> Iterator[str]:
    """What an experiment owner must know, from the numbers of the tables below."""
    yield "## In short\n"
    lifts = found[found["study"].isin(("intervals", "live")) & (found["quantity"] == "lift")]
    null = lifts[lifts["world"] == "no lift"]
    rates = [
        f"{name} {alarms(null[null['estimator'] == name]).value:.1%}"
        for name in ("snips_item_position", "snips_position_based", "A/B", "A/B with CUPED")
    ]
    yield f"- False alarms where there is no lift: {', '.join(rates)}."
    for name in ("snips_position_based", "snips_item_position", "A/B"):
        rows = lifts[lifts["estimator"] == name]
        held = {world: coverage(some).share for (world,), some in groups(rows, "world")}
        missed = [f"{world} {of.value:.1%}" for world, of in held.items() if _misses(of)]
        yield (
            f"- The 95 % interval of the lift by {name} held the truth in "
            f"{held['position-based'].value:.1%} of position-based worlds"
            + (
                f"; it misses its aim here: {', '.join(missed)}."
                if missed
                else ", and misses its aim nowhere."
            )
        )
    biased = {world: _biased(some) for (world,), some in groups(_of_errors(found), "world")}
    for world, names in biased.items():
        yield f"- Biased with much data, {world}: {'; '.join(names) or 'none'}."


def _of_errors(found: pd.DataFrame) -> pd.DataFrame:
    return found[found["study"] == "errors"]


def _biased(rows: pd.DataFrame) -> list[str]:
    """The estimators that are biased on the largest logs of the rows."""
    most = rows[rows["n_requests"] == rows["n_requests"].max()]
    return [name for (name,), some in groups(most, "estimator") if error(some).biased]


def _misses(of: Share) -> bool:
    return of.verdict(COVERED) == "missed"


def _false_alarms(found: pd.DataFrame) -> Iterator[str]:
    of_study = found["study"].isin(("intervals", "live"))
    interleaved = found["estimator"].str.startswith("interleaving")
    rows = found[(found["world"] == "no lift") & (of_study | interleaved)]
    lines = []
    for (name,), some in groups(rows[rows["p_value"].notna()], "estimator"):
        rate = alarms(some)
        lines.append(
            [name, markdown.sizes(some), f"{rate.n:,}", markdown.share(rate),
             rate.verdict(FALSE_ALARMS)]
        )  # fmt: skip
    yield "## False alarms where there is no lift\n"
    yield "p < 0.05 in worlds without a lift. Aim: 4 % to 6 %.\n"
    yield markdown.table(["estimator", "requests", "worlds", "false alarms", "aim"], lines)


def _lifts(found: pd.DataFrame) -> Iterator[str]:
    yield """## Coverage of 95 % intervals of the lift

How often the interval held the truth, in %. Aim: 93 % to 97 %; **bold: missed**, by more than
chance. width: of the interval in points, median in position-based worlds.
"""
    for study in ("intervals", "live"):
        rows = found[(found["study"] == study) & (found["quantity"] == "lift")]
        width = ("width", lambda some: f"{100 * coverage(some).width:.1f}")
        yield _coverage_table(rows, *width)
        yield ""
    rows = found[found["quantity"] == "lift that lasts"]
    parts = [
        f"{name} {markdown.share(coverage(some).share)}"
        for (name,), some in groups(rows, "estimator")
    ]
    yield (
        "While something is new, its lift is not the one that lasts: in novelty worlds the same "
        f"intervals hold the lift that is left in the end only so often: {'; '.join(parts)}."
    )


def _values(found: pd.DataFrame) -> Iterator[str]:
    rows = found[(found["study"] == "intervals") & (found["quantity"] == "value")]
    yield f"""## Coverage of 95 % intervals of actions per request, offline

The treatment's value by the estimators of one row per candidate (`actions.py`) and of whole pages
(`pages.py`), in %. Aim and bold as above. effective: effective sample size, median in
position-based worlds; `support.require` refuses logs worth fewer than {MIN_EFFECTIVE:,.0f} rows.
independent_ips is the same number as ips here.
"""
    yield _coverage_table(
        rows, "effective", lambda some: f"{some['effective_sample_size'].median():,.0f}"
    )


def _coverage_table(rows: pd.DataFrame, extra: str, of_plain: Callable[[pd.DataFrame], str]) -> str:
    """One line per estimator, one column per world, and a last one about position-based worlds."""
    worlds = [world for world in CONDITIONS if (rows["world"] == world).any()]
    by_world = {world: rows[rows["world"] == world] for world in worlds}
    counts = [f"{s['seed'].nunique():,} × {markdown.sizes(s)}" for s in by_world.values()]
    lines = [["*worlds × requests*", *counts, ""]]
    for (name,), some in groups(rows, "estimator"):
        cells = {world: _cell(coverage(part)) for (world,), part in groups(some, "world")}
        plain = some[some["world"] == "position-based"]
        lines.append([name, *(cells.get(world, "") for world in worlds), of_plain(plain)])
    return markdown.table(["estimator", *worlds, extra], lines)


def _cell(of: Coverage) -> str:
    text = f"{100 * of.share.value:.1f}"
    text = f"**{text}**" if _misses(of.share) else text
    return text + (f" ({of.n_open} open)" if of.n_open else "")


def _missed(found: pd.DataFrame) -> Iterator[str]:
    rows = found[found["study"].isin(("intervals", "live")) & found["low"].notna()]
    yield (
        "Intervals that miss, and on which side they lie where they do not hold the truth (open: "
        "without two ends, since the control cannot be told from 0; left out):\n"
    )
    lines = []
    for (name, world, quantity), some in groups(rows, "estimator", "world", "quantity"):
        of = coverage(some)
        if _misses(of.share):
            lines.append(
                [name, world, quantity, markdown.share(of.share), f"{of.too_low:.1%}",
                 f"{of.too_high:.1%}"]
            )  # fmt: skip
    head = ["estimator", "world", "of", "covered", "too low", "too high"]
    yield markdown.table(head, lines) if lines else "None."
    yield _WHY


_WHY = """
Why they can miss:
- Few users carry most requests (40 users, very unequal users): what an interval counts on is users,
  and a handful of heavy ones with tastes of their own is too few for it. With as few users who
  come equally often it holds (40 equal users, above); CUPED takes out much of what they differ in.
- Actions depend on the pins above (cascade, cannibalisation): the interval lies around the wrong
  value. reward_interaction_ips has no such bias (next section), but is noisy.
- Few rows carry all the weight (standard_ips and reward_interaction_ips, all the more with rare
  actions): where chance leaves them few actions, both the value and its spread look too small.
- direct_method: its interval is that of the mean over contexts, the reward model taken as given, so
  it leaves out nearly all of the error."""


def _errors(found: pd.DataFrame) -> Iterator[str]:
    rows = _of_errors(found)
    yield """## Bias and error as the log grows

Of the actions per request under the treatment (or of their ratio to the control's), in % of the
truth: bias / RMSE over worlds with two logs each. **Bold: biased here.** The product of the two
logs' errors has the squared bias of the world as its expectation; an estimator is called biased
where that is above 0 by more than three standard errors and its root is above a third of the RMSE.
So biases of opposite sign in different worlds count, and the bias shown, their mean, can be small.

![RMSE against the size of the log](images/calibration-errors.png)
"""
    for (world,), of_world in groups(rows, "world"):
        log_sizes = sorted(set(of_world["n_requests"]))
        by_name = {
            name: [error(some[some["n_requests"] == n]) for n in log_sizes]
            for (name,), some in groups(of_world, "estimator")
        }
        n_worlds = of_world["seed"].nunique()
        yield f"### {world} ({n_worlds:,} worlds of each size)\n"
        yield markdown.table(
            ["estimator", *(f"{n:,} requests" for n in log_sizes)],
            [[name, *map(markdown.error, found)] for name, found in by_name.items()],
        )
        biased = _biased(of_world)
        of_value = [name for name in by_name if "/" not in name]
        best = min(of_value, key=lambda name: by_name[name][-1].rmse)
        yield (
            f"\nAt {log_sizes[-1]:,} requests, biased: {'; '.join(biased) or 'none'}. "
            f"Smallest RMSE of the value: {best}, {by_name[best][-1].rmse:.1%}.\n"
        )
