"""Rates of networks on a GPU, for gpu_check.py: bare forward pass, extraction, compiled code."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from skybench import load_model
from skybench.core import Batch, Features, match
from skybench.core.model import Model
from skybench.features.extractor import Extractor

Row = dict[str, Any]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# Dense bf16 products a second, in 1e12. Source: NVIDIA's data sheets of H100 SXM, H200 and A100.
PEAKS = {"H200": 989.0, "H100": 989.0, "A100": 312.0}


class Network(NamedTuple):
    """A network whose rate is measured, and what it should reach on an H100."""

    title: str
    model: str
    variant: str
    arch: dict[str, Any]
    side: int
    batch: int
    anchor: float | None  # images/s of the bare loop, published for this kind of network


NETWORKS = (
    Network("ResNet-50", "caco", "resnet50", {}, 224, 256, 8912),
    Network("ViT-L/16", "scale_mae", "full", {}, 224, 128, 2492),
    Network(
        "Swin-L", "gfm", "full",
        {"dim": 192, "depths": (2, 2, 18, 2), "heads": (6, 12, 24, 48)}, 224, 128, 1708,
    ),
    Network("SkySense HR-Huge", "skysense", "full", {}, 512, 16, None),
)  # fmt: skip


def synchronise() -> None:
    """Wait for the GPU, if there is one."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def seconds(run: Callable[[], Any], rounds: int = 3) -> float:
    """The shortest wall time of a computation, after one to warm up."""
    spent = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        run()
        synchronise()
        spent.append(time.perf_counter() - start)
    return min(spent[1:])


def images_of(model: Model, count: int, side: int, dates: int = 1) -> Batch:
    """Seeded images of a model's first input, on the device."""
    made = torch.Generator().manual_seed(0)
    sensor = model.card.inputs[0]
    smallest, step = model.card.input_sizes.get(
        sensor.name, (model.card.min_pixels, model.card.multiple)
    )
    side = -(-max(side, smallest) // step) * step
    shape = (count, dates, len(sensor.bands), side, side)
    images = {sensor.name: 255 * torch.rand(shape, generator=made)}
    seen = {sensor.name: torch.ones(count, dates, dtype=torch.bool)}
    days = {sensor.name: torch.full((count, dates), 18_000)}
    keys = tuple(map(str, range(count)))
    return Batch(keys, images, seen, days, torch.zeros(count, 2)).to(DEVICE)


def check_rates(tiny: bool) -> Iterator[Row]:
    """Images a second by precision: a bare forward pass, its share of the peak, and extraction.

    The bare pass has its images on the device; extraction copies images to it and features back.
    """
    for network in NETWORKS:
        if tiny:
            network = network._replace(variant="tiny", arch={}, side=64, batch=2)
        model = load_model(network.model, "random", network.variant, **network.arch).to(DEVICE)
        given = images_of(model, network.batch, network.side)
        host, operations = given.to("cpu"), flops(model, given)
        found = match(model.card, model.card.inputs[:1])
        for precision, dtype in (("", None), ("bf16", torch.bfloat16), ("fp16", torch.float16)):
            if DEVICE == "cpu" and precision == "fp16":
                continue
            extractor = Extractor(model, found, "fuse", 0, DEVICE, precision)
            spent = seconds(functools.partial(forward, model, given, dtype))
            ours = seconds(functools.partial(extractor, host))
            row = rate_row(network, network.batch / spent, operations / spent)
            yield {"precision": precision or "float32", **row,
                   "extraction / bare": round(ours / spent, 3)}  # fmt: skip
        del model


def check_compile(tiny: bool) -> Iterator[Row]:
    """`torch.compile` beside the eager forward pass in bf16: gain, warm-up, and what it changes.

    skybench does not offer it: fused kernels change the last bits, so it would be in fingerprints
    as a precision is. These rows say whether it is worth that.
    """
    for network in NETWORKS[:1] if tiny else NETWORKS:
        if tiny:
            network = network._replace(variant="tiny", arch={}, side=64, batch=2)
        model = load_model(network.model, "random", network.variant, **network.arch).to(DEVICE)
        given = images_of(model, network.batch, network.side)
        fused = torch.compile(model, backend="eager" if tiny else "inductor")
        start = time.perf_counter()
        far = relative(pooled(fused, given), pooled(model, given))
        warm_up = time.perf_counter() - start
        plain, fast = (seconds(functools.partial(pooled, m, given)) for m in (model, fused))
        yield {"network": network.title, "eager / compiled": round(plain / fast, 3),
               "warm-up s": round(warm_up, 1), "distance": far,
               "images until it pays": round(warm_up * network.batch / max(1e-9, plain - fast))
               if fast < plain else None}  # fmt: skip
        del model, fused
        torch.compiler.reset()


@torch.inference_mode()
def pooled(model: Callable[[Batch], Features], given: Batch) -> Tensor:
    """The pooled features of a batch, computed in bf16."""
    with torch.autocast(DEVICE, torch.bfloat16):
        return model(given).pooled.float().cpu()


def relative(one: Tensor, other: Tensor) -> float:
    """The relative distance of features."""
    return float((one - other).norm() / other.norm())


def flops(model: Model, given: Batch) -> float:
    """Floating-point operations of a forward pass."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(given)
    return float(counter.get_total_flops())


@torch.inference_mode()
def forward(model: Model, given: Batch, dtype: torch.dtype | None) -> None:
    """A bare forward pass."""
    with torch.autocast(DEVICE, dtype, enabled=dtype is not None):
        model(given)


def rate_row(network: Network, rate: float, operations: float) -> Row:
    """A measured rate beside the anchor."""
    name = torch.cuda.get_device_name() if DEVICE == "cuda" else "cpu"
    peak = next((p for known, p in PEAKS.items() if known in name), None)
    return {
        "network": network.title, "side": network.side, "batch": network.batch,
        "images/s": round(rate, 1), "anchor": network.anchor,
        "TFLOP/s": round(operations / 1e12, 2),
        "share of bf16 peak": peak and round(operations / 1e12 / peak, 3),
    }  # fmt: skip
