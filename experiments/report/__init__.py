"""The report of an experiment: every figure with the query that gives its numbers."""
