"""The dirt of real logs, planted in small counted amounts."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Tables = dict[str, pa.Table]
Ints = NDArray[np.int64]


def soil(tables: Tables, rng: np.random.Generator) -> tuple[Tables, dict[str, int]]:
    """Returns the tables with dirt and how much of each kind, all kinds on different rows.

    Doubles repeat a row exactly; orphans name a request or pin that does not exist; late rows
    are engagements that arrive two to four days after their request.
    """
    soiled = dict(tables)
    counts: dict[str, int] = {}
    engagements, impressions = tables["engagements"], tables["impressions"]
    late, doubled = _pick(len(engagements), (0.0005, 0.003), rng)
    late = late[_days_left(engagements, late) > 4]
    engagements = _late(engagements, late, rng)
    orphans = _orphans(engagements, "request_id", "r9", 40, rng)
    soiled["engagements"] = pa.concat_tables([engagements, engagements.take(doubled), orphans])
    counts |= {"late_engagements": len(late), "doubled_engagements": len(doubled)}
    counts["orphan_engagements"] = len(orphans)

    nulls, doubled = _pick(len(impressions), (0.004, 0.0003), rng)
    mask = np.zeros(len(impressions), bool)
    mask[nulls] = True
    null = pa.scalar(None, pa.float64())
    propensity = pc.if_else(pa.array(mask), null, impressions["propensity"])
    impressions = impressions.set_column(3, "propensity", propensity)
    orphans = _orphans(tables["impressions"], "request_id", "r9", 24, rng)
    soiled["impressions"] = pa.concat_tables([impressions, impressions.take(doubled), orphans])
    counts |= {"null_propensities": len(nulls), "doubled_impressions": len(doubled)}
    counts["orphan_impressions"] = len(orphans)

    (doubled,) = _pick(len(tables["requests"]), (0.0004,), rng)
    soiled["requests"] = pa.concat_tables([tables["requests"], tables["requests"].take(doubled)])
    counts["doubled_requests"] = len(doubled)
    for name, key, n in (("candidates", "candidate_pin_id", 3), ("crops", "pin_id", 8)):
        orphans = _orphans(tables[name], key, "x9", n, rng)
        soiled[name] = pa.concat_tables([tables[name], orphans])
        counts[f"orphan_{name}"] = len(orphans)
    return soiled, counts


def _pick(rows: int, parts: tuple[float, ...], rng: np.random.Generator) -> list[Ints]:
    """Returns disjoint random row numbers, one array per share of the rows, at least 3 each."""
    sizes = [max(3, round(rows * share)) for share in parts]
    return np.split(rng.permutation(rows)[: sum(sizes)], np.cumsum(sizes)[:-1])


def _days_left(table: pa.Table, rows: Ints) -> Ints:
    day = table["engaged_at"].to_numpy().astype("datetime64[D]")
    return np.asarray((day.max() - day[rows]).astype(np.int64))


def _late(table: pa.Table, rows: Ints, rng: np.random.Generator) -> pa.Table:
    times = table["engaged_at"].to_numpy().astype("datetime64[us]").copy()
    times[rows] += rng.integers(2 * 86400, 4 * 86400, len(rows)).astype("timedelta64[s]")
    column = table.column_names.index("engaged_at")
    kind = table.schema.field("engaged_at").type
    return table.set_column(column, "engaged_at", pa.array(times).cast(kind))


def _orphans(table: pa.Table, key: str, prefix: str, n: int, rng: np.random.Generator) -> pa.Table:
    """Returns n rows of the table whose key names something that does not exist."""
    rows = table.take(rng.integers(len(table), size=n))
    column = table.column_names.index(key)
    names = pa.array([f"{prefix}{i:06d}" for i in range(n)], table.schema.field(key).type)
    rows = rows.set_column(column, key, names)
    if "crop_id" in table.column_names:
        ids = pa.array([f"c9{i:05d}" for i in range(n)])
        rows = rows.set_column(table.column_names.index("crop_id"), "crop_id", ids)
    return rows
