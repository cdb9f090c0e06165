"""Multi-modal classification: several classes for each image of several sensors, by mAP.

`--sensors s2`, `s1` and `s2,s1` give the paper's rows.
"""

from __future__ import annotations

from ._recipes import classification

TASK = classification.classification_task("multimodal_classification", "Multi-modal classification")
