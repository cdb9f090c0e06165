"""Feature collapse: whether the features of a cell distinguish its images.

The thresholds lie between what was measured on the demo data and 150 EuroSAT chips. Healthy were
the floors, ImageNet's network, Galileo's published encoder and some 60 reduced networks with random
weights; at fault the same ones fed with values over 255 or 255 squared.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from skybench.core import Batch
from skybench.core.atomic import write_whole
from skybench.core.dataset import Samples, Subset
from skybench.core.fingerprint import fingerprint, fingerprint_keys
from skybench.data.batching import collate, input_size
from skybench.features.extractor import Extractor, extract, stack_dates
from skybench.features.sources import CachedFeatures, StreamedFeatures

MOST = 1000  # test images that are looked at, evenly spaced
VERSION = 1  # incremented when the statistics change, which are remembered
FEWEST = 16  # images (or dates) below which nothing is said
COMPUTED = 64  # instead of MOST where features are not kept and must be computed again
CHECKED = 20  # pairs of images with the same features that are decoded and compared

# Image statistics of Sentinel-1 alone fill 14 of 126 columns: 0.89 is healthy.
CONSTANT = 0.95
# Mean distance to the mean over the length of the mean. Trained networks and floors: 0.14 at
# least; on display values over 255: 0.0003 to 0.016. Of random networks it says nothing: in a
# vision transformer with layer scale the class token hardly sees the image.
SPREAD = 0.02
RANK = 2.0  # healthy: 4.9 at least, image statistics 6.4; one brightness in every dimension: 1
LARGE = 16  # dimensions below which a rank says nothing
# Share of images with the features of another one; 348 of 10,000 was such a fault of published
# scores (github:torchgeo/torchgeo-bench docs/interesting-findings.md).
TWINS = 0.01
CHUNK = 512  # rows whose distances to all others are held at once
SAME = 1e-6  # of the mean distance to the mean image; the nearest two of EuroSAT are at 5e-3


def feature_statistics(
    whole: CachedFeatures | StreamedFeatures,
    extractor: Extractor,
    samples: Samples,
    test: Sequence[int],
) -> dict[str, Any]:
    """Return statistics of the pooled features of the test images, as plain JSON.

    samples, whole: the images and their features; test: the indices of the test images.
    `sha256` is of the features, float32, of the images that `keys` is the fingerprint of; `seen`,
    by input, the height and width of the first image at the recipe's size, and as the network
    asks for them.
    """
    if isinstance(whole, StreamedFeatures):  # whose samples may have been decoded before
        chosen = Subset(whole.samples, _spread(test, COMPUTED))
        found = extract(extractor, chosen, level="pooled")
        pooled = torch.cat([stack_dates(f).pooled for f, _ in found])
    else:
        chosen = Subset(samples, _spread(test, MOST))
        pooled = whole.vectors(chosen.indices)
    pooled = pooled.float().contiguous()
    known = {
        "images": len(chosen),
        "keys": fingerprint_keys(chosen.keys),
        "sha256": hashlib.sha256(pooled.numpy().tobytes()).hexdigest(),
    }
    if isinstance(whole, StreamedFeatures):
        return {**known, **_described(pooled, extractor, chosen)}
    # Of these features of these images the same is true in every run.
    path = whole.rows.entry.folder / f"statistics-{fingerprint({'of': known, 'by': VERSION})[:16]}"
    facts = _remembered(path)
    if not facts:
        facts = _described(pooled, extractor, chosen)
        with contextlib.suppress(OSError), write_whole(path) as temporary:
            text = json.dumps({"facts": facts, "sha256": fingerprint(facts)})
            temporary.write_text(text, encoding="utf-8")
    return {**known, **facts}


def _spread(test: Sequence[int], most: int) -> Sequence[int]:
    return test[:: max(1, -(-len(test) // most))]


def _remembered(path: Path) -> dict[str, Any]:
    """The facts of a file; {} where there is none, or a damaged one."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        facts: dict[str, Any] = stored["facts"]
        return facts if stored["sha256"] == fingerprint(facts) else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _described(pooled: Tensor, extractor: Extractor, samples: Samples) -> dict[str, Any]:
    """The sizes of the first image, and statistics of all."""
    first = collate([samples.read(0)], extractor.size).select(extractor.mapping).images
    sides = {n: x.shape[-2:] for n, x in first.items()}
    card = extractor.model.card
    return {
        "seen": {n: [[*size], [*input_size(card, n, *size)]] for n, size in sides.items()},
        **summarise_features(pooled, extractor, samples),
    }


