"""The page and the JSON API of search by object."""
