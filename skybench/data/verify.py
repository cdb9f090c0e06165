"""Checks a dataset on disk: layout, counts, lists, and a sample of its files, decoded."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, NamedTuple

from skybench.core import DatasetCard, Sample, SkybenchError, registry
from skybench.core.dataset import Samples
from skybench.data.split_lists import MissingFilesError

SAMPLE = 32  # decoded a split
NAME = re.compile(r"(.*?)(trainval|train|val|test)(.*)")  # lineage, part, ratio
COORDINATES = ("corners", "boxes", "polygons")  # attributes of targets that hold objects


class Finding(NamedTuple):
    """One thing that is right or wrong."""

    level: Literal["ok", "warning", "error"]
    message: str
    path: Path


def verify(
    name: str,
    root: Path,
    sample: int = SAMPLE,
    seed: int = 0,
    options: Mapping[str, str] | None = None,
) -> list[Finding]:
    """What is right and wrong with the dataset `name` in `root`; raises for an unknown name only.

    Opens each split with the dataset's own `options`, compares its size with the published one
    (not of demo data), looks for samples in two splits that must not share any, and decodes
    `sample` of each split, chosen by `seed`: targets, days and coordinates must be possible.
    """
    plugin = registry.load("datasets", name)
    card: DatasetCard = plugin.CARD
    findings: list[Finding] = []
    splits: dict[str, Samples] = {}
    for split in card.splits:
        try:
            splits[split] = plugin.open(root, split, 0, **(options or {}))
        except MissingFilesError as error:
            findings.append(Finding("error", f"{split}: {len(error.files)} files missing", root))
            findings += [Finding("error", f"{split}: missing", root / f) for f in error.files]
        except SkybenchError as error:
            findings.append(Finding("error", str(error), root))
    for split, samples in splits.items():
        findings.append(_counted(samples, samples.card.splits.get(split, 0), root))
        findings += _decoded(samples, sample, seed, root)
    for a, b in _disjoint(card.splits):
        both = set(splits[a].keys) & set(splits[b].keys) if {a, b} <= {*splits} else ()
        if both:
            message = f"{len(both)} samples are in {a} and in {b}, among them {min(both)}"
            findings.append(Finding("error", message, root))
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
    right = True
    for index in sorted(chosen):
        for problem in _problems(samples, index):
            right = False
            yield Finding("error", f"{samples.split.name}: {problem}", root)
    if right:
        yield Finding("ok", f"{samples.split.name}: {len(chosen)} samples decoded", root)


def _problems(samples: Samples, index: int) -> Iterator[str]:
    try:
        sample = samples.read(index)
    except SkybenchError as error:
        yield str(error)
        return
    for problem in (*_in_target(sample.target, len(samples.card.classes)), *_in_facts(sample)):
        yield f"{samples.keys[index]} {problem}"


def _in_target(target: Any, classes: int) -> Iterator[str]:
    """Problems of a class id, a mask, a series of masks, a 0/1 vector [K] or objects."""
    labels = getattr(target, "labels", target)
    known, expected = {*range(classes)}, f"0 to {classes - 1}"
    if labels is target:
        known, expected = {*known, 255}, f"{expected}, or 255"
    if getattr(target, "ndim", 0) == 1:
        known, expected = {0, 1}, "0 or 1"
        if len(target) != classes:
            yield f"has {len(target)} labels, expected one of each of the {classes} classes"
    if strange := sorted(_values(labels) - known):
        yield f"has the class ids {strange[:5]}, expected {expected}"
    for name in COORDINATES:
        if not all(_finite(one) for one in getattr(target, name, ())):
            yield f"has {name} that are no finite numbers"


def _in_facts(sample: Sample) -> Iterator[str]:
    for sensor, days in sample.days.items():
        known = [day for day in days.tolist() if day >= 0]
        if known != sorted(known):
            yield f"has dates of {sensor} out of order"
        if (images := len(sample.images.get(sensor, ()))) != len(days):
            yield f"has {images} images of {sensor}, but {len(days)} dates"
    lon, lat = sample.lonlat
    unknown = math.isnan(lon) and math.isnan(lat)
    if not unknown and not (-180 <= lon <= 180 and -90 <= lat <= 90):
        yield f"lies at {lon}, {lat}, which is no longitude and latitude in degrees"


def _values(target: Any) -> set[float]:
    """The different numbers in a target; none where it holds something else."""
    import numpy as np

    array = np.asarray(target)
    return set(np.unique(array).tolist()) if array.dtype.kind in "biuf" else set()


def _finite(numbers: Any) -> bool:
    import numpy as np

    return bool(np.isfinite(np.asarray(numbers, dtype=float)).all())


def _disjoint(splits: Iterable[str]) -> list[tuple[str, str]]:
    """The pairs of splits that must not share samples: other parts of one lineage and ratio.

    A ratio of which there is one part only goes with the parts without ratio.

    >>> _disjoint(["train20", "test20", "test50", "train50"])
    [('train20', 'test20'), ('test50', 'train50')]
    >>> _disjoint(["train", "train10", "test", "seco_train", "seco_val"])
    [('train', 'test'), ('train10', 'test'), ('seco_train', 'seco_val')]
    """
    named = {split: NAME.fullmatch(split) for split in splits}
    found = {split: name.groups() for split, name in named.items() if name}
    parts = Counter((lineage, ratio) for lineage, _, ratio in found.values())
    family = {
        split: (lineage, ratio if parts[lineage, ratio] > 1 else "")
        for split, (lineage, _, ratio) in found.items()
    }
    return [
        (a, b)
        for a, b in combinations(found, 2)
        # "trainval" contains both "train" and "val"
        if family[a] == family[b] and found[a][1] not in found[b][1] not in found[a][1]
    ]
