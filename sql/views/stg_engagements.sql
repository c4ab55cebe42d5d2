-- One row per request, candidate pin and action, with the request and the position it happened at.
SELECT
    e.date,
    e.request_id,
    r.user_id,
    r.query_pin_id,
    e.candidate_pin_id,
    e.action,
    r.requested_at,
    e.engaged_at,
    r.policy,
    r.platform,
    i.position
FROM engagements AS e
JOIN requests AS r ON r.request_id = e.request_id
JOIN impressions AS i ON i.request_id = e.request_id AND i.candidate_pin_id = e.candidate_pin_id
