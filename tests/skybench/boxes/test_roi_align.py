from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchvision.ops import roi_align

from skybench.boxes.geometry import to_corners, to_horizontal
from skybench.boxes.roi_align import rotated_roi_align

from ._kinds import EACH, FEW, SIDE, pairs


def loop(features: Tensor, box: Tensor, scale: float, size: int, samples: int) -> Tensor:
    """The definition, point by point: features [C, H, W], one box [5]."""
    channels, height, width = features.shape
    cx, cy, w, h, angle = (float(v) * (scale if i < 4 else 1) for i, v in enumerate(box))
    found = torch.zeros(channels, size, size, dtype=features.dtype)
    for row in range(size * samples):
        for column in range(size * samples):
            u = ((column + 0.5) / (size * samples) - 0.5) * w
            v = ((row + 0.5) / (size * samples) - 0.5) * h
            x = cx + u * math.cos(angle) - v * math.sin(angle) - 0.5
            y = cy + u * math.sin(angle) + v * math.cos(angle) - 0.5
            if not (-1 <= x <= width and -1 <= y <= height):
                continue
            x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
            left, top = min(int(x), width - 2), min(int(y), height - 2)
            for dy in (0, 1):
                for dx in (0, 1):
                    share = (1 - abs(x - left - dx)) * (1 - abs(y - top - dy))
                    found[:, row // samples, column // samples] += (
                        share * features[:, top + dy, left + dx] / samples**2
                    )
    return found


