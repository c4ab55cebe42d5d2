"""Embeddings of whole images and of objects, and what they are learned from."""
