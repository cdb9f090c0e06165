"""Checks a dataset on disk: layout, counts, lists, and whether a sample of its files decodes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, NamedTuple

from skybench import registry
from skybench.core import DatasetCard, SkybenchError
from skybench.samples import Samples
from skybench.splits import MissingFilesError

SAMPLE = 32  # decoded a split
PARTS = ("train", "val", "test")


class Finding(NamedTuple):
    """One thing that is right or wrong."""

    level: Literal["ok", "warning", "error"]
    message: str
    path: Path


def verify(name: str, root: Path, sample: int = SAMPLE, seed: int = 0) -> list[Finding]:
    """What is right and wrong with the dataset `name` in `root`; raises for an unknown name only.

    Opens each split, compares its size with the published one (not of demo data), looks for
    samples in two splits of one ratio, and decodes `sample` of each split, chosen by `seed`.
    """
    plugin = registry.load("datasets", name)
    card: DatasetCard = plugin.CARD
    findings: list[Finding] = []
    splits: dict[str, Samples] = {}
    for split in card.splits:
        try:
            splits[split] = plugin.open(root, split)
        except MissingFilesError as error:
            findings.append(Finding("error", f"{split}: {len(error.files)} files missing", root))
            findings += [Finding("error", f"{split}: missing", root / f) for f in error.files]
        except SkybenchError as error:
            findings.append(Finding("error", str(error), root))
    for split, samples in splits.items():
        findings.append(_counted(samples, card.splits[split], root))
        findings += _decoded(samples, sample, seed, root)
    findings += _overlaps(splits, root)
    return list(dict.fromkeys(findings))  # a missing folder is the same error for each split


def _counted(samples: Samples, published: int, root: Path) -> Finding:
    split = samples.split
    about = f"{split.name}: {len(samples)} samples, {split.source}, {split.sha256[:12]}…"
    if split.demo:
        return Finding("ok", f"{about}; simulated data", root)
    if published and len(samples) != published:
        strict = split.source.startswith(("official", "rule"))
        return Finding("error" if strict else "warning", f"{about}; published: {published}", root)
    return Finding("ok", about, root)


def _decoded(samples: Samples, count: int, seed: int, root: Path) -> Iterator[Finding]:
    chosen = random.Random(seed).sample(range(len(samples)), min(count, len(samples)))
    wrong = 0
    for index in sorted(chosen):
        try:
            target = samples.read(index).target
        except SkybenchError as error:
            wrong += 1
            yield Finding("error", f"{samples.split.name}: {error}", root)
            continue
        strange = sorted(_values(target) - {*range(len(samples.card.classes)), 255})
        if strange:
            wrong += 1
            message = f"{samples.split.name}: {samples.keys[index]} has the class ids {strange[:5]}"
            yield Finding("error", message, root)
    if not wrong:
        yield Finding("ok", f"{samples.split.name}: {len(chosen)} samples decoded", root)


def _values(target: Any) -> set[int]:
    """The class ids in a target: a class id or a mask; other kinds of target are not looked at."""
    if isinstance(target, int):
        return {target}
    return {int(v) for v in target.unique()} if hasattr(target, "unique") else set()


def _overlaps(splits: dict[str, Samples], root: Path) -> Iterator[Finding]:
    for a, b in combinations(splits, 2):
        if _ratio(a) == _ratio(b) and (both := set(splits[a].keys) & set(splits[b].keys)):
            message = f"{len(both)} samples are in {a} and in {b}, among them {min(both)}"
            yield Finding("error", message, root)


def _ratio(split: str) -> str:
    """What follows train, val or test in the name: splits of different ratios may overlap."""
    part = next((p for p in PARTS if split.startswith(p)), "")
    return split.removeprefix(part)
