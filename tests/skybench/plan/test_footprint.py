from __future__ import annotations

import torch
from torch import Tensor, nn

from skybench.plan.footprint import (
    LARGE,
    Tally,
    _OneDevice,
    count_operations,
    measure_footprint,
    to_meta,
)


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


def test_operations_alone_are_counted_without_a_backward_pass() -> None:
    made = network()[:3]
    to_meta(made)
    outputs: list[Tensor] = []

    def run(count: int) -> None:
        outputs.append(made(torch.empty(count, 8, device="meta")))

    assert count_operations(run) == 2 * (8 * 16 + 16 * 4)
    assert outputs[0].grad_fn is None


def test_large_tensors_have_no_memory_and_small_ones_keep_their_values() -> None:
    with _OneDevice():  # type: ignore[no-untyped-call]
        small = torch.arange(4) * 2
        assert small.tolist() == [0, 2, 4, 6]
        # 4 TB each, by a factory, by indices, and by an operation on a view that takes no memory
        for large in (
            torch.zeros(10**6, 10**6),
            small[torch.zeros(1, dtype=torch.long)].expand(10**12).repeat_interleave(2),
            torch.ones(1).expand(10**12) + 1,
        ):
            assert large.is_meta
        fits = torch.zeros(LARGE // 4 - 1)
        assert not fits.is_meta
        fits[0] = 3  # in place, so with its value
        assert fits[:2].tolist() == [3, 0]
        assert torch.tensor([0, 1]).nonzero().tolist() == [[1]]  # a shape that depends on values


def test_a_network_s_own_parameters_are_not_counted() -> None:
    made = nn.Linear(1000, 2)
    with Tally(made) as tally:
        made(torch.rand(3, 1000)).sum()
    assert tally.plain() == 3 * 1000 * 4
