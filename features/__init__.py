"""Pixels to rows about (query pin, candidate pin): images, detector, embeddings, pair features."""
