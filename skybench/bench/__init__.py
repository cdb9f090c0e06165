"""Speed of readers, boxes, detectors and training steps, measured against their peers."""
