from __future__ import annotations

import pytest
import torch

from skybench.heads._anchors import BACKGROUND, IGNORED, assign_boxes, make_anchors, sample_boxes


def test_anchors_stand_on_every_place_of_every_level() -> None:
    maps = [torch.zeros(1, 1, 2, 3), torch.zeros(1, 1, 1, 2), torch.zeros(1, 1, 1, 1)]
    first, second, last = make_anchors(maps, (10, 12))  # strides 5 and 4, then 10 and 6
    assert [len(first), len(second), len(last)] == [18, 6, 3]
    sides = first[:, 2:] - first[:, :2]
    torch.testing.assert_close(sides[1], torch.tensor([32.0, 40.0]))  # 8 cells
    torch.testing.assert_close(sides[0], torch.tensor([32 * 2**0.5, 40 / 2**0.5]))
    middles = (first[:, 2:] + first[:, :2]) / 2
    assert middles[1::3].tolist() == [[0, 0], [4, 0], [8, 0], [0, 5], [4, 5], [8, 5]]
    torch.testing.assert_close(last[1], torch.tensor([-48.0, -80, 48, 80]))  # twice the second's


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_anchors_of_maps_of_half_precision_are_exact(dtype: torch.dtype) -> None:
    """The last anchor of a row of 1,024 pixels; bfloat16 has steps of 8 there."""
    maps = [torch.zeros(1, 1, 1, 256, dtype=dtype), torch.zeros(1, 1, 1, 128, dtype=dtype)]
    first, _ = make_anchors(maps, (4, 1024))
    assert first.dtype == torch.float32
    assert first[-2].tolist() == [1020 - 16, -16, 1020 + 16, 16]


def test_anchors_made_in_inference_mode_serve_in_training() -> None:
    maps = [torch.zeros(1, 1, 3, 5), torch.zeros(1, 1, 2, 3)]  # a size of this test alone
    with torch.inference_mode():
        made = make_anchors(maps, (12, 20))
    assert not any(x.is_inference() for x in made)
    assert all(a is b for a, b in zip(made, make_anchors(maps, (12, 20)), strict=True))


def test_matching_by_high_low_and_best() -> None:
    overlap = torch.tensor([[0.9, 0.5, 0.2, 0.0], [0.8, 0.6, 0.31, 0.1]])
    assert assign_boxes(overlap, 0.7, 0.3).tolist() == [0, IGNORED, IGNORED, BACKGROUND]
    assert assign_boxes(overlap.flip(0), 0.85, 0.3).tolist() == [1, IGNORED, IGNORED, BACKGROUND]
    weak = torch.tensor([[0.1, 0.4, 0.4], [0.0, 0.1, 0.2]])
    assert assign_boxes(weak, 0.7, 0.3, 0.3).tolist() == [
        BACKGROUND,
        0,
        0,
    ]  # object 1 has too little
    assert assign_boxes(torch.zeros(0, 3), 0.7, 0.3, 0.3).tolist() == [BACKGROUND] * 3
    assert assign_boxes(torch.zeros(2, 0), 0.7, 0.3, 0.3).tolist() == []


def test_samples_are_filled_up_with_background() -> None:
    which = torch.tensor([IGNORED, *[BACKGROUND] * 20, *range(10)])
    objects, background = sample_boxes(which, 8, 0.5)
    assert len(objects) == len(background) == 4
    objects, background = sample_boxes(which, 24, 0.5)
    assert (len(objects), len(background)) == (10, 14)
    assert (which[objects] >= 0).all()
    assert (which[background] == BACKGROUND).all()
    assert len(set(background.tolist())) == 14
