"""What a network costs, counted in two ways."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import nn
from torch.utils import flop_counter

from skybench.core import BandMapping, Batch, Features, ModelCard, Sample, Sensor
from skybench.core.model import Model
from skybench.core.sensors import CONVERT, UINT8
from skybench.features.extractor import Extractor
from skybench.runner import provenance


class Net(Model):
    """A convolution and a linear layer."""

    def __init__(self) -> None:
        rgb = Sensor("hr", ("red", "green", "blue"), 1.0, UINT8)
        super().__init__(ModelCard("toy", "", "extra", (rgb,), 4, (), "", "", ""))
        self.conv, self.linear = nn.Conv2d(3, 5, 3, padding=1), nn.Linear(5, 4)

    def forward(self, batch: Batch) -> Features:
        x = self.conv(batch.images["hr"][:, 0])
        return Features(self.linear(x.mean((2, 3))), ())


class Split:
    def read(self, index: int) -> Sample:
        return Sample("a", {"hr": torch.zeros(1, 3, 8, 8, dtype=torch.uint8)}, 0)


class Cell:
    def __init__(self) -> None:
        self.splits = {"test": Split()}


def test_where_the_counter_fails_the_layers_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"hr": BandMapping("hr", (0, 1, 2), CONVERT[UINT8, UINT8])}
    extractor = Extractor(Net(), found, "fuse", 0, "cpu")
    expected = (2 * 27 * 5 * 64 + 2 * 5 * 4) / 1e9
    assert provenance.gflops(extractor, cast(Any, Cell())) == pytest.approx(expected)

    def broken(*_: Any, **__: Any) -> None:
        raise NotImplementedError("an operation without a shape")

    monkeypatch.setattr(flop_counter, "FlopCounterMode", broken)
    assert provenance.gflops(extractor, cast(Any, Cell())) == pytest.approx(expected)
    assert not extractor.model.get_submodule("conv")._forward_hooks
