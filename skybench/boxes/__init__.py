"""Horizontal and rotated boxes: conversions, overlaps, suppression, pooling."""
