"""The extractor: a model with its inputs, run on batches of samples without gradients."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from skybench.core import BandMapping, Batch, Features, Report, Time
from skybench.core.dataset import Samples, Subset
from skybench.core.model import Model, encode
from skybench.core.protocol import Level
from skybench.data.batching import batches, input_size, resize, resized
from skybench.features.batch_growth import BatchGrowth
from skybench.training.precision import at_precision

CHUNK_PIXELS = 4 * 224 * 224  # in a forward pass on the CPU: more is not faster (docs/log.md)
MOST = 16  # images in it


@dataclass(frozen=True)
class Extractor:
    """A model with its band mapping, time handling, input size, device and precision.

    On CPUs the network sees samples in chunks of a fixed number, so that the features of a sample
    are the same to the last bit however requests are batched.
    """

    model: Model
    mapping: Mapping[str, BandMapping]  # of the model's inputs to the dataset's sensors
    time: Time
    size: int  # side of the finest sensor's images in pixels; 0: as read
    device: str
    precision: str = ""  # of `training.precision`; not of `forward`

    def __call__(self, batch: Batch, level: Level = "pyramid") -> list[Features]:
        """Return the features of a collated batch, float32 on the CPU, without gradients.

        level: "pooled" leaves the pyramid out, which is many times as large.
        """
        with torch.inference_mode():
            out = self._in_chunks(batch, level)
        return [Features(f.pooled.cpu(), tuple(p.cpu() for p in f.pyramid)) for f in out]

    def on_device(self, batch: Batch, level: Level = "pyramid") -> list[Features]:
        """Return the same features on the device; a head may learn from them."""
        with torch.no_grad():  # of tensors made in inference mode nothing could be learned
            return self._in_chunks(batch, level)

    def forward(self, batch: Batch) -> list[Features]:
        """Return the features of a collated batch at once, with gradients if enabled.

        In the precision of the context, which a training step sets.
        """
        return encode(self.model, self._inputs(batch), self.time)

    def _inputs(self, batch: Batch) -> Batch:
        """The images as the model reads them, on the device: bands, units, size."""
        picked = resized(batch.to(self.device), self.size).select(self.mapping)
        card = self.model.card
        images = {
            n: resize(x, *input_size(card, n, *x.shape[-2:])) for n, x in picked.images.items()
        }
        return replace(picked, images=images)

    def _in_chunks(self, batch: Batch, level: Level) -> list[Features]:
        with at_precision(self.precision, self.device):
            inputs = self._inputs(batch)
            count, cpu = len(inputs.keys), self.device == "cpu"
            chunk, most = chunk_size(inputs) if cpu else (count, count)
            parts = []
            for start in range(0, count, chunk):
                # The last chunk is filled up with its last sample.
                indices = [min(i, count - 1) for i in range(start, start + chunk)]
                part = inputs if indices == [*range(count)] else inputs.at_samples(indices)
                part = part.trimmed() if cpu and self.time == "fuse" else part
                found = encode(self.model, part, self.time, most)
                parts.append([_first(f, count - start, level) for f in found])
        return [_joined(dates) for dates in zip(*parts, strict=True)]


def chunk_size(batch: Batch) -> tuple[int, int]:
    """Return how many samples, and images, a network sees at once on CPUs.

    Powers of two, by the size of the images alone. A series is seen alone, so that padding to the
    length of another one changes nothing.
    """
    dates = max(x.shape[1] for x in batch.images.values())
    pixels = sum(x[0, 0, 0].numel() for x in batch.images.values())
    fit = min(MOST, max(1, CHUNK_PIXELS // pixels))
    images = 1 << (fit.bit_length() - 1)
    return 1 if dates > 2 else max(1, images // dates), images


def _first(features: Features, count: int, level: Level) -> Features:
    """The features of the first samples, float32."""
    kept = features.pyramid if level == "pyramid" else ()
    return Features(features.pooled[:count].float(), tuple(maps[:count].float() for maps in kept))


def _joined(parts: Sequence[Features]) -> Features:
    if len(parts) == 1:
        return parts[0]
    levels = zip(*(f.pyramid for f in parts), strict=True)
    return Features(torch.cat([f.pooled for f in parts]), tuple(map(torch.cat, levels)))


def extract(
    extractor: Extractor,
    samples: Samples,
    report: Report = lambda *_: None,
    level: Level = "pyramid",
) -> Iterator[tuple[list[Features], list[Any]]]:
    """Yield features and targets by batch, in order; out of memory halves the batch size.

    On GPUs it is doubled while that gives more images per second. level: as of `Extractor`.
    """
    dates = max(len(x) for x in samples.read(0).images.values())
    gpu = extractor.device.startswith("cuda")
    growth = BatchGrowth(max(1, (64 if gpu else 16) // dates), growing=gpu)
    done = 0
    while done < len(samples):
        short = False
        try:
            rest = Subset(samples, range(done, len(samples))) if done else samples
            for images, truth in batches(
                rest, extractor.size, growth.size, device=extractor.device
            ):
                start = time.perf_counter()
                found = extractor(images, level)  # waits for the device
                rate = len(truth) / (time.perf_counter() - start)
                yield found, truth
                done += len(truth)
                report("features", done, len(samples))
                if growth.note(rate, _memory_in_use() if growth.growing else 0.0):
                    break
        except torch.cuda.OutOfMemoryError:
            if growth.size == 1:
                raise
            short = True
        if short:  # not before: the traceback holds the activations
            growth.halve()
            torch.cuda.empty_cache()


def _memory_in_use() -> float:
    """The share of a GPU's memory that torch has taken at most; 1 where it cannot tell."""
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return 1.0
    total = torch.cuda.get_device_properties().total_memory
    return float(torch.cuda.max_memory_reserved() / total)


def stack_dates(dates: Sequence[Features]) -> Features:
    """Stack the features of the dates along a new axis T after the first; one alone stays."""
    if len(dates) == 1:
        return dates[0]
    levels = zip(*(f.pyramid for f in dates), strict=True)
    return Features(
        torch.stack([f.pooled for f in dates], 1), tuple(torch.stack(x, 1) for x in levels)
    )
