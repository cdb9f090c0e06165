"""Test-time augmentation of dense heads: sliding windows, multiple scales, mirror images.

Recipes name the views in any order: "window=512,341" (side and stride in pixels of the finest
sensor, after resizing to the recipe's `size`), "scales=0.5,1,1.5" (of that size) and "flip" (each
scale also mirrored left to right). Each scale and mirror image is predicted by sliding window.
Logits are averaged where windows overlap and resized to the target; probabilities, or the values of
a regression, are averaged over scales and mirror images. A view is the same for every sensor and
date. There is none for detection: boxes of several scales would have to be merged.
Source: open-mmlab/mmsegmentation: EncoderDecoder (`slide_inference`, `inference`, `aug_test`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from skybench.core import Batch, CannotRun, UsageError
from skybench.core.registry import unknown

if TYPE_CHECKING:
    from torch import Tensor

Sizes = Mapping[str, tuple[int, int]]  # sensor -> height and width of its images in pixels
Levels = Callable[[Batch], "tuple[Tensor, ...]"]  # the pyramid of a batch


class ViewSource(Protocol):
    """A source that gives batches of images, so that a head can ask for parts of them."""

    def open_batch(self, indices: Sequence[int]) -> tuple[Batch, Levels]: ...


class CropWindow(NamedTuple):
    """A sliding window, in pixels of one sensor's images."""

    y: int
    x: int
    height: int
    width: int

    def crop(self, images: Tensor) -> Tensor:
        """Return the view of images [..., H, W] in the window."""
        return images[..., self.y : self.y + self.height, self.x : self.x + self.width]


