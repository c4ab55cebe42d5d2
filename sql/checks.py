"""The rules for rows: which are kept, which are set aside and why, which are not there yet.

A row whose time is after the day is not there yet, whatever else may be wrong with it. Of rows with
one key the first in time is kept (then the smallest by the other columns), so that the order of the
rows in a file never matters.
"""

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sql.source import Rows

KEPT, NOT_YET = -1, -2
LATE_HOURS = 24
MAX_POSITION = 2**31 - 1
MAX_SIDE = 1_000_000  # pixels; no image is larger, so no edge of a box is further out
REMOTE = r"(?i)^(https?|s3|gs)://"
OUTSIDE = r"^/|^[A-Za-z][A-Za-z0-9+.-]*:/|(^|/)\.\.(/|$)"

Mask = npt.NDArray[np.bool_]


@dataclass
class Verdicts:
    """What became of each row: kept, not there yet, or set aside for one of `reasons`."""

    rows: Rows
    codes: npt.NDArray[np.int16]
    reasons: list[str] = field(default_factory=list)

    def mark(self, mask: Mask, reason: str) -> None:
        """Set aside the rows of the mask that were kept so far."""
        self.codes[mask & (self.codes == KEPT)] = len(self.reasons)
        self.reasons.append(reason)

    def postpone(self, mask: Mask) -> None:
        self.codes[mask & (self.codes == KEPT)] = NOT_YET

    def kept(self) -> pa.Table:
        return self.rows.typed.filter(pa.array(self.codes == KEPT))

    def mark_repeats(self, key: tuple[str, ...], reason: str) -> None:
        """Set aside all but the first of the kept rows with one key."""
        kept = np.flatnonzero(self.codes == KEPT)
        codes = key_codes(self.rows.typed.take(kept), key)
        _, group, sizes = np.unique(codes, return_inverse=True, return_counts=True)
        rest = kept[sizes[group] > 1]
        if len(rest) == 0:
            return
        repeated = self.rows.typed.take(rest)
        contract = self.rows.contract
        order = [*((contract.time,) if contract.time else ()), *contract.columns]
        repeated = repeated.append_column("_row", pa.array(rest))
        repeated = repeated.append_column("_group", pa.array(group[sizes[group] > 1]))
        by = [(name, "ascending") for name in ("_group", *dict.fromkeys(order), "_row")]
        repeated = repeated.sort_by(by)
        groups = repeated["_group"].to_numpy()
        mask = np.zeros(len(self.codes), dtype=bool)
        mask[repeated["_row"].to_numpy()[1:][groups[1:] == groups[:-1]]] = True
        self.mark(mask, reason)


