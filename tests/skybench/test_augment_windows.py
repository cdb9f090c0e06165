"""Test time: windows, scales and mirrors; see skybench.augment_windows."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skybench.augment_windows import merge_scales, merge_windows, scales, windows
from skybench.core import UsageError

LENGTHS = st.integers(1, 40)


@settings(max_examples=60, deadline=None)
@given(LENGTHS, LENGTHS, st.integers(1, 20), st.data())
def test_windows_of_an_identity_give_the_image(
    height: int, width: int, side: int, data: st.DataObject
) -> None:
    places = windows(height, width, side, data.draw(st.integers(1, side)))
    image = torch.arange(2.0 * 3 * height * width).reshape(2, 3, height, width)
    parts = [place.of(image) for place in places]
    assert {tuple(p.shape[-2:]) for p in parts} == {(min(side, height), min(side, width))}
    assert len({*places}) == len(places)
    assert torch.allclose(merge_windows(parts, places), image)


def test_overlapping_logits_are_averaged() -> None:
    places = windows(1, 3, 2, 1)
    merged = merge_windows([torch.zeros(1, 1, 2), torch.ones(1, 1, 2)], places)
    assert merged.flatten().tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("stride", [0, 5])
def test_a_stride_that_leaves_gaps_is_refused(stride: int) -> None:
    with pytest.raises(UsageError, match="stride from 1 to 4"):
        windows(9, 9, 4, stride)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 11), (1, 1)])
def test_scales_of_an_identity_give_the_image_back(height: int, width: int) -> None:
    shown = scales([0.5, 1.0, 1.75], flip=True)
    assert len(shown) == 6
    image = torch.linspace(0, 1, width).expand(2, 3, height, width)
    probabilities = [scale.of(image) for scale in shown]
    found = merge_scales(probabilities, shown, height, width)
    assert found.shape == image.shape
    assert (found - image).abs().max() < 0.2
    only = scales([1.0], flip=True)
    assert torch.equal(merge_scales([s.of(image) for s in only], only, height, width), image)


def test_without_a_flip_nothing_is_mirrored() -> None:
    assert [s.mirrored for s in scales([1.0, 2.0], flip=False)] == [False, False]
    image = torch.arange(4.0).reshape(1, 1, 1, 4)
    shown = scales([1.0], flip=True)
    assert [s.of(image).flatten().tolist() for s in shown] == [[0, 1, 2, 3], [3, 2, 1, 0]]
