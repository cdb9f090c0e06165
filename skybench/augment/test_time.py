"""How dense heads are shown test images: window by window, at several scales, mirrored.

Recipes name it, in any order: "window=512,341" (side and stride in pixels of the finest sensor's
images, as large as the recipe's `size` makes them), "scales=0.5,1,1.5" (of that size) and "flip"
(each also mirrored left to right). Every scale and mirror image is looked at window by window.
Logits are averaged where windows overlap, then brought to the target's size; their probabilities
are averaged over scales and mirror images. A view moves the ground: it is the same of every sensor
and date. There are no views for detection: boxes of several scales would have to be merged.
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


class Source(Protocol):
    """Samples that can be looked at in parts."""

    def opened(self, indices: Sequence[int]) -> tuple[Batch, Levels]: ...


class Place(NamedTuple):
    """A window, in pixels."""

    y: int
    x: int
    height: int
    width: int

    def of(self, images: Tensor) -> Tensor:
        """What it shows of images [..., H, W]."""
        return images[..., self.y : self.y + self.height, self.x : self.x + self.width]


class Scale(NamedTuple):
    """How an image is shown."""

    ratio: float = 1.0  # of its size
    mirrored: bool = False  # left to right

    def size(self, height: int, width: int) -> tuple[int, int]:
        """The size at which images of this one are shown."""
        return max(1, round(height * self.ratio)), max(1, round(width * self.ratio))

    def of(self, batch: Batch) -> Batch:
        """The samples so shown."""
        from skybench.data.batching import resize

        images = {n: resize(x, *self.size(*x.shape[-2:])) for n, x in batch.images.items()}
        if self.mirrored:
            images = {n: x.flip(-1) for n, x in images.items()}
        return replace(batch, images=images)


class Views(NamedTuple):
    """All the ways in which a sample is shown."""

    scales: tuple[Scale, ...] = (Scale(),)
    side: int = 0  # of windows; 0: whole images
    stride: int = 0


def check(names: Sequence[str]) -> None:
    """Raises UsageError for an unknown view, numbers that do not fit it, and one given twice."""
    read(names)


def read(names: Sequence[str]) -> Views:
    """The views that a recipe names; see `check`.

    >>> read(["flip", "window=512,341"]).scales
    (Scale(ratio=1.0, mirrored=False), Scale(ratio=1.0, mirrored=True))
    """
    given: dict[str, tuple[float, ...]] = {}
    for name in names:
        kind, numbers = _parsed(name)
        if kind in given:
            raise UsageError(f"view {kind!r} was given twice in {list(names)}, expected once")
        given[kind] = numbers
    ratios, mirrors = given.get("scales", (1.0,)), (False, True)[: 1 + ("flip" in given)]
    side, stride = map(int, given.get("window", (0, 0)))
    return Views(tuple(Scale(r, m) for r in ratios for m in mirrors), side, stride)


def _parsed(name: str) -> tuple[str, tuple[float, ...]]:
    kind, given, text = name.partition("=")
    if kind not in FORMS:
        raise UsageError(unknown("view", kind, [*FORMS]))
    form, fits = FORMS[kind]
    try:
        numbers = tuple(float(part) for part in text.split(",")) if given else ()
    except ValueError:
        numbers = (math.nan,)  # which fits nothing
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


def windows(height: int, width: int, side: int, stride: int) -> list[Place]:
    """Squares that cover an image, every `stride` pixels, the last moved back to end at the edge.

    Along an axis that is shorter than `side` they are as long as the image.

    >>> windows(4, 7, 4, 3)
    [Place(y=0, x=0, height=4, width=4), Place(y=0, x=3, height=4, width=4)]
    """
    rows, columns = (
        [*range(0, max(0, length - side), stride), max(0, length - side)]
        for length in (height, width)
    )
    return [Place(y, x, min(side, height), min(side, width)) for y in rows for x in columns]


def lay(sizes: Sizes, side: int, stride: int) -> list[dict[str, Place]]:
    """The windows of the finest sensor's images, each in every sensor's own pixels.

    Raises CannotRun where a window would end inside a pixel of a coarser sensor: moved to the
    next edge it would not be the window that the recipe names, and resampled it would blur.
    """
    height, width = max(sizes.values(), key=max)
    made = []
    for place in windows(height, width, side, stride):
        own = {}
        for name, (h, w) in sizes.items():
            fine = (place.y * h, place.x * w, place.height * h, place.width * w)
            ends = [divmod(a, b) for a, b in zip(fine, (height, width) * 2, strict=True)]
            if any(rest for _, rest in ends):
                raise CannotRun(_off_grid(sizes, (height, width), f"{side},{stride}", name))
            own[name] = Place(*(whole for whole, _ in ends))
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


def require(names: Sequence[str], source: Source) -> None:
    """Raises early, from one sample, what `probabilities` would raise after all training.

    UsageError for names that do not fit and features that are cached, CannotRun of `lay`.
    """
    if not names:
        return
    views = read(names)
    batch, _ = source.opened([0])
    for scale in views.scales if views.side else ():
        sizes = {n: scale.size(*x.shape[-2:]) for n, x in batch.images.items()}
        lay(sizes, views.side, views.stride)


def probabilities(
    views: Views,
    batch: Batch,
    logits: Callable[[Batch], Tensor],
    most: int,
    size: tuple[int, int],
) -> Tensor:
    """The mean probabilities [T, K, height, width] of a single sample, of height and width `size`.

    logits: [B * T, K, h, w] of a batch; it gets `most` windows at a time.
    """
    import torch
    from torch.nn import functional as F

    total = torch.zeros((), device=batch.lonlat.device)
    for scale in views.scales:
        shown = scale.of(batch)
        found = _slide(views, shown, logits, most) if views.side else logits(shown)
        large = F.interpolate(found, size, mode="bilinear").softmax(1)
        total = total + (large.flip(-1) if scale.mirrored else large)
    return total / len(views.scales)


def _slide(views: Views, batch: Batch, logits: Callable[[Batch], Tensor], most: int) -> Tensor:
    """The mean logits [T, K, H, W] of the windows over each pixel of the finest sensor."""
    import torch
    from torch.nn import functional as F

    sizes = {n: (x.shape[-2], x.shape[-1]) for n, x in batch.images.items()}
    finest = max(sizes, key=lambda n: max(sizes[n]))
    places = lay(sizes, views.side, views.stride)
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
            place.of(total).add_(F.interpolate(part, place[2:], mode="bilinear"))
            place.of(count).add_(1)
    return total / count


def _cut(batch: Batch, places: Sequence[Mapping[str, Place]]) -> Batch:
    """Windows of a single sample, as samples; they keep its place on Earth."""
    import torch

    count = len(places)
    return Batch(
        batch.keys * count,
        {n: torch.cat([own[n].of(x) for own in places]) for n, x in batch.images.items()},
        {n: x.expand(count, -1) for n, x in batch.seen.items()},
        {n: x.expand(count, -1) for n, x in batch.days.items()},
        batch.lonlat.expand(count, -1),
    )