def key_codes(rows: pa.Table, key: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """A whole number per row, `(N,)`: equal for equal keys, ordered as the keys are."""
    total = np.zeros(len(rows), dtype=np.int64)
    for name in key:
        encoded = pc.dictionary_encode(rows[name].combine_chunks())
        values = encoded.dictionary
        ranks = np.empty(len(values), dtype=np.int64)
        ranks[pc.sort_indices(values).to_numpy()] = np.arange(len(values))
        _, before = np.unique(total, return_inverse=True)
        total = before * (len(values) + 1) + ranks[encoded.indices.to_numpy()]
    return total


def check_own(rows: Rows, end: datetime) -> Verdicts:
    """The verdicts that a row's own values allow, for what is known before `end`."""
    contract = rows.contract
    verdicts = Verdicts(rows, _all_kept(rows))
    if contract.time:
        verdicts.postpone(_mask(pc.greater_equal(rows.typed[contract.time], pa.scalar(end))))
    for column in contract.fields:
        there = _is_given(rows.raw[column.name], empty_is_null=column.kind == "text")
        missing = _mask(pc.is_null(rows.typed[column.name]))
        verdicts.mark(there & missing, f"bad_{column.name}")
        if column.required:
            verdicts.mark(missing, f"null_{column.name}")
    for name, allowed in contract.allowed:
        verdicts.mark(~_is_in(rows.typed[name], pa.array(allowed)), f"bad_{name}")
    return verdicts


def check_pins(rows: Rows, end: datetime) -> Verdicts:
    """An image is a path that stays in the folder, or a URI that can be fetched."""
    verdicts = check_own(rows, end)
    image = rows.typed["image"]
    remote = _mask(pc.match_substring_regex(image, REMOTE))
    verdicts.mark(_mask(pc.match_substring_regex(image, OUTSIDE)) & ~remote, "bad_image")
    verdicts.mark_repeats(rows.contract.key, "repeated")
    return verdicts


def check_requests(rows: Rows, end: datetime, pins: pa.Table) -> Verdicts:
    verdicts = check_own(rows, end)
    verdicts.mark(~_is_in(rows.typed["query_pin_id"], pins["pin_id"]), "orphan")
    verdicts.mark_repeats(rows.contract.key, "repeated")
    return verdicts


def check_impressions(rows: Rows, end: datetime, requests: Verdicts) -> Verdicts:
    """An impression is there when its request is."""
    request, later = rows.typed["request_id"], requests.codes == NOT_YET
    known = _is_in(request, requests.kept()["request_id"])
    verdicts = Verdicts(rows, _all_kept(rows))
    not_yet = requests.rows.typed["request_id"].filter(pa.array(later))
    verdicts.postpone(_is_in(request, not_yet) & ~known)
    own = check_own(rows, end)
    for code, reason in enumerate(own.reasons):
        verdicts.mark(own.codes == code, reason)
    position, propensity = rows.typed["position"], rows.typed["propensity"]
    in_range = pc.and_(pc.greater(position, 0), pc.less_equal(position, MAX_POSITION))
    verdicts.mark(~_mask(in_range), "bad_position")
    share = pc.and_(pc.greater(propensity, 0.0), pc.less_equal(propensity, 1.0))
    verdicts.mark(~_mask(pc.fill_null(share, True)), "bad_propensity")
    verdicts.mark(~known, "orphan")
    verdicts.mark_repeats(rows.contract.key, "repeated")
    verdicts.mark_repeats(("request_id", "position"), "position_taken")
    return verdicts


def check_engagements(
    rows: Rows, end: datetime, requests: pa.Table, impressions: pa.Table
) -> Verdicts:
    verdicts = check_own(rows, end)
    verdicts.mark(~_pairs_in(rows.typed, impressions), "orphan")
    at = pc.index_in(rows.typed["request_id"], requests["request_id"])
    requested, engaged = requests["requested_at"].take(at), rows.typed["engaged_at"]
    verdicts.mark(_mask(pc.less(engaged, requested)), "before_request")
    limit = pa.scalar(LATE_HOURS * 3_600_000_000, pa.duration("us"))
    verdicts.mark(_mask(pc.greater(pc.subtract(engaged, requested), limit)), "late")
    verdicts.mark_repeats(rows.contract.key, "repeated")
    return verdicts


def check_candidates(rows: Rows, end: datetime, pins: Verdicts) -> Verdicts:
    """A pair is there when both its pins are."""
    verdicts = check_own(rows, end)
    later = pins.rows.typed["pin_id"].filter(pa.array(pins.codes == NOT_YET))
    sides = [rows.typed[name] for name in ("query_pin_id", "candidate_pin_id")]
    unknown = [~_is_in(side, pins.kept()["pin_id"]) for side in sides]
    soon = [~gone | _is_in(side, later) for side, gone in zip(sides, unknown, strict=True)]
    absent = unknown[0] | unknown[1]
    verdicts.postpone(absent & soon[0] & soon[1])
    verdicts.mark(absent, "orphan")
    verdicts.mark_repeats(rows.contract.key, "repeated")
    return verdicts


def check_crops(rows: Rows, end: datetime, pins: pa.Table) -> Verdicts:
    verdicts = check_own(rows, end)
    verdicts.mark(~_has_area(rows.typed), "bad_box")
    verdicts.mark(~_is_in(rows.typed["pin_id"], pins["pin_id"]), "orphan")
    verdicts.mark_repeats(rows.contract.key, "repeated")
    return verdicts


def check_boxes(rows: Rows, pins: Verdicts) -> Verdicts:
    """A box is there when the pin of its image is; its category must be in its file."""
    verdicts = Verdicts(rows, _all_kept(rows))
    image, known = rows.typed["image"], pins.kept()["image"]
    later = pins.rows.typed["image"].filter(pa.array(pins.codes == NOT_YET))
    verdicts.postpone(_is_in(image, later) & ~_is_in(image, known))
    verdicts.mark(_mask(pc.is_null(rows.typed["category"])), "bad_category")
    verdicts.mark(~_has_area(rows.typed), "bad_box")
    verdicts.mark(~_is_in(image, known), "orphan")
    verdicts.mark_repeats(("image", "category", "x1", "y1", "x2", "y2"), "repeated")
    return verdicts


def check_all(inputs: dict[str, Rows], end: datetime) -> dict[str, Verdicts]:
    """The verdicts on all rows, by input, for what is known before `end`."""
    pins = check_pins(inputs["pins"], end)
    known_pins = pins.kept()
    requests = check_requests(inputs["requests"], end, known_pins)
    known_requests = requests.kept()
    impressions = check_impressions(inputs["impressions"], end, requests)
    verdicts = {
        "pins": pins,
        "requests": requests,
        "impressions": impressions,
        "engagements": check_engagements(
            inputs["engagements"], end, known_requests, impressions.kept()
        ),
        "candidates": check_candidates(inputs["candidates"], end, pins),
        "crops": check_crops(inputs["crops"], end, known_pins),
        "true_boxes": check_boxes(inputs["true_boxes"], pins),
    }
    return verdicts


def _all_kept(rows: Rows) -> npt.NDArray[np.int16]:
    return np.full(len(rows.raw), KEPT, dtype=np.int16)


def _mask(values: pa.ChunkedArray) -> Mask:
    return np.asarray(pc.fill_null(values, False).to_numpy(), dtype=bool)


def _is_in(values: pa.ChunkedArray, allowed: pa.Array) -> Mask:
    return _mask(pc.is_in(values, allowed, skip_nulls=True))


def _is_given(raw: pa.ChunkedArray, *, empty_is_null: bool) -> Mask:
    given = pc.is_valid(raw)
    if empty_is_null and (pa.types.is_string(raw.type) or pa.types.is_large_string(raw.type)):
        given = pc.and_(given, pc.not_equal(raw, ""))
    return _mask(given)


def _has_area(rows: pa.Table) -> Mask:
    """Whether the box is wider and higher than nothing, with edges that an image could have."""
    mask = _mask(pc.greater(rows["x2"], rows["x1"])) & _mask(pc.greater(rows["y2"], rows["y1"]))
    for edge in ("x1", "y1", "x2", "y2"):
        mask &= _mask(pc.less_equal(pc.abs(rows[edge]), MAX_SIDE))
    return mask


def _pairs_in(rows: pa.Table, impressions: pa.Table) -> Mask:
    names = ("request_id", "candidate_pin_id")
    sets = [pc.unique(impressions[name]) for name in names]

    def codes(table: pa.Table) -> npt.NDArray[np.int64]:
        first, second = (
            pc.fill_null(pc.index_in(table[name], known), -1).to_numpy().astype(np.int64)
            for name, known in zip(names, sets, strict=True)
        )
        return np.where((first < 0) | (second < 0), -1, first * (len(sets[1]) + 1) + second)

    return np.isin(codes(rows), codes(impressions))
