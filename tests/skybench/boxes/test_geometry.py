from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skybench.boxes.geometry import (
    TIE,
    flip_corners,
    from_horizontal,
    le90,
    to_corners,
    to_horizontal,
    to_rotated,
)

from ._kinds import EACH, FEW, coarseness, pairs

CASES = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def boxes(seed: int, count: int = 20, extent: float = 100.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    sides = extent * 10 ** rng.uniform(-3, 0.5, (count, 2))
    angles = rng.choice([0, math.pi / 2, -math.pi / 2, math.pi, 0.3, 1e-9, 5.0], (count, 1))
    some = angles + rng.choice([0.0, 1.0], (count, 1)) * rng.uniform(-7, 7, (count, 1))
    return np.concatenate([rng.uniform(-extent, 2 * extent, (count, 2)), sides, some], 1)


@CASES
@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-2, 1.0, 100.0, 1e5]))
def test_corners_and_rotated_boxes_turn_into_each_other(seed: int, extent: float) -> None:
    given_boxes = boxes(seed, extent=extent)
    corners = to_corners(given_boxes)
    back = to_rotated(corners)
    assert (back[:, 2] >= back[:, 3]).all()
    assert (back[:, 4] >= -math.pi / 2).all()
    assert (back[:, 4] < math.pi / 2).all()
    again = to_corners(back)
    distances = np.linalg.norm(corners[:, :, None] - again[:, None], axis=-1)  # each with each
    assert distances.min(2).max() < 1e-9 * extent
    assert distances.min(1).max() < 1e-9 * extent
    np.testing.assert_allclose(to_rotated(again)[:, :4], back[:, :4], atol=1e-9 * extent)
    np.testing.assert_allclose(to_corners(le90(given_boxes)), again, atol=1e-6 * extent)


@EACH
@FEW
@given(st.data())
def test_every_kind_of_box_turns_into_shapely_s_polygon_and_back(
    kind: str, data: st.DataObject
) -> None:
    shapely = pytest.importorskip("shapely")
    given_boxes, _ = data.draw(pairs(kind))
    corners = to_corners(given_boxes)
    polygons = shapely.polygons(corners)
    precision = 1e-14 * coarseness(given_boxes)
    areas = given_boxes[:, 2] * given_boxes[:, 3]
    np.testing.assert_allclose(shapely.area(polygons), areas, rtol=10 * precision, atol=1e-9)
    np.testing.assert_array_equal(to_horizontal(corners), shapely.bounds(polygons))
    back = to_rotated(corners)
    np.testing.assert_allclose(back[:, 2] * back[:, 3], areas, rtol=10 * precision, atol=1e-9)
    far = np.abs(given_boxes[:, :4]).max()
    for order in (back, to_rotated(corners[:, [2, 3, 0, 1]]), to_rotated(corners[:, ::-1])):
        again = shapely.polygons(to_corners(order))
        assert shapely.hausdorff_distance(polygons, again).max() < 1e-13 * far
    np.testing.assert_allclose(le90(back), back, atol=1e-12)


@CASES
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_the_rectangle_around_four_points_is_the_smallest(seed: int, on_grid: bool) -> None:
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 4, (30, 4, 2)) * 1.0 if on_grid else rng.normal(0, 50, (30, 4, 2))
    found = to_rotated(points)
    along = np.stack([np.cos(found[:, 4]), np.sin(found[:, 4])], -1)
    across = along[:, ::-1] * [-1, 1]
    for axis, side in ((along, found[:, 2]), (across, found[:, 3])):
        offset = ((points - found[:, None, :2]) * axis[:, None]).sum(-1)
        assert np.abs(offset).max(1) == pytest.approx(side / 2, abs=1e-9)  # encloses, and tightly
    turns = np.linspace(0, math.pi / 2, 181)
    u = points[..., :1] * np.cos(turns) + points[..., 1:] * np.sin(turns)  # [30, 4, 181]
    v = points[..., 1:] * np.cos(turns) - points[..., :1] * np.sin(turns)
    areas = np.ptp(u, axis=1) * np.ptp(v, axis=1)
    assert (found[:, 2] * found[:, 3] <= (1 + TIE) * areas.min(1) + 1e-9).all()


def test_points_that_form_no_rectangle_give_what_opencv_gives() -> None:
    quadrilateral = np.array([[[10, 10], [60, 15], [55, 40], [12, 30]]], np.float64)
    # cv2.minAreaRect of OpenCV 5.0.0, which counts in float32.
    opencv = [33.737617, 25.123760, 50.249371, 25.373446, 0.09966867]
    np.testing.assert_allclose(to_rotated(quadrilateral)[0], opencv, rtol=1e-6)


def quadrilaterals(seed: int, count: int = 50) -> np.ndarray:
    """Triangles around a point, noisy rectangles, points on a grid, points in a line."""
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 40, (count, 4, 2)) * 1.0
    triangle = points[::4]
    triangle[:, 3] = triangle[:, :3].mean(1)  # all three rectangles have one area if it is acute
    sides = np.column_stack([rng.uniform(0, 100, (count, 2)), rng.uniform(5, 60, (count, 2))])
    turned = to_corners(np.column_stack([sides, rng.uniform(-2, 2, count)]))
    points[1::4] = (turned + rng.normal(0, 1, turned.shape))[1::4]
    points[2::4, :, 1] = 45 - points[2::4, :, 0]
    return points


