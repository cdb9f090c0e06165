"""What a careful user would write without skybench: torch, scikit-learn, features once.

`benchmarks/careful_script.py` runs it alone. It shares no code with what it is compared with but
the loading of the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

BATCH = 64


Features = tuple[NDArray[np.float32], NDArray[np.int64]]  # [N, D], and class ids [N]


def careful_features(root: Path, network: nn.Module, size: int) -> dict[str, Features]:
    """Return the features and class ids of each split.

    root: <split>/<class>/*.jpg, with train, val and test. network: images float32 [B, 3, size,
    size], normalised, to features [B, D].
    """
    return {name: _features(root / name, network, size) for name in ("train", "val", "test")}


def careful_scores(
    splits: Mapping[str, Features], fractions: Sequence[float], seeds: int, lambdas: Sequence[float]
) -> dict[tuple[float, int], float]:
    """Return the test accuracy in percent by fraction and seed.

    For each fraction and seed: a stratified part of train, standardised; a logistic regression for
    each lambda, the one with the best accuracy on val scored on test. All of train is fitted once:
    no seed changes it.
    """
    found: dict[tuple[float, int], float] = {}
    for fraction in fractions:
        for seed in range(seeds):
            again = fraction == 1 and seed > 0
            known = found[fraction, 0] if again else _fitted(splits, fraction, seed, lambdas)
            found[fraction, seed] = known
    return found


@torch.inference_mode()
def _features(folder: Path, network: nn.Module, size: int) -> Features:
    paths = sorted(folder.glob("*/*.jpg"))
    names = sorted({path.parent.name for path in paths})
    found: list[NDArray[Any]] = []
    for start in range(0, len(paths), BATCH):
        images = torch.stack([_image(path, size) for path in paths[start : start + BATCH]])
        found.append(network(images).numpy())
    labels = np.array([names.index(path.parent.name) for path in paths])
    return np.concatenate(found), labels


def _image(path: Path, size: int) -> Tensor:
    with Image.open(path) as file:
        x = torch.from_numpy(np.array(file.convert("RGB"))).permute(2, 0, 1).float()
    if x.shape[-1] != size:
        x = F.interpolate(x[None], (size, size), mode="bilinear", antialias=True)[0]
    return (x - 127) / 128  # EfficientNet-Lite's normalisation


def _fitted(
    splits: Mapping[str, Features], fraction: float, seed: int, lambdas: Sequence[float]
) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    x, y = splits["train"]
    if fraction < 1:
        x, _, y, _ = train_test_split(x, y, train_size=fraction, stratify=y, random_state=seed)
    scale = StandardScaler().fit(x)
    x = scale.transform(x)
    (held, truth), (test, answers) = splits["val"], splits["test"]
    held, test = scale.transform(held), scale.transform(test)
    fits = [
        LogisticRegression(C=1 / (strength * len(x)), max_iter=2000).fit(x, y)
        for strength in lambdas
    ]
    best = max(fits, key=lambda fit: float(fit.score(held, truth)))
    return 100 * float(best.score(test, answers))
