-- One row per object found in a pin, and feature version, with its size and the pin's board.
SELECT
    o.feature_version,
    o.pin_id,
    o.object_no,
    p.board,
    o.category,
    o.score,
    o.is_dominant,
    o.x1,
    o.y1,
    o.x2,
    o.y2,
    o.x2 - o.x1 AS width_px,
    o.y2 - o.y1 AS height_px,
    o.area_share,
    o.lab_l,
    o.lab_a,
    o.lab_b
FROM pin_objects AS o
JOIN pins AS p ON p.pin_id = o.pin_id
