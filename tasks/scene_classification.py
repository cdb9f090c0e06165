"""Scene classification: one class for each image, by overall accuracy, or several, by mAP."""

from __future__ import annotations

from dataclasses import replace

from skybench.core import DatasetCard, ProtocolName, Recipe, Task

from ._recipes import classification

# Papers report both ratios. 320 px (AID, RESISC45), 128 px (BEN-S2) and 96 px (fMoW-S2) are the
# input sizes of SkySense's scene classification (arXiv 2312.10115, supplement, unverified).
RATIOS = {"aid": ("20", "50"), "resisc45": ("10", "20")}
PIXELS = {"aid": 320, "resisc45": 320, "ben_s2": 128, "fmow_s2": 96, "folder": 224}


def recipes(dataset: DatasetCard, protocol: ProtocolName, demo: bool) -> tuple[Recipe, ...]:
    """One recipe a training ratio; demo images are read at their own size, if they have one."""
    size = PIXELS.get(dataset.name, 0)
    if demo:
        size = 32 if dataset.name == "fmow_s2" else 0
    base = replace(classification.recipe(dataset, protocol, demo), size=size)

    def of(train: str, val: str, test: str, label: str = "") -> Recipe:
        selects = "" if protocol == "finetune" else val
        return replace(base, train=train, val=selects, test=test, label=label)

    if dataset.name in RATIOS:
        return tuple(of(f"train{r}", "", f"test{r}", f"{r} %") for r in RATIOS[dataset.name])
    if dataset.name == "ben_s2":
        whole = of("train", "val", "test", "100 %")
        return (whole,) if demo else (of("train10", "val", "test", "10 %"), whole)
    if dataset.name == "fmow_s2":
        return (of("train", "", "val"),)  # as SatMAE: val is the test set, so it selects nothing
    return (base,)


TASK = Task(
    name="scene_classification",
    title="Scene classification",
    time="fuse",
    level="pooled",
    protocols=classification.PROTOCOLS,
    head=classification.head,
    metric=classification.metric,
    recipes=recipes,
    version=2,
)