def summarise_features(pooled: Tensor, extractor: Extractor, samples: Samples) -> dict[str, Any]:
    """Return statistics of features [N, D] or [N, T, D]; rows with NaN or infinity are left out.

    `constant`: share of the dimensions that are the same for every image. `spread`: mean distance
    to the mean over the length of the mean. `rank`: exp of the entropy of the singular values of
    the standardised features. `twins`: share of images with the features of a different image.
    """
    dates = pooled.shape[1] if pooled.ndim == 3 else 1
    rows = pooled.double().flatten(0, -2)  # [N * T, D]
    known = rows.isfinite().all(1)
    facts = {"dimensions": rows.shape[1], "rows": len(rows), "unknown": int((~known).sum())}
    if int(known.sum()) < 2:
        return facts
    x = rows[known]
    mean, largest = x.mean(0), x.abs().amax(0)
    centred = x - mean
    deviation = centred.pow(2).mean(0).sqrt()
    varying = deviation > 1e-6 * largest
    spread = centred.norm(dim=1).mean()
    return facts | {
        "constant": round(1 - float(varying.double().mean()), 4),
        "spread": float(f"{float(spread / mean.norm().clamp(min=1e-12)):.3g}"),
        "rank": round(_rank(centred[:, varying] / deviation[varying]), 2),
        "twins": round(_twins(centred, float(spread), extractor, samples, dates), 4)
        if bool(known.all())
        else 0.0,
    }


def collapse_reason(facts: Mapping[str, Any], random: bool) -> str:
    """Return why features look collapsed, with the evidence; "" where they do not.

    random: whether the weights are random: then only the same features for all images count.
    """
    if facts["unknown"]:
        return f"{facts['unknown']} of {facts['rows']} feature vectors are not finite"
    if facts["rows"] < FEWEST:
        return ""
    size = facts["dimensions"]
    signs = {
        f"{100 * facts['constant']:.0f} % of the {size} dimensions are constant":
            facts["constant"] > CONSTANT,
        f"effective rank {facts['rank']} of {size} dimensions":
            facts["rank"] < RANK and size >= LARGE,
        f"images differ by {facts['spread']:.2g} of the mean feature vector's length":
            facts["spread"] < SPREAD,
        f"{100 * facts['twins']:.1f} % of the images have the features of another":
            facts["twins"] >= TWINS,
    }  # fmt: skip
    if random and facts["constant"] < 1:
        return ""
    return ", ".join(sign for sign, there in signs.items() if there)


def _rank(standardised: Tensor) -> float:
    if not standardised.numel():
        return 0.0
    x = standardised if len(standardised) <= standardised.shape[1] else standardised.T
    values = torch.linalg.eigvalsh(x @ x.T).clamp(min=0).sqrt()
    share = values / values.sum()
    share = share[share > 0]
    return float(torch.exp(-(share * share.log()).sum()))


def _twins(
    centred: Tensor, spread: float, extractor: Extractor, samples: Samples, dates: int
) -> float:
    """The share of rows equal to another row, times the share of different images among them."""
    nearest, other = _neighbours(centred)
    rows = torch.nonzero(nearest <= SAME * spread).flatten().tolist()
    if not rows:
        return 0.0
    checked = rows[:: max(1, -(-len(rows) // CHECKED))]
    differ = [
        _differ(*(_seen(row, extractor, samples, dates) for row in (r, int(other[r]))))
        for r in checked
    ]
    return len(rows) / len(centred) * sum(differ) / len(differ)


def _neighbours(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The distance of each row to the nearest other one, and which that is."""
    found = []
    for start in range(0, len(rows), CHUNK):
        distance = torch.cdist(rows[start : start + CHUNK], rows)
        own = torch.arange(len(distance))
        distance[own, start + own] = float("inf")
        found.append(distance.min(1))
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])


def _seen(row: int, extractor: Extractor, samples: Samples, dates: int) -> Batch:
    """The network's input for a row of the features."""
    index, date = divmod(row, dates)
    batch = collate([samples.read(index)], extractor.size).select(extractor.mapping)
    return batch if dates == 1 else batch.at(date)


def _differ(one: Batch, other: Batch) -> bool:
    pairs = ((x, other.images[name]) for name, x in one.images.items())
    return any(a.shape != b.shape or not torch.equal(a, b) for a, b in pairs)