class ScaledView(NamedTuple):
    """A view of whole images: rescaled, and possibly mirrored."""

    ratio: float = 1.0  # of the new size to the old one
    mirrored: bool = False  # left to right

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of a rescaled image, given those of the original."""
        return max(1, round(height * self.ratio)), max(1, round(width * self.ratio))

    def apply(self, batch: Batch) -> Batch:
        """Return the batch with its images rescaled and mirrored."""
        from skybench.data.batching import resize

        images = {n: resize(x, *self.size(*x.shape[-2:])) for n, x in batch.images.items()}
        if self.mirrored:
            images = {n: x.flip(-1) for n, x in images.items()}
        return replace(batch, images=images)


class Views(NamedTuple):
    """All views over which predictions of a sample are averaged."""

    scales: tuple[ScaledView, ...] = (ScaledView(),)
    side: int = 0  # of windows; 0: whole images
    stride: int = 0


def check_views(names: Sequence[str]) -> None:
    """Raise UsageError for an unknown view, values out of its range, or a view given twice."""
    parse_views(names)


def parse_views(names: Sequence[str]) -> Views:
    """Return the views that a recipe names; raises as `check_views`.

    >>> parse_views(["flip", "window=512,341"]).scales
    (ScaledView(ratio=1.0, mirrored=False), ScaledView(ratio=1.0, mirrored=True))
    """
    given: dict[str, tuple[float, ...]] = {}
    for name in names:
        kind, numbers = _parsed(name)
        if kind in given:
            raise UsageError(f"view {kind!r} was given twice in {list(names)}, expected once")
        given[kind] = numbers
    ratios, mirrors = given.get("scales", (1.0,)), (False, True)[: 1 + ("flip" in given)]
    side, stride = map(int, given.get("window", (0, 0)))
    return Views(tuple(ScaledView(r, m) for r in ratios for m in mirrors), side, stride)


def _parsed(name: str) -> tuple[str, tuple[float, ...]]:
    kind, given, text = name.partition("=")
    if kind not in FORMS:
        raise UsageError(unknown("view", kind, [*FORMS]))
    form, fits = FORMS[kind]
    try:
        numbers = tuple(float(part) for part in text.split(",")) if given else ()
    except ValueError:
        numbers = (math.nan,)  # out of any range
    if not fits(numbers):
        raise UsageError(f"view {name!r} was given, expected {form}")
    return kind, numbers


def _is_window(numbers: tuple[float, ...]) -> bool:
    whole = len(numbers) == 2 and all(n.is_integer() for n in numbers)
    return whole and 1 <= numbers[1] <= numbers[0]


def _are_scales(numbers: tuple[float, ...]) -> bool:
    each_once = len(numbers) == len({*numbers}) > 0
    return each_once and all(0.1 <= n <= 10 for n in numbers)


FORMS: Mapping[str, tuple[str, Callable[[tuple[float, ...]], bool]]] = {
    "window": ("window=side,stride in whole pixels, stride from 1 to side", _is_window),
    "scales": ("scales=ratio,… each from 0.1 to 10, none twice", _are_scales),
    "flip": ("'flip' without numbers", lambda numbers: not numbers),
}


def sliding_windows(height: int, width: int, side: int, stride: int) -> list[CropWindow]:
    """Return windows that cover an image every `stride` pixels; the last ends at the edge.

    Along an axis that is shorter than `side` they are as long as the image.

    >>> sliding_windows(4, 7, 4, 3)
    [CropWindow(y=0, x=0, height=4, width=4), CropWindow(y=0, x=3, height=4, width=4)]
    """
    rows, columns = (
        [*range(0, max(0, length - side), stride), max(0, length - side)]
        for length in (height, width)
    )
    return [CropWindow(y, x, min(side, height), min(side, width)) for y in rows for x in columns]


def align_windows(sizes: Sizes, side: int, stride: int) -> list[dict[str, CropWindow]]:
    """Return the finest sensor's sliding windows, each as sensor -> window in its own pixels.

    Raises CannotRun if a window would end inside a pixel of a coarser sensor: moved to the next
    edge it would not be the recipe's window, and resampled it would blur.
    """
    height, width = max(sizes.values(), key=max)
    made = []
    for place in sliding_windows(height, width, side, stride):
        own = {}
        for name, (h, w) in sizes.items():
            fine = (place.y * h, place.x * w, place.height * h, place.width * w)
            ends = [divmod(a, b) for a, b in zip(fine, (height, width) * 2, strict=True)]
            if any(rest for _, rest in ends):
                raise CannotRun(_off_grid(sizes, (height, width), f"{side},{stride}", name))
            own[name] = CropWindow(*(whole for whole, _ in ends))
        made.append(own)
    return made


def _off_grid(sizes: Sizes, finest: tuple[int, int], window: str, name: str) -> str:
    steps = (n // math.gcd(n, m) for s in sizes.values() for n, m in zip(finest, s, strict=True))
    (h, w), step = sizes[name], math.lcm(*steps)
    return (
        f"view 'window={window}' of images of {finest[0]} x {finest[1]} pixels ends inside pixels "
        f"of {name}, whose images are {h} x {w}; give a side and a stride that are multiples of "
        f"{step} (at every scale), or leave that sensor out with --sensors"
    )


def check_views_fit(names: Sequence[str], source: ViewSource) -> None:
    """Raise before training, from one sample, what prediction would raise after it.

    UsageError as `check_views` and for cached features, CannotRun as `align_windows`.
    """
    if not names:
        return
    views = parse_views(names)
    batch, _ = source.open_batch([0])
    for scale in views.scales if views.side else ():
        sizes = {n: scale.size(*x.shape[-2:]) for n, x in batch.images.items()}
        align_windows(sizes, views.side, views.stride)


def average_views(
    views: Views,
    batch: Batch,
    logits: Callable[[Batch], Tensor],
    most: int,
    size: tuple[int, int],
    activate: Callable[[Tensor], Tensor],
) -> Tensor:
    """Return the maps [T, K, *size] of a single sample, averaged over all views.

    logits: gives [B * T, K, h, w] for a batch; called with up to `most` windows at a time.
    activate: applied to maps before they are averaged, for classes softmax(1).
    """
    import torch
    from torch.nn import functional as F

    total = torch.zeros((), device=batch.lonlat.device)
    for scale in views.scales:
        shown = scale.apply(batch)
        output = _slide(views, shown, logits, most) if views.side else logits(shown)
        large = activate(F.interpolate(output, size, mode="bilinear"))
        total = total + (large.flip(-1) if scale.mirrored else large)
    return total / len(views.scales)


def _slide(views: Views, batch: Batch, logits: Callable[[Batch], Tensor], most: int) -> Tensor:
    """The mean logits [T, K, H, W] of all windows over each pixel of the finest sensor."""
    import torch
    from torch.nn import functional as F

    sizes = {n: (x.shape[-2], x.shape[-1]) for n, x in batch.images.items()}
    finest = max(sizes, key=lambda n: max(sizes[n]))
    places = align_windows(sizes, views.side, views.stride)
    total, count = torch.empty(0), torch.empty(0)
    for start in range(0, len(places), most):
        some = places[start : start + most]
        found = logits(_cut(batch, some))
        if not start:
            dates, classes = len(found) // len(some), found.shape[1]
            total = found.new_zeros(dates, classes, *sizes[finest])
            count = found.new_zeros(sizes[finest])
        for own, part in zip(some, found.tensor_split(len(some)), strict=True):
            place = own[finest]
            place.crop(total).add_(F.interpolate(part, place[2:], mode="bilinear"))
            place.crop(count).add_(1)
    return total / count


def _cut(batch: Batch, places: Sequence[Mapping[str, CropWindow]]) -> Batch:
    """Crop windows of a single sample as a batch of samples; location and dates are copied."""
    import torch

    count = len(places)
    return Batch(
        batch.keys * count,
        {n: torch.cat([own[n].crop(x) for own in places]) for n, x in batch.images.items()},
        {n: x.expand(count, -1) for n, x in batch.seen.items()},
        {n: x.expand(count, -1) for n, x in batch.days.items()},
        batch.lonlat.expand(count, -1),
    )
