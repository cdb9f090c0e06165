from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from skybench.bench.careful import careful_features, careful_scores


class Means(nn.Module):
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        Means.calls += len(x)
        assert x.abs().max() <= 1
        return x.mean((2, 3))


def test_features_are_made_once_and_classes_told_apart(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for label, level in (("dark", 60), ("light", 190)):
            (tmp_path / split / label).mkdir(parents=True)
            for i in range(10):
                image = np.full((8, 8, 3), level + rng.integers(-20, 20), np.uint8)
                Image.fromarray(image).save(tmp_path / split / label / f"{i}.jpg")
    splits = careful_features(tmp_path, Means(), 16)
    found = careful_scores(splits, (0.5, 1.0), 2, (1e-3, 1e-1))
    assert found == {(f, s): 100.0 for f in (0.5, 1.0) for s in (0, 1)}
    assert Means.calls == 60
    assert torch.is_grad_enabled()