@CASES
@given(st.integers(0, 2**32 - 1), st.integers(-100_000, 100_000), st.integers(-100_000, 100_000))
def test_the_rectangle_does_not_depend_on_the_origin(seed: int, x: int, y: int) -> None:
    points = quadrilaterals(seed)
    here, there = to_corners(to_rotated(points)), to_corners(to_rotated(points + np.array([x, y])))
    apart = np.abs((there - [x, y])[:, :, None] - here[:, None]).max(-1)  # each with each
    assert apart.min(2).max() < 1e-6
    single = to_corners(to_rotated(points.astype(np.float32)).astype(np.float64))
    assert np.abs(single[:, :, None] - here[:, None]).max(-1).min(2).max() < 1e-3


def test_of_equal_rectangles_the_one_on_the_first_side_is_returned() -> None:
    triangle = np.array([[[0, 0], [10, 0], [4, 9], [4.5, 3]]], np.float64)
    assert to_rotated(triangle)[0, [2, 3]].tolist() == [10, 9]
    turned = to_rotated(triangle[:, [1, 2, 0, 3]])[0, [2, 3]]
    assert turned == pytest.approx([math.hypot(6, 9), 90 / math.hypot(6, 9)])


def test_points_in_a_line_and_in_one_place() -> None:
    line = np.array([[[0, 0], [3, 3], [1, 1], [2, 2]]], np.float64)
    np.testing.assert_allclose(
        to_rotated(line)[0], [1.5, 1.5, math.sqrt(18), 0, math.pi / 4], atol=1e-12
    )
    place = np.full((1, 4, 2), 7.0)
    assert to_rotated(place).tolist() == [[7, 7, 0, 0, 0]]


def test_the_angle_runs_clockwise_on_the_screen() -> None:
    # A quarter of the way from x (right) towards y (down).
    (corners,) = to_corners(np.array([[0, 0, 2, 0, math.pi / 4]]))
    assert corners[1] == pytest.approx([math.sqrt(0.5), math.sqrt(0.5)])
    assert to_rotated(np.array([[[0, 0], [4, 4], [3, 5], [-1, 1]]], np.float64))[0, 4] > 0


@pytest.mark.parametrize("angle", [-math.pi / 2, math.pi / 2, 1.5 * math.pi, -1e-300, 1e9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_le90_stays_in_its_range(angle: float, dtype: torch.dtype) -> None:
    given_boxes = torch.tensor(
        [[0, 0, 2, 1, angle], [0, 0, 1, 2, angle], [0, 0, 1, 1, angle - math.pi / 2]], dtype=dtype
    )
    found = le90(given_boxes)[:, 4]
    assert (found >= -math.pi / 2).all()
    assert (found < math.pi / 2).all()


def test_horizontal_boxes() -> None:
    around = np.array([[1.0, 2.0, 5.0, 9.0], [-3.0, 0.0, -3.0, 4.0]])
    corners = from_horizontal(around)
    assert corners[0].tolist() == [[1, 2], [5, 2], [5, 9], [1, 9]]
    np.testing.assert_array_equal(to_horizontal(corners), around)
    np.testing.assert_array_equal(to_horizontal(corners[:, [2, 0, 3, 1]]), around)
    wide = np.array([[3, 5, 4, 2, 0]], np.float64)
    np.testing.assert_array_equal(to_corners(wide), from_horizontal(np.array([[1, 4, 5, 6.0]])))


def test_flipping_mirrors_and_keeps_the_turn() -> None:
    corners = to_corners(np.array([[20, 30, 12, 4, 0.4]]))
    for axis, mirrored in ((0, [80, 30, 12, 4, -0.4]), (1, [20, 20, 12, 4, -0.4])):
        found = flip_corners(corners, [100, 50][axis], axis)
        np.testing.assert_allclose(to_rotated(found)[0], mirrored)
        np.testing.assert_allclose(flip_corners(found, [100, 50][axis], axis), corners)
        x, y = np.moveaxis(found[0], -1, 0)
        turn = (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2
        assert turn == pytest.approx(48)  # positive: clockwise where y runs down


def mirrored(corners: Any) -> Any:
    return flip_corners(corners, 100, 1)


@pytest.mark.parametrize(
    "function", [to_corners, le90, to_rotated, to_horizontal, from_horizontal, mirrored]
)
def test_torch_gives_the_same_and_keeps_the_dtype(function: Callable[[Any], Any]) -> None:
    array = boxes(1)
    if function in (to_rotated, to_horizontal, mirrored):
        array = to_corners(array)
    if function is from_horizontal:
        array = array[:, :4]
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 2e-4)):
        tensor = torch.from_numpy(array).to(dtype)
        found = function(tensor)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, function(array), atol=tolerance)
        same = function(tensor.numpy())
        assert same.dtype == tensor.numpy().dtype
        np.testing.assert_allclose(found, same, atol=tolerance)


@pytest.mark.parametrize("array", [np.zeros, torch.zeros])
def test_no_box_is_no_trouble(array: Callable[[tuple[int, ...]], Any]) -> None:
    assert to_rotated(array((0, 4, 2))).shape == (0, 5)
    assert to_corners(array((0, 5))).shape == (0, 4, 2)
    assert to_horizontal(array((0, 4, 2))).shape == (0, 4)
    assert from_horizontal(array((0, 4))).shape == (0, 4, 2)
    assert flip_corners(array((0, 4, 2)), 9, 0).shape == (0, 4, 2)
