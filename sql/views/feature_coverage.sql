-- One row per feature version and coverage question: how many there are, and how many are covered.
WITH totals AS (
    SELECT
        (SELECT count(*) FROM pins) AS n_pins,
        (SELECT count(DISTINCT query_pin_id) FROM candidates) AS n_query_pins,
        (SELECT count(*) FROM candidates) AS n_pairs
),
visuals AS (
    SELECT
        v.feature_version,
        count(*) AS n_readable,
        count(CASE WHEN v.n_objects > 0 THEN 1 END) AS n_with_object,
        count(CASE WHEN v.n_objects > 0 THEN q.query_pin_id END) AS n_queries
    FROM pin_visuals AS v
    JOIN pins AS p ON p.pin_id = v.pin_id
    LEFT JOIN (SELECT DISTINCT query_pin_id FROM candidates) AS q ON q.query_pin_id = v.pin_id
    GROUP BY v.feature_version
),
cropped AS (
    SELECT o.feature_version, count(DISTINCT o.pin_id) AS n_queries
    FROM object_interest AS o
    WHERE o.pin_id IN (SELECT query_pin_id FROM candidates)
    GROUP BY o.feature_version
),
pairs AS (
    SELECT
        f.feature_version,
        count(*) AS n_with_features,
        count(CASE WHEN f.both_have_object = 1 THEN 1 END) AS n_both,
        count(CASE WHEN f.same_category = 1 THEN 1 END) AS n_same,
        count(CASE WHEN f.n_shared_categories > 0 THEN 1 END) AS n_shared
    FROM candidates AS c
    JOIN pair_features AS f ON f.query_pin_id = c.query_pin_id
        AND f.candidate_pin_id = c.candidate_pin_id
    GROUP BY f.feature_version
),
counted AS (
    SELECT feature_version, 'pins with a readable image' AS what, n_pins AS n,
        n_readable AS n_covered, 1 AS place
    FROM visuals CROSS JOIN totals
    UNION ALL
    SELECT feature_version, 'pins with an object', n_pins, n_with_object, 2
    FROM visuals CROSS JOIN totals
    UNION ALL
    SELECT feature_version, 'query pins with an object', n_query_pins, n_queries, 3
    FROM visuals CROSS JOIN totals
    UNION ALL
    SELECT feature_version, 'query pins with a cropped object', n_query_pins, n_queries, 4
    FROM cropped CROSS JOIN totals
    UNION ALL
    SELECT feature_version, 'pairs with features', n_pairs, n_with_features, 5
    FROM pairs CROSS JOIN totals
    UNION ALL
    SELECT feature_version, 'pairs where both have an object', n_pairs, n_both, 6
    FROM pairs CROSS JOIN totals
    UNION ALL
    SELECT feature_version, 'pairs whose dominant objects have one category', n_pairs, n_same, 7
    FROM pairs CROSS JOIN totals
    UNION ALL
    SELECT feature_version, 'pairs that share a category', n_pairs, n_shared, 8
    FROM pairs CROSS JOIN totals
)
SELECT
    feature_version,
    what,
    n,
    n_covered,
    n_covered * 1.0 / n AS share
FROM counted
WHERE n > 0
ORDER BY feature_version, place
