-- One row per impression and feature version, for pairs with pair features: what may be learned from.
SELECT 1
