-- One row per pin and feature version (null where no image was read), with what its pixels hold.
SELECT
    p.pin_id,
    v.feature_version,
    p.title,
    p.board,
    p.created_at,
    p.image,
    v.width,
    v.height,
    v.n_objects,
    v.dominant_category,
    CASE WHEN v.n_objects > 0 THEN 1 WHEN v.n_objects = 0 THEN 0 END AS has_object
FROM pins AS p
LEFT JOIN pin_visuals AS v ON v.pin_id = p.pin_id
