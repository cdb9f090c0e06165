"""Images of the test set that are in the training set too, exactly or nearly.

Exactly: the same decoded values. Nearly: thumbnails that change from pixel to pixel in the same
way, whatever the brightness, contrast, size and compression.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

SIDE = 16  # of the thumbnails
# Correlation of the changes. Different images, train against test: 0.66 at most (2,000 by 1,200
# chips of EuroSAT; Dubai, vehicles and all demo data less). The same chip brighter or enlarged:
# 1.00, of JPEG quality 75 or 50: over 0.9 for 9 and 8 of 10.
NEAR = 0.9
LEAST = 8  # pixels a side that must not be padding
SHOWN = 5


class ImageFingerprint(NamedTuple):
    """An image's key, hash and thumbnail."""

    key: str
    digest: str
    changes: Tensor | None  # [2 * SIDE * (SIDE - 1)], of mean 0 and length 1; None: too plain


def fingerprint_image(key: str, image: Tensor) -> ImageFingerprint | None:
    """Return the fingerprint of an image [T, C, H, W]; None where all its values are equal."""
    values = image.contiguous().numpy()  # whose reductions take a tenth of torch's time
    if (values == values.flat[0]).all():
        return None
    digest = hashlib.sha256(f"{image.dtype} {tuple(image.shape)}".encode())
    digest.update(values.data)
    changes = _changes(image[0].float().nan_to_num().mean(0))
    return ImageFingerprint(key, digest.hexdigest(), changes)


def _changes(grey: Tensor) -> Tensor | None:
    """Differences between neighbours of a thumbnail of [H, W] without its padding of zeros."""
    filled = grey.numpy() != 0
    rows, columns = np.flatnonzero(filled.any(1)), np.flatnonzero(filled.any(0))
    if not len(rows):
        return None
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    if min(bottom - top, right - left) < LEAST:
        return None
    inside = grey[None, None, top:bottom, left:right]
    small = F.interpolate(inside, (SIDE, SIDE), mode="area")[0, 0]
    changes = torch.cat((small.diff(dim=0).flatten(), small.diff(dim=1).flatten()))
    changes = changes - changes.mean()
    length = float(changes.norm())
    # Of a plain area only the noise of rounding would be compared.
    return changes / length if length > 1e-3 * float(small.abs().mean()) else None


def find_overlap(
    train: Sequence[ImageFingerprint], test: Sequence[ImageFingerprint]
) -> dict[str, Any]:
    """Count test images with an exact or near duplicate in train; give a few pairs of keys."""
    known = {one.digest: one.key for one in train}
    pairs = {one.key: known[one.digest] for one in test if one.digest in known}
    exact = len(pairs)
    bank = {one.key: one.changes for one in train if one.changes is not None}
    asked = {
        one.key: one.changes for one in test if one.changes is not None and one.key not in pairs
    }
    if bank and asked:
        keys, stacked = list(bank), torch.stack(list(bank.values()))
        for key, changes in asked.items():
            fits, place = (stacked @ changes).max(0)
            if float(fits) > NEAR:
                pairs[key] = keys[int(place)]
    shown = [list(pair) for pair in list(pairs.items())[:SHOWN]]
    return {"exact": exact, "near": len(pairs) - exact, "pairs": shown}


def overlap_reason(facts: Mapping[str, Any]) -> str:
    """Return the evidence of duplicates as text; "" where there are none.

    facts: of `find_overlap`, with `looked`: how many images of train and test were read, of all.
    """
    found = facts["exact"] + facts["near"]
    if not found:
        return ""
    (train, of_train), (test, of_test) = facts["looked"]["train"], facts["looked"]["test"]
    key, twin = facts["pairs"][0]
    return (
        f"{found} of {test} test images are in train ({facts['exact']} exactly), as {key} is "
        f"{twin}; looked at {test} of {of_test} and at {train} of {of_train}"
    )
