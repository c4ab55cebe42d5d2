"""The detector: trained, measured, and finding the objects of pins."""
