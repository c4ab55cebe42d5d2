"""The harness on real experiments and known truths: what it claims, shown."""
