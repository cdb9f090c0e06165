"""Horizontal and rotated boxes: conversions, IoU, NMS, RoI align."""
