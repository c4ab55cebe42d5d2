"""Small fast worlds whose truth is known exactly, and how the estimators fare in them."""