def maps(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


BOXES = torch.tensor(
    [
        [20, 16, 24, 10, 0.0],
        [20, 16, 24, 10, 0.6],
        [20, 16, 10, 24, -1.3],
        [2, 3, 30, 12, 1.0],  # partly outside
        [47, 31, 9, 9, 0.3],
        [-60, -60, 5, 5, 0.3],  # outside
        [20, 16, 0, 0, 0.3],
        [24, 16, 90, 60, 0.1],  # more than the whole image
    ],
    dtype=torch.float64,
)


@pytest.mark.parametrize(("size", "samples", "scale"), [(7, 2, 0.25), (3, 1, 0.25), (2, 3, 1.0)])
def test_it_equals_a_loop_over_points(size: int, samples: int, scale: float) -> None:
    features = maps(2, 3, 8, 12)
    found = rotated_roi_align(features, [BOXES[:3], BOXES[3:]], scale, size, samples)
    each = [(0, b) for b in BOXES[:3]] + [(1, b) for b in BOXES[3:]]
    expected = torch.stack([loop(features[i], b, scale, size, samples) for i, b in each])
    torch.testing.assert_close(found, expected)
    assert not found[5].any()


@EACH
@FEW
@given(st.data())
def test_every_kind_of_box_is_read_where_shapely_has_it(kind: str, data: st.DataObject) -> None:
    """Of features equal to their own coordinates, a cell inside the image reads its centroid."""
    shapely = pytest.importorskip("shapely")
    boxes = np.concatenate(data.draw(pairs(kind)))
    boxes[:, :2] += 1e-3  # no sampling point lies exactly on the cutoff, where rounding decides
    middles = torch.arange(int(SIDE), dtype=torch.float64) + 0.5
    ramps = torch.stack(torch.meshgrid(middles, middles, indexing="ij")[::-1])  # x, y
    found = rotated_roi_align(ramps[None], [torch.from_numpy(boxes)], 1.0, 3)
    between = shapely.box(0.5, 0.5, SIDE - 0.5, SIDE - 0.5)
    image = shapely.box(-0.5, -0.5, SIDE + 0.5, SIDE + 0.5)
    for box, cells in zip(boxes, found, strict=True):
        (polygon,) = shapely.polygons(to_corners(box[None]))
        if shapely.disjoint(polygon, image):
            assert not cells.any()
        elif shapely.contains(between, polygon):
            part = to_corners(parts(box))
            np.testing.assert_allclose(cells.view(2, -1).T, part.mean(1), atol=1e-9)
            if box[2:4].min() > 1e-2:  # smaller polygons have no centroid to speak of
                centre = shapely.get_coordinates(shapely.centroid(shapely.polygons(part)))
                np.testing.assert_allclose(part.mean(1), centre, atol=1e-6)
        else:
            torch.testing.assert_close(cells, loop(ramps, torch.from_numpy(box), 1.0, 3, 2))


def parts(box: np.ndarray) -> np.ndarray:
    """A box [5] cut into 3 x 3, row by row, [9, 5]."""
    cx, cy, w, h, angle = box
    down, along = (np.indices((3, 3)).reshape(2, -1) - 1) / 3
    x = cx + along * w * np.cos(angle) - down * h * np.sin(angle)
    y = cy + along * w * np.sin(angle) + down * h * np.cos(angle)
    return np.column_stack([x, y, np.full((9, 3), [w / 3, h / 3, angle])])


@EACH
@FEW
@given(st.data())
def test_every_kind_of_box_has_a_gradient(kind: str, data: st.DataObject) -> None:
    boxes = torch.from_numpy(data.draw(pairs(kind))[0]).requires_grad_()
    features = maps(1, 2, 10, 10).requires_grad_()
    pooled = rotated_roi_align(features, [boxes], 0.1, 3)
    for gradient in torch.autograd.grad(pooled.square().sum(), (features, boxes)):
        assert torch.isfinite(gradient).all()


def test_horizontal_boxes_are_read_as_by_torchvision() -> None:
    features, boxes = maps(1, 3, 8, 12), BOXES.clone()
    boxes[:, 4] = 0
    expected = roi_align(
        features, [to_horizontal(to_corners(boxes))], 7, 0.25, sampling_ratio=2, aligned=True
    )
    torch.testing.assert_close(rotated_roi_align(features, [boxes], 0.25), expected)


def test_a_ramp_is_read_where_the_box_lies() -> None:
    """Features equal to their own coordinates: the middle of a pixel i is i + 0.5."""
    y, x = torch.meshgrid(torch.arange(40) + 0.5, torch.arange(40) + 0.5, indexing="ij")
    box = torch.tensor([[21.0, 19.0, 16.0, 8.0, math.pi / 6]])
    found = rotated_roi_align(torch.stack([x, y])[None], [box], 1.0, size=4)
    (corners,) = to_corners(box)
    start, right, _, down = corners
    for row in range(4):
        for column in range(4):
            at = start + (right - start) * (column + 0.5) / 4 + (down - start) * (row + 0.5) / 4
            assert found[0, :, row, column].tolist() == pytest.approx(at.tolist(), abs=1e-4)


def test_turning_the_box_by_half_turns_the_result() -> None:
    features, box = maps(1, 2, 8, 12), BOXES[1:2].clone()
    straight = rotated_roi_align(features, [box], 0.25)
    box[:, 4] += math.pi
    torch.testing.assert_close(rotated_roi_align(features, [box], 0.25), straight.flip(2, 3))


def test_gradients_reach_the_features_and_the_boxes() -> None:
    features = maps(1, 2, 5, 6).requires_grad_()
    boxes = torch.tensor([[10, 9, 11, 5, 0.4], [3, 14, 9, 7, -1.0]], dtype=torch.float64)

    def pool(maps: Tensor, at: Tensor) -> Tensor:
        return rotated_roi_align(maps, [at], 0.25, 3)

    assert torch.autograd.gradcheck(pool, (features, boxes))
    boxes[1] = boxes[0] + 0.3  # wholly inside: the rim has kinks
    assert torch.autograd.gradcheck(pool, (features.detach(), boxes.requires_grad_()))


def test_images_without_boxes_and_half_precision() -> None:
    features = maps(3, 2, 8, 12)
    none = torch.zeros(0, 5)
    assert rotated_roi_align(features, [none, none, none], 0.25).shape == (0, 2, 7, 7)
    box = BOXES[:1].float()
    found = rotated_roi_align(features.to(torch.bfloat16), [none, box, none], 0.25)
    assert found.shape == (1, 2, 7, 7)
    assert found.dtype == torch.bfloat16
    expected = rotated_roi_align(features[1:2].float(), [box], 0.25)
    torch.testing.assert_close(found.float(), expected, atol=0.03, rtol=0)
