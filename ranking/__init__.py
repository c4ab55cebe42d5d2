"""Rows and engagement in, scores out: labels, engagement features, the rankers, their metrics."""
