from __future__ import annotations

import torch
from torch import Tensor, nn

from skybench.plan.footprint import Tally, measure_footprint, to_meta


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4), nn.BatchNorm1d(4))


def test_parameters_go_to_the_meta_device_and_shared_ones_stay_shared() -> None:
    made = network()
    made.add_module("again", made[0])
    to_meta(made)
    assert all(p.is_meta for p in made.parameters())
    assert made.get_submodule("again") is made[0]
    assert not any(b.is_meta for b in made.buffers())


def test_bytes_grow_with_samples_and_operations_are_those_of_one() -> None:
    made = network()[:3]
    to_meta(made)

    def run(count: int) -> list[Tensor]:
        return [made(torch.empty(count, 8, device="meta"))]

    found = measure_footprint(run, made)
    assert found.parameters == found.learned == 8 * 16 + 16 + 16 * 4 + 4
    assert found.flops == 2 * (8 * 16 + 16 * 4)
    assert found.each == 4 * (8 + 16)  # the input, and the activation that two layers share
    assert found.kept(10, False) == found.fixed + 10 * found.each


def test_a_network_s_own_parameters_are_not_counted() -> None:
    made = nn.Linear(1000, 2)
    with Tally(made) as tally:
        made(torch.rand(3, 1000)).sum()
    assert tally.plain() == 3 * 1000 * 4
