"""The networks of dense heads by their names; see skybench.heads.decoders.

What linear heads, UPerNet and U-Net do with features is in test_dense.py and test_dense_series.py.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from skybench.heads.decoders import DECODERS, FPN, DateDifference, Levels, MTPUNet, upsample

from ._dense import FOUR, ONE, pyramid

SWIN = ((128, 4), (256, 8), (512, 16), (1024, 32))


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def conv_count(inputs: int, outputs: int, kernel: int = 3) -> int:
    """A convolution without bias, and the scale and shift of its normalisation."""
    return inputs * outputs * kernel**2 + 2 * outputs


def test_mtps_unet_has_the_widths_of_its_configuration() -> None:
    """Four levels of 1,024 channels, decoder channels 512, 256, 128 and 64."""
    with torch.device("meta"):
        head = MTPUNet([(1024, s) for s in (4, 8, 16, 32)], 2, 512)
    blocks = ((2048, 512), (1536, 256), (1280, 128), (128, 64))
    expected = sum(conv_count(a, b) + conv_count(b, b) for a, b in blocks) + 64 * 2 + 2
    assert parameters(head) == expected == 17_661_826
    assert [m.p for m in head.modules() if isinstance(m, nn.Dropout2d)] == [0.1]


@pytest.mark.parametrize(("levels", "side"), [(FOUR, 64), (FOUR[:2], 64), (ONE, 64)])
def test_mtps_unet_answers_at_four_times_the_finest_level(levels: Levels, side: int) -> None:
    head = MTPUNet(levels, 3, 8).eval()
    maps = pyramid(levels, 2, 64)
    (found,) = head(maps)
    assert found.shape == (2, 3, side, side)
    gradients = torch.autograd.grad((found**2).sum(), list(head.parameters()))
    assert all(g.abs().max() > 0 for g in gradients)
    (alone,) = head([x[:1] for x in maps])
    torch.testing.assert_close(alone, found[:1], atol=1e-5, rtol=1e-4)


def test_an_fpn_sums_top_down_and_classifies_all_levels_together() -> None:
    head = FPN(FOUR, 3, 8).eval()
    maps = pyramid(FOUR, 2, 64)
    (found,) = head(maps)
    summed = [layer(x) for layer, x in zip(head.lateral, maps, strict=True)]
    for fine in (2, 1, 0):
        summed[fine] = summed[fine] + upsample(summed[fine + 1], summed[fine])
    seen = [layer(x) for layer, x in zip(head.smooth, summed, strict=True)]
    parts = torch.split(head.classify.weight, 8, 1)
    each = [upsample(F.conv2d(x, w), seen[0]) for x, w in zip(seen, parts, strict=True)]
    assert head.classify.bias is not None
    expected = torch.stack(each).sum(0) + head.classify.bias[:, None, None]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_an_fpn_of_torchgeo_bench_has_its_parameters() -> None:
    with torch.device("meta"):
        head = FPN(SWIN, 19, 256)
    lateral = sum(c * 256 for c, _ in SWIN)
    assert parameters(head) == lateral + 4 * conv_count(256, 256) + 4 * 256 * 19 + 19


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("levels", [FOUR, ONE])
def test_every_decoder_reads_pyramids_and_pairs_of_them(name: str, levels: Levels) -> None:
    head = DECODERS[name](levels, 3, 8).eval()
    maps = pyramid(levels, 4, 64)
    (found,) = head(maps)
    assert found.shape[:2] == (4, 3)
    (same,) = DateDifference(head)([torch.stack([x, 0 * x], 1) for x in maps])
    (absolute,) = head([x.abs() for x in maps])
    assert torch.equal(same, absolute)
