"""One file per change of the schema, oldest first; a file never changes once it was released."""
