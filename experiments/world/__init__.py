"""A simulated world with a known truth: drawn pins, people with wishes, and their logs."""
