"""Weak labels: boxes and categories from where people cropped."""
