"""Feature extraction: the features of a split, from the cache or computed when a head asks.

Features are kept by image, see `features.parts`; the name of an entry is the hash of everything
that affects the features of an image, which neither labels nor the choice of images do. Dense
features above the disk budget are not kept but computed on each request, with equal values.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from skybench.core import Features, Report, folders
from skybench.core.dataset import Samples, Subset
from skybench.core.protocol import Level
from skybench.data import decoded
from skybench.data.batching import collate
from skybench.features import quantisation, targets
from skybench.features.extractor import Extractor, extract, stack_dates
from skybench.features.parts import Arrays, CachedRows, Entry
from skybench.features.sources import CachedFeatures, StreamedFeatures

SHARE = 0.25  # of the free disk that the dense features of one split may take
VERSION = 2  # incremented when extraction itself changes


def disk_budget(written: float = 0.0) -> float:
    """Return how many bytes of disk new dense features may take: a share of what is free.

    SKYBENCH_BUDGET_GB overrides it. written: bytes that will have been written before.
    """
    if given := os.environ.get("SKYBENCH_BUDGET_GB", "").strip():
        return float(given) * 1e9
    place = folders.cache().absolute()
    while not place.exists():
        place = place.parent
    return SHARE * max(0.0, shutil.disk_usage(place).free - written)


def dense_bytes(extractor: Extractor, samples: Samples, kind: str = "") -> int:
    """Return the bytes of disk that a split's dense features take, from one sample."""
    dates = stack_dates(extractor(collate([samples.read(0)], extractor.size)))
    arrays = _arrays(dates, kind)
    return len(samples) * sum(x.nbytes for name, x in arrays.items() if name != "pooled")


def split_features(
    extractor: Extractor,
    samples: Samples,
    identity: Mapping[str, Any],
    level: Level,
    report: Report = lambda *_: None,
    kind: str = "",
) -> tuple[CachedFeatures | StreamedFeatures, bool]:
    """Return a split's features, and whether all of them were cached before.

    identity: what identifies the model, its weights and how the data are read; the images'
    contents, the size and what else the extractor decides are added here. kind: how dense features
    are rounded, of `quantisation.KINDS`. Images that are in the cache, whoever asked for them, are
    not extracted again.
    """
    quantisation.require_kind(kind)
    contents = samples.image_contents()
    known = {**identity, "images": "each" if contents else samples.images_identity()}
    entry = Entry(_entry_identity(extractor, known, kind))
    # In a user's own folder a changed image, and no other, is another row.
    names = [f"{k} {c}" for k, c in zip(samples.keys, contents, strict=True)] if contents else []
    rows = CachedRows(entry, names or samples.keys, ("level0",) if level == "pyramid" else ())
    missing = rows.missing()
    reading = {name: identity.get(name) for name in ("dataset", "options")}
    if missing:
        lacking = Subset(samples, missing) if len(missing) < len(samples) else samples
        if level == "pyramid" and dense_bytes(extractor, lacking, kind) > disk_budget():
            again = decoded.open_decoded(samples, reading, report)  # by each head, in each epoch
            return StreamedFeatures(extractor, again, kind), False
        readable = decoded.open_for_one_pass(lacking, reading, report)
        keys = [rows.keys[index] for index in missing]
        entry.write(keys, *_extracted(extractor, readable, level, kind, report))
        rows.find()
    truth = targets.open_targets(samples, [*reading.values()])
    return CachedFeatures(rows, truth, len(missing), extractor.device), not missing


def _entry_identity(extractor: Extractor, known: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """All that the features of an image depend on, apart from the image itself."""
    return {
        **known, "version": VERSION, "size": extractor.size, "time": extractor.time,
        "found": {name: list(map(str, f)) for name, f in extractor.mapping.items()},
        **({"kind": kind} if kind else {}),
        **({"precision": extractor.precision} if extractor.precision else {}),
    }  # fmt: skip


def _extracted(
    extractor: Extractor, samples: Samples, level: Level, kind: str, report: Report
) -> tuple[Iterator[Arrays], list[float]]:
    """The arrays of samples by batch, and of the first one the errors of coarse rounding."""
    errors: list[float] = []

    def stream() -> Iterator[Arrays]:
        for dates, _ in extract(extractor, samples, report, level):
            features = stack_dates(dates)
            if kind and not errors:
                errors.extend(quantisation.relative_error(x, kind) for x in features.pyramid)
            yield _arrays(features, kind)

    return stream(), errors


def _arrays(features: Features, kind: str) -> Arrays:
    """The arrays of a batch as they are stored, by name."""
    arrays = {"pooled": features.pooled.numpy()}
    for number, maps in enumerate(features.pyramid):
        names = (f"level{number}", f"scale{number}")  # the second for int8 alone
        stored = quantisation.to_stored(maps, kind)
        arrays |= {n: x.numpy() for n, x in zip(names, stored, strict=False)}
    return arrays
