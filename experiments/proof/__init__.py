"""The harness against data whose answer is known: simulated worlds and public experiments."""
