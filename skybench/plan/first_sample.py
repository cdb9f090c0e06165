"""What the first sample of a split tells about all: shapes, and bytes when it is decoded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from skybench.core import DatasetCard
from skybench.core.dataset import Samples
from skybench.data.sample_arrays import arrays_of
from skybench.data.shards import stored_bytes


class FirstSample(NamedTuple):
    """The card of an opened split, and the shapes and sizes of its first sample."""

    card: DatasetCard
    shapes: Mapping[str, tuple[int, int, int]]  # sensor -> dates, height, width
    image_bytes: Mapping[str, int]  # sensor -> as they are kept when they are decoded
    target_bytes: int

    def bytes(self, sensors: Iterable[str]) -> int:
        """Return the bytes of a decoded sample with these sensors, its target included."""
        return self.target_bytes + sum(self.image_bytes[name] for name in sensors)


def look_at(samples: Samples) -> FirstSample:
    """Read the first sample of a split. Raises DataError as reading does."""
    first = samples.read(0)
    return FirstSample(
        samples.card,
        {n: (len(x), *x.shape[-2:]) for n, x in first.images.items()},
        {n: stored_bytes({n: x.numpy()}) for n, x in first.images.items()},
        stored_bytes(arrays_of(first.target)),
    )
