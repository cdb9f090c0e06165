"""Multi-modal classification: several classes for each image of several sensors, by mAP.

`--sensors s2`, `s1` and `s2,s1` give the paper's rows.
"""

from __future__ import annotations

from dataclasses import replace

from skybench.core import DatasetCard, ProtocolName, Recipe, Task

from ._recipes import classification

PIXELS = 128  # SkySense's input for BEN-MM (arXiv 2312.10115, supplement, unverified)


def recipes(dataset: DatasetCard, protocol: ProtocolName, demo: bool) -> tuple[Recipe, ...]:
    """One recipe a dataset."""
    base = classification.recipe(dataset, protocol, demo)
    return (replace(base, size=0 if demo else PIXELS),)


TASK = Task(
    name="multimodal_classification",
    title="Multi-modal classification",
    time="fuse",
    level="pooled",
    protocols=classification.PROTOCOLS,
    head=classification.head,
    metric=classification.metric,
    recipes=recipes,
)
