from __future__ import annotations

import math

import pytest
import torch

from skybench.core import Batch, Features
from skybench.data.batching import collate
from skybench.features.precision_distance import (
    LIMIT,
    Measured,
    fastest_within,
    measure_precisions,
    relative_distance,
)

from .._toys import Noise, Toy, looking


class Products(Toy):
    """Products of the pixels and random weights; `offset` is added to the pixels."""

    def __init__(self, offset: float) -> None:
        super().__init__()
        self.offset = offset

    def forward(self, batch: Batch) -> Features:
        x = batch.images["hr"][:, 0] + self.offset
        self.calls.append(tuple(x.shape))
        maps = x @ torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
        return Features(maps.float().mean((2, 3)), (maps,))


@pytest.mark.parametrize(("offset", "near"), [(0.0, True), (20000.0, False)])
def test_a_network_that_bfloat16_changes_much_is_told_from_another(
    offset: float, near: bool
) -> None:
    samples = Noise(8)
    batches = [collate([samples.read(i) for i in part]) for part in (range(4), range(4, 8))]
    model = Products(offset)
    found = measure_precisions(looking(model), batches, ("bf16",))
    assert found[""].distance == 0
    assert (found["bf16"].distance <= LIMIT) is near
    assert found["bf16"].distance > 0
    assert all(m.images_per_s > 0 for m in found.values())
    assert len(model.calls) == 2 * (1 + 2)  # each once more, to warm up


class Narrow(Toy):
    """A network with an operation that has no kernel in bfloat16."""

    def forward(self, batch: Batch) -> Features:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("not implemented for 'BFloat16'")
        return super().forward(batch)


def test_a_precision_without_a_kernel_is_never_taken() -> None:
    samples = Noise(8)
    batches = [collate([samples.read(i) for i in range(8)])]
    found = measure_precisions(looking(Narrow()), batches, ("bf16", "tf32"))
    assert found["bf16"] == Measured(math.inf, 0.0)
    assert found["tf32"].distance == 0  # a CPU has none
    assert fastest_within(found) in ("", "tf32")


def test_the_fastest_of_those_near_float32_is_taken() -> None:
    exact = Measured(0, 10)
    assert fastest_within({"": exact, "tf32": Measured(0.01, 9)}) == ""
    both = {"": exact, "fp16": Measured(LIMIT, 20), "bf16": Measured(LIMIT * 1.01, 40)}
    assert fastest_within(both) == "fp16"
    assert fastest_within({"": exact, "fp16": Measured(math.inf, 40)}) == ""


def test_what_all_images_share_does_not_count() -> None:
    exact = torch.tensor([[1.0, 2.0], [3.0, 0.0]])
    assert relative_distance(exact + 7, exact) == 0
    assert relative_distance(exact * 1.5, exact) == pytest.approx(0.5)
    assert relative_distance(exact.clone().fill_(math.inf), exact) == math.inf
