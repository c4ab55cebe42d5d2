"""Pin images, of files and of the web: bytes in, upright pixels out."""
