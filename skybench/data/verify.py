"""Verification of a dataset on disk: layout, sample counts, overlap of splits, decoding."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, NamedTuple

from skybench.core import IGNORE, Sample, SkybenchError, Target, registry
from skybench.core.dataset import Samples
from skybench.data.split_lists import MissingFilesError

SAMPLE = 32  # samples of each split to decode
OWN_SAMPLE = 2000  # and of a user's own folder, of which nobody else knows that it is whole
SHOWN = 50  # problems of the samples of a split that are listed one by one
NAME = re.compile(r"(.*?)(trainval|train|val|test)(.*)")  # family, part, ratio
COUNTED = {"class": "images", "mask": "pixels", "boxes": "objects"}  # by kind of target
COORDINATES = ("corners", "boxes", "polygons")  # attributes of targets that hold objects


class Finding(NamedTuple):
    """The result of one check, with the path that it is about."""

    level: Literal["ok", "warning", "error"]
    message: str
    path: Path


def verify_dataset(
    name: str,
    root: Path,
    sample: int = SAMPLE,
    seed: int = 0,
    options: Mapping[str, str] | None = None,
) -> list[Finding]:
    """Verify a dataset's folder and return all findings. Raises UsageError for an unknown name.

    Each split is opened with the dataset's `options`; its size is compared with the published one
    (not for demo data); splits that must be disjoint are compared; and `sample` samples of each
    split, drawn by `seed`, are decoded: targets, days and coordinates must be plausible. Of a
    user's own folder the splits are its own, and what each class has is counted.
    """
    plugin = registry.dataset(name)
    card = plugin.CARD
    findings: list[Finding] = []
    splits: dict[str, Samples] = {}
    try:
        names = getattr(plugin, "splits", lambda _: card.splits)(root)
    except SkybenchError as error:
        return [Finding("error", str(error), root)]
    for split in names:
        try:
            splits[split] = plugin.open(root, split, 0, **(options or {}))
        except MissingFilesError as error:
            findings.append(Finding("error", f"{split}: {len(error.files)} files missing", root))
            findings += [Finding("error", f"{split}: missing", root / f) for f in error.files]
        except SkybenchError as error:
            findings.append(Finding("error", str(error), root))
    for split, samples in splits.items():
        findings.append(_counted(samples, samples.card.splits.get(split, 0), root))
        findings += _noticed(samples, root) if card.user_data else ()
        findings += _decoded(samples, sample, seed, root)
    for a, b in _disjoint(names):
        both = set(splits[a].keys) & set(splits[b].keys) if {a, b} <= {*splits} else ()
        if both:
            message = f"{len(both)} samples are in {a} and in {b}, among them {min(both)}"
            findings.append(Finding("error", message, root))
    return list(dict.fromkeys(findings))  # a missing folder gives the same error for each split


def _counted(samples: Samples, published: int, root: Path) -> Finding:
    split = samples.split
    about = f"{split.name}: {len(samples)} samples, {split.source}, {split.sha256[:12]}…"
    if split.demo:
        return Finding("ok", f"{about}; simulated data", root)
    if published and len(samples) != published:
        strict = split.source.startswith(("official", "rule"))
        return Finding("error" if strict else "warning", f"{about}; published: {published}", root)
    return Finding("ok", about, root)


def _noticed(samples: Samples, root: Path) -> Iterator[Finding]:
    """Yield the images, pixels or objects of each class, and what the reader noticed."""
    name, kind = samples.split.name, samples.card.target
    try:
        counts = samples.class_counts()
    except SkybenchError as error:
        yield Finding("error", f"{name}: {error}", root)
        counts = None
    if counts:
        unit = COUNTED.get(kind.kind if kind else "", "samples")
        shown = ", ".join(f"{label} {count:,}" for label, count in counts.items())
        yield Finding("ok", f"{name}: {unit} by class: {shown}", root)
    told = " ".join(samples.notes)
    empty = [f"class {label!r} has no" for label, n in (counts or {}).items() if n == 0]
    notes = [f"{absent}ne" for absent in empty if absent not in told]
    if notes:
        yield Finding("warning", f"{name}: {', '.join(notes)}", root)
    yield from (Finding("warning", note, root) for note in samples.notes)


def _decoded(samples: Samples, count: int, seed: int, root: Path) -> Iterator[Finding]:
    count = max(count, OWN_SAMPLE) if samples.card.user_data else count
    chosen = random.Random(seed).sample(range(len(samples)), min(count, len(samples)))
    name = samples.split.name
    found = [problem for index in sorted(chosen) for problem in _problems(samples, index)]
    yield from (Finding("error", f"{name}: {problem}", root) for problem in found[:SHOWN])
    if more := len(found[SHOWN:]):
        yield Finding("error", f"{name}: and {more} more such problems", root)
    if not found:
        yield Finding("ok", f"{name}: {len(chosen)} samples decoded", root)


def _problems(samples: Samples, index: int) -> Iterator[str]:
    try:
        sample = samples.read(index)
    except SkybenchError as error:
        yield str(error)
        return
    kind = samples.card.target_of(sample.target)
    of_target = (
        _in_values(sample.target, kind)
        if kind.kind == "values"
        else _in_target(sample.target, len(samples.card.classes), kind)
    )
    for problem in (*of_target, *_in_facts(sample)):
        yield f"{samples.keys[index]} {problem}"


def _in_values(target: Any, kind: Target) -> Iterator[str]:
    """Yield the problems of float targets: infinite values, NaN, and no value at all."""
    import numpy as np

    values = np.asarray(target, dtype=float)
    missing = np.isnan(values)
    labelled = ~missing if kind.ignore is None else ~missing & (values != kind.ignore)
    if np.isinf(values).any():
        yield f"has {int(np.isinf(values).sum())} infinite values"
    if missing.any() and (kind.ignore is None or kind.ignore == kind.ignore):
        expected = "none" if kind.ignore is None else f"{kind.ignore:g} where there is no value"
        yield f"has {missing.mean():.1%} NaN, expected {expected}"
    elif not labelled.any():
        yield "has no value: every element is nodata"


def _in_target(target: Any, classes: int, kind: Target) -> Iterator[str]:
    """Yield the problems of a class id, a mask, a series of masks, a 0/1 vector [K] or objects."""
    labels = getattr(target, "labels", target)
    known, expected = {*range(classes)}, f"0 to {classes - 1}"
    if labels is target:
        ignore = kind.ignore if kind.spatial else IGNORE
        if ignore is not None:
            known, expected = {*known, int(ignore)}, f"{expected}, or {ignore:g}"
    if getattr(target, "ndim", 0) == 1:
        known, expected = {0, 1}, "0 or 1"
        if len(target) != classes:
            yield f"has {len(target)} labels, expected one of each of the {classes} classes"
    if strange := sorted(_values(labels) - known):
        yield f"has the class ids {strange[:5]}, expected {expected}"
    for name in COORDINATES:
        if not all(_finite(points) for points in getattr(target, name, ())):
            yield f"has {name} that are not finite numbers"


def _in_facts(sample: Sample) -> Iterator[str]:
    for sensor, pixels in sample.images.items():
        if pixels.is_floating_point() and (lost := int((~pixels.isfinite()).sum())):
            yield f"has {lost} values of {sensor} that are NaN or infinite"
    for sensor, days in sample.days.items():
        known = [day for day in days.tolist() if day >= 0]
        if known != sorted(known):
            yield f"has dates of {sensor} out of order"
        if (images := len(sample.images.get(sensor, ()))) != len(days):
            yield f"has {images} images of {sensor}, but {len(days)} dates"
    lon, lat = sample.lonlat
    unknown = math.isnan(lon) and math.isnan(lat)
    if not unknown and not (-180 <= lon <= 180 and -90 <= lat <= 90):
        yield f"lies at {lon}, {lat}, which are not longitude and latitude in degrees"


def _values(target: Any) -> set[float]:
    """Return the distinct values of a target; the empty set where it has no numeric values."""
    import numpy as np

    array = np.asarray(target)
    return set(np.unique(array).tolist()) if array.dtype.kind in "biuf" else set()


def _finite(numbers: Any) -> bool:
    import numpy as np

    return bool(np.isfinite(np.asarray(numbers, dtype=float)).all())


def _disjoint(splits: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs of splits that must be disjoint: different parts of one family and ratio.

    A ratio with a single part is compared with the parts without ratio.

    >>> _disjoint(["train20", "test20", "test50", "train50"])
    [('train20', 'test20'), ('test50', 'train50')]
    >>> _disjoint(["train", "train10", "test", "seco_train", "seco_val"])
    [('train', 'test'), ('train10', 'test'), ('seco_train', 'seco_val')]
    """
    named = {split: NAME.fullmatch(split) for split in splits}
    found = {split: name.groups() for split, name in named.items() if name}
    parts = Counter((family_name, ratio) for family_name, _, ratio in found.values())
    family = {
        split: (family_name, ratio if parts[family_name, ratio] > 1 else "")
        for split, (family_name, _, ratio) in found.items()
    }
    return [
        (a, b)
        for a, b in combinations(found, 2)
        # "trainval" contains both "train" and "val"
        if family[a] == family[b] and found[a][1] not in found[b][1] not in found[a][1]
    ]
