"""Search by object: an index of every pin's objects and whole images, and what is like a query."""
