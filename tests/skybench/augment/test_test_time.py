from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from skybench.augment import test_time
from skybench.augment.test_time import (
    CropWindow,
    ScaledView,
    Views,
    align_windows,
    parse_views,
    sliding_windows,
)
from skybench.core import Batch, CannotRun, UsageError

LENGTHS = st.integers(1, 40)


def batch_of(**images: Tensor) -> Batch:
    """One sample of these sensors, [T, C, H, W] each."""
    seen = {n: torch.ones(1, len(x), dtype=torch.bool) for n, x in images.items()}
    days = {n: torch.arange(len(x))[None] for n, x in images.items()}
    lonlat = torch.tensor([[8.0, 50.0]])
    return Batch(("a",), {n: x[None] for n, x in images.items()}, seen, days, lonlat)


def test_names_are_read_in_any_order() -> None:
    assert parse_views([]) == Views()
    shown = tuple(ScaledView(ratio, m) for ratio in (0.5, 1.0) for m in (False, True))
    assert parse_views(["flip", "window=512,341", "scales=0.5,1"]) == Views(shown, 512, 341)
    assert parse_views(["scales=0.5,1", "flip", "window=512,341"]) == Views(shown, 512, 341)
    assert parse_views(["window=8,8"]) == Views((ScaledView(),), 8, 8)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["windows=4,4"], "window"),
        (["tilt"], "flip"),
        (["flip=1"], "'flip=1' was given, expected 'flip' without numbers"),
        (["flip="], "without numbers"),
        (["window"], "'window' was given, expected window=side,stride"),
        (["window=512"], "side,stride"),
        (["window=512,0"], "stride from 1 to side"),
        (["window=512,513"], "stride from 1 to side"),
        (["window=512,1.5"], "whole pixels"),
        (["window=inf,1"], "whole pixels"),
        (["window=nan,nan"], "whole pixels"),
        (["window=a,b"], "whole pixels"),
        (["scales"], "scales=ratio"),
        (["scales="], "scales=ratio"),
        (["scales=1,1"], "none twice"),
        (["scales=0"], "from 0.1 to 10"),
        (["scales=nan"], "from 0.1 to 10"),
        (["flip", "flip"], "given twice"),
        (["window=4,4", "window=8,8"], "given twice"),
    ],
)
def test_what_does_not_fit_is_refused(names: Sequence[str], expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        test_time.check_views(names)


@settings(max_examples=60, deadline=None)
@given(LENGTHS, LENGTHS, st.integers(1, 20), st.data())
def test_windows_cover_an_image_and_none_comes_twice(
    height: int, width: int, side: int, data: st.DataObject
) -> None:
    places = sliding_windows(height, width, side, data.draw(st.integers(1, side)))
    covered = torch.zeros(height, width)
    for place in places:
        assert place.crop(covered).shape == (min(side, height), min(side, width))
        place.crop(covered).add_(1)
    assert covered.min() >= 1
    assert len({*places}) == len(places)


def test_a_window_shows_the_same_ground_of_every_sensor() -> None:
    places = align_windows({"fine": (8, 12), "coarse": (2, 3), "whole": (8, 12)}, 8, 4)
    assert [p["fine"] for p in places] == [CropWindow(0, 0, 8, 8), CropWindow(0, 4, 8, 8)]
    assert [p["coarse"] for p in places] == [CropWindow(0, 0, 2, 2), CropWindow(0, 1, 2, 2)]
    assert all(p["whole"] == p["fine"] for p in places)
    whole = align_windows(
        {"fine": (7, 5), "odd": (3, 1)}, 9, 9
    )  # an image within one window always fits
    assert whole == [{"fine": CropWindow(0, 0, 7, 5), "odd": CropWindow(0, 0, 3, 1)}]


@pytest.mark.parametrize(("side", "stride", "coarse"), [(8, 3, 6), (9, 4, 6), (8, 4, 7), (6, 6, 1)])
def test_a_window_that_ends_inside_a_pixel_is_refused(side: int, stride: int, coarse: int) -> None:
    step = {6: 2, 7: 12, 1: 12}[coarse]
    with pytest.raises(
        CannotRun, match=rf"view 'window={side},{stride}'.* s2, .*multiples of {step} "
    ):
        align_windows({"hr": (12, 12), "s2": (coarse, coarse)}, side, stride)


def context(batch: Batch) -> Tensor:
    """Logits [B * T, 3, h, w] at half the size, of 3 x 3 pixels; of two sensors where there."""
    x = batch.images["hr"].flatten(0, 1).float()
    if "s2" in batch.images:
        x = x + F.interpolate(batch.images["s2"].flatten(0, 1).float(), x.shape[-2:])
    x = F.avg_pool2d(x, 3, 1, 1)
    size = (max(1, x.shape[-2] // 2), max(1, x.shape[-1] // 2))
    return F.adaptive_avg_pool2d(torch.cat([x, x.roll(1, 1) * x, -x[:, :1]], 1), size)


def slow(batch: Batch, shown: Views, size: tuple[int, int]) -> Tensor:
    """Windows and scales one at a time, each padded to the whole, as mmsegmentation has it."""
    answers = []
    for ratio, mirrored in shown.scales:
        images = {}
        for name, x in batch.images.items():
            to = [round(n * ratio) for n in x.shape[-2:]]
            x = F.interpolate(x[0].float(), to, mode="bilinear", antialias=True)[None]
            images[name] = x.flip(-1) if mirrored else x
        height, width = images["hr"].shape[-2:]
        side, stride = shown.side or 99, shown.stride or 99
        rows, columns = (max(n - side + stride - 1, 0) // stride + 1 for n in (height, width))
        total, count = torch.zeros(1), torch.zeros(1)
        for row in range(rows):
            for column in range(columns):
                bottom, right = min(row * stride + side, height), min(column * stride + side, width)
                top, left = max(bottom - side, 0), max(right - side, 0)
                crops = {}
                for name, x in images.items():
                    k = height // x.shape[-2]
                    crops[name] = x[..., top // k : bottom // k, left // k : right // k]
                logits = context(replace(batch, images=crops))
                logits = F.interpolate(logits, (bottom - top, right - left), mode="bilinear")
                pad = (left, width - right, top, height - bottom)
                total = total + F.pad(logits, pad)
                count = count + F.pad(torch.ones_like(logits), pad)
        merged = total / count if shown.side else context(replace(batch, images=images))
        large = F.interpolate(merged, size, mode="bilinear").softmax(1)
        answers.append(large.flip(-1) if mirrored else large)
    return torch.stack(answers).mean(0)


SCALES = st.lists(st.sampled_from([0.5, 1.0, 1.25, 2.0]), min_size=1, max_size=3, unique=True)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(0, 99))
def test_answers_equal_those_of_a_slow_reference(data: st.DataObject, seed: int) -> None:
    two = data.draw(st.booleans())
    step = 2 if two else 1
    height, width = (step * data.draw(st.integers(2, 9)) for _ in range(2))
    dates, size = data.draw(st.integers(1, 3)), (data.draw(st.integers(1, 20)), 9)
    side = step * data.draw(st.integers(1, 8))
    stride = step * data.draw(st.integers(1, side // step))
    shown = parse_views(
        [f"scales={','.join(map(str, [1.0] if two else data.draw(SCALES)))}"]
        + ["flip"] * data.draw(st.booleans())
        + [f"window={side},{stride}"] * data.draw(st.booleans())
    )
    made = torch.Generator().manual_seed(seed)
    images = {"hr": torch.randn(dates, 1, height, width, generator=made)}
    if two:
        images["s2"] = torch.randn(dates, 1, height // 2, width // 2, generator=made)
    batch = batch_of(**images)
    most = data.draw(st.integers(1, 5))
    seen: list[int] = []

    def logits(part: Batch) -> Tensor:
        seen.append(len(part.keys))
        assert len(part.lonlat) == len(part.keys)
        assert all(
            x.shape == (len(part.keys), dates) for x in [*part.seen.values(), *part.days.values()]
        )
        return context(part)

    found = test_time.average_views(shown, batch, logits, most, size, lambda maps: maps.softmax(1))
    expected = slow(batch, shown, size)
    assert found.shape == (dates, expected.shape[1], *size)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert max(seen) <= most


class Opened:
    """One sample; see `test_time.ViewSource`."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def open_batch(self, indices: Sequence[int]) -> tuple[Batch, test_time.Levels]:
        return self.batch, self._levels

    def _levels(self, batch: Batch) -> tuple[Tensor, ...]:
        raise AssertionError("nothing is to be computed")


def test_windows_are_tried_before_anything_is_learned() -> None:
    source = Opened(batch_of(hr=torch.zeros(1, 1, 16, 16), s2=torch.zeros(1, 1, 8, 8)))
    for fine in ([], ["flip", "scales=0.4"], ["window=8,6"], ["window=6,4", "scales=0.5"]):
        test_time.check_views_fit(fine, source)
    with pytest.raises(CannotRun, match="multiples of 2"):
        test_time.check_views_fit(["window=8,5"], source)
    thirds = Opened(batch_of(hr=torch.zeros(1, 1, 12, 12), s2=torch.zeros(1, 1, 4, 4)))
    test_time.check_views_fit(["window=6,6"], thirds)
    with pytest.raises(CannotRun, match=r"of images of 8 x 8 .* are 2 x 2; .* multiples of 4"):
        test_time.check_views_fit(["window=6,6", "scales=1,0.625"], thirds)
    with pytest.raises(UsageError, match="expected window"):
        test_time.check_views_fit(["window=8"], source)
