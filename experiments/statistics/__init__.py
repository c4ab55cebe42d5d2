"""How sure one can be: intervals, corrections, power, from sums that can be added."""
