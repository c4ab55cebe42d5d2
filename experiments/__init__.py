"""Arms and their lift: held-out estimates, simulated worlds with a known truth, and the report."""
