"""Feature versions side by side: whether one is complete, and making it the current one.

A version is current by one row of the manifest, and one more for the version that has true boxes in
it. Whoever does not name a version reads the current one, so a switch is one transaction.
"""

from collections.abc import Mapping
from pathlib import Path

from features.daily import true_boxes_version
from features.pairs.store import PairStore
from sql import manifest
from sql.database import Database

__all__ = ["complete", "use"]

_WITHOUT = """
SELECT COUNT(*) AS n,
    SUM(CASE WHEN v.pin_id IS NULL AND q.row_key IS NULL THEN 1 ELSE 0 END) AS lacks
FROM pins AS p
LEFT JOIN pin_visuals AS v ON v.feature_version = :version AND v.pin_id = p.pin_id
LEFT JOIN (SELECT DISTINCT row_key FROM quarantine WHERE source_table = 'image') AS q
    ON q.row_key = p.pin_id
"""
_CHANGED = """
SELECT COUNT(*) AS n FROM pins AS p
JOIN pin_visuals AS v ON v.feature_version = :version AND v.pin_id = p.pin_id
JOIN pin_visuals AS c ON c.pin_id = p.pin_id AND c.content_hash <> v.content_hash
    AND c.feature_version IN (
        SELECT feature_version FROM manifest WHERE step = 'feature_version' AND piece = 'detected')
"""
_DAYS = "SELECT DISTINCT date FROM requests ORDER BY date"
_PAIRED = "SELECT piece FROM manifest WHERE step = 'pair_interest' AND feature_version = :version"


def complete(database: Database, home: Path, feature_version: str) -> dict[str, str]:
    """The version by kind, as sql.home.feature_versions: 'detected', and 'true_boxes' where there
    are true boxes.

    Raises ValueError, saying what is missing, where it has not the visuals of all pins, or not the
    features of all candidate pairs and days, that are in the database now.
    """
    found = {"detected": feature_version}
    if with_truth := true_boxes_version(database, feature_version):
        found["true_boxes"] = with_truth
    for name in found.values():
        if lack := _lack(database, home, name):
            raise ValueError(
                f"The feature version {feature_version} is not complete: {lack}. Make the rest "
                "with `related-pins features --beside` and the options that make this version."
            )
    return found


def use(database: Database, found: Mapping[str, str | None]) -> None:
    """Makes a version, given by kind, the current one, in one transaction."""
    with database.engine.begin() as connection:
        for kind in ("detected", "true_boxes"):
            name = found.get(kind)
            manifest.record(
                connection, step="feature_version", piece=kind, fingerprint=name or "none",
                n_rows=0, feature_version=name,
            )  # fmt: skip


def _lack(database: Database, home: Path, version: str) -> str | None:
    """What the version lacks, or None."""
    pins = database.read(_WITHOUT, version=version).to_pylist()[0]
    if pins["lacks"]:
        return f"{pins['lacks']:,} of {pins['n']:,} pins have no visuals of it"
    if changed := database.read(_CHANGED, version=version)["n"][0].as_py():
        return f"the images of {changed:,} pins have changed since"
    wanted = PairStore(database, home, version).wanted()
    if database.made_from("pair_features", version) != wanted.inputs:
        return f"not all of the {wanted.n_pairs:,} candidate pairs have features of it"
    done = set(database.read(_PAIRED, version=version)["piece"].to_pylist())
    days = database.read(_DAYS)["date"].to_pylist()
    missing = [day for day in days if f"{version}/{day}" not in done]
    return f"{len(missing)} days, such as {missing[0]}, have no interest of it" if missing else None
