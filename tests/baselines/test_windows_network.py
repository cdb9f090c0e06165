from __future__ import annotations

import itertools

import torch

from skybench.baselines._networks.windows import shift_mask, window_partition, window_reverse


def test_windows_are_squares_and_can_be_undone() -> None:
    x = torch.arange(2 * 16 * 24 * 3).view(2, 16, 24, 3)
    split = window_partition(x, 8)
    assert split.shape == (2, 6, 64, 3)
    assert torch.equal(split[1, 4].view(8, 8, 3), x[1, 8:16, 8:16])
    assert torch.equal(window_reverse(split, 16, 24, 8), x)


def test_the_mask_keeps_apart_what_was_not_adjacent_before_the_roll() -> None:
    height, width = 16, 24
    mask = shift_mask(height, width, 8, torch.device("cpu"))
    at = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"), -1)
    where = window_partition(at.roll((-4, -4), (0, 1))[None], 8)[
        0
    ]  # [windows, 64, 2], before the roll
    for window, a, b in itertools.product(range(6), range(0, 64, 7), range(0, 64, 5)):
        far = (where[window, a] - where[window, b]).abs().max() >= 8
        assert mask[window, a, b] == (-100 if far else 0)
