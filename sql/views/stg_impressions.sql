-- One row per impression, with its request, the candidate's source and what the user did (0 or 1).
SELECT
    i.date,
    i.request_id,
    r.user_id,
    r.query_pin_id,
    i.candidate_pin_id,
    r.requested_at,
    r.policy,
    r.platform,
    i.position,
    i.propensity,
    s.source,
    CASE WHEN closeup.action IS NULL THEN 0 ELSE 1 END AS closeup,
    CASE WHEN click.action IS NULL THEN 0 ELSE 1 END AS click,
    CASE WHEN long_click.action IS NULL THEN 0 ELSE 1 END AS long_click,
    CASE WHEN save.action IS NULL THEN 0 ELSE 1 END AS save,
    CASE WHEN hide.action IS NULL THEN 0 ELSE 1 END AS hide,
    CASE
        WHEN save.action IS NOT NULL THEN 4
        WHEN long_click.action IS NOT NULL THEN 3
        WHEN click.action IS NOT NULL THEN 2
        WHEN closeup.action IS NOT NULL THEN 1
        ELSE 0
    END AS grade
FROM impressions AS i
JOIN requests AS r ON r.request_id = i.request_id
LEFT JOIN candidates AS s ON s.query_pin_id = r.query_pin_id
    AND s.candidate_pin_id = i.candidate_pin_id
LEFT JOIN engagements AS closeup ON closeup.request_id = i.request_id
    AND closeup.candidate_pin_id = i.candidate_pin_id AND closeup.action = 'closeup'
LEFT JOIN engagements AS click ON click.request_id = i.request_id
    AND click.candidate_pin_id = i.candidate_pin_id AND click.action = 'click'
LEFT JOIN engagements AS long_click ON long_click.request_id = i.request_id
    AND long_click.candidate_pin_id = i.candidate_pin_id AND long_click.action = 'long_click'
LEFT JOIN engagements AS save ON save.request_id = i.request_id
    AND save.candidate_pin_id = i.candidate_pin_id AND save.action = 'save'
LEFT JOIN engagements AS hide ON hide.request_id = i.request_id
    AND hide.candidate_pin_id = i.candidate_pin_id AND hide.action = 'hide'
