"""What the system knows of every pin from its pixels, kept by content and feature version."""
