"""Rows of pin_visuals and pin_objects from PinVisuals."""

from collections.abc import Iterator

from features.visuals.visuals import PinVisual


def pin_row(feature_version: str, pin: str, visual: PinVisual, shard: str) -> dict[str, object]:
    dominant = visual.dominant
    return {
        "feature_version": feature_version,
        "pin_id": pin,
        "content_hash": visual.content_hash,
        "width": visual.width,
        "height": visual.height,
        "n_objects": len(visual.scores),
        "dominant_category": None if dominant is None else visual.categories[dominant],
        "shard": shard,
    }


def object_rows(feature_version: str, pin: str, visual: PinVisual) -> Iterator[dict[str, object]]:
    shares, dominant = visual.area_shares, visual.dominant
    for number, category in enumerate(visual.categories):
        x1, y1, x2, y2 = visual.boxes[number].tolist()
        lightness, a, b = visual.colours[number].tolist()
        yield {
            "feature_version": feature_version, "pin_id": pin, "object_no": number,
            "category": category, "score": float(visual.scores[number]),
            "x1": x1, "y1": y1, "x2": x2, "y2": y2, "area_share": float(shares[number]),
            "is_dominant": int(number == dominant),
            "lab_l": lightness, "lab_a": a, "lab_b": b,
        }  # fmt: skip
