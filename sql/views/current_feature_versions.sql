-- One row per kind of feature version: the one that is current, which the rankers are trained on.
SELECT
    piece AS kind,
    feature_version,
    finished_at
FROM manifest
WHERE step = 'feature_version' AND feature_version IS NOT NULL
