"""Scene classification: one class for each image, by overall accuracy, or several, by mAP."""

from __future__ import annotations

from ._recipes import classification

TASK = classification.classification_task("scene_classification", "Scene classification", version=2)
