"""The time of a cell with a frozen backbone, beside the bare forward loop of its network."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from skybench.bench.cells import measure_cells, own_folders
from skybench.bench.made_images import write_classes
from skybench.bench.timing import Form, Timing, clock, judged_at_full, ratio_row, seconds
from skybench.core import Batch
from skybench.core.model import Model
from skybench.weights.load import load_model

BATCH = 16  # of the bare loop
CLASSES = 3
FEW = 9  # images of the cell that is run first
RERUN = "<= 0.02"


class Family(NamedTuple):
    """A family of networks, and the model that stands for it."""

    title: str
    model: str
    variant: str
    arch: dict[str, Any]
    must: str
    images: dict[str, int]  # by the form of the benchmark; "tiny" is of the tiny variant


def _family(title: str, model: str, variant: str, short: int, **arch: Any) -> Family:
    must = "<= 1.08" if title.startswith("EfficientNet") else "<= 1.05"
    return Family(title, model, variant, arch, must, {"tiny": 9, "short": short, "full": 300})


FAMILIES = (
    _family("ResNet-50", "caco", "resnet50", 60),
    _family("ViT-B/16", "scale_mae", "full", 30, dim=768, depth=12, heads=12),
    _family("Swin-B", "gfm", "full", 30),
    _family("EfficientNet-Lite0", "imagenet", "full", 120),
)
ROUNDS = {"tiny": 1, "short": 1, "full": 3}
SIDES = {"tiny": 32, "short": 224, "full": 224}


def time_extraction(form: Form) -> Iterator[Timing]:
    """Yield for each family the ratios of a cell to the bare loop, and of its rerun to the cell.

    A cell is all that `skybench run --protocol linear` does once it is imported: planning,
    decoding, extraction, the sweep, the scores with their intervals, the record. The bare loop has
    its batches in memory and keeps the pooled features. Targets are those of 300 images: with fewer
    the constant part of a cell weighs more.
    """
    families = FAMILIES[-1:] if form == "tiny" else FAMILIES
    for family in families:
        yield from _rows(family, form)


def _rows(family: Family, form: Form) -> Iterator[Timing]:
    count, side, read = family.images[form], SIDES[form], clock()
    variant, arch = ("tiny", {}) if form == "tiny" else (family.variant, family.arch)
    cold, loop, again = [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cell = _cell(family.model, variant, arch, side)
        bare = _bare_loop(load_model(family.model, "random", variant, **arch), count, side)
        few, many = folder / "few", folder / "many"
        for root, images in ((few, FEW), (many, count)):
            parts = {"train": images * 2 // 3, "test": images - images * 2 // 3}
            write_classes(root, parts, CLASSES, side)
        with own_folders(folder / "cache", folder / "records"):
            cell(few)  # imports, takes memory, chooses kernels
        for round_ in range(ROUNDS[form]):
            with own_folders(folder / f"cache{round_}", folder / f"records{round_}"):
                cold.append(seconds(lambda: cell(many), read))
                loop.append(seconds(bare, read))
                again.append(seconds(lambda: cell(many), read))
    what = f"{family.title}, {count} images of {side} pixels"
    row = ratio_row(f"{what}: a cell", cold, "bare forward loop", loop, family.must)
    yield judged_at_full(row, form)
    row = ratio_row(f"{what}: forced again", again, "the first time", cold, RERUN)
    yield judged_at_full(row, form)


def _cell(
    model: str, variant: str, arch: Mapping[str, Any], side: int
) -> Callable[[Path], list[Any]]:
    """A function that runs the cell of a folder of images."""
    return lambda images: measure_cells(
        model=model, task="scene_classification", protocol="linear", dataset=f"folder:{images}",
        weights="random", variant=variant, arch={k: str(v) for k, v in arch.items()}, size=side,
        force=True,
    )  # fmt: skip


def _bare_loop(model: Model, count: int, side: int) -> Callable[[], Any]:
    """The forward pass of these many images that are in memory, by batch."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    (sensor, *_) = model.card.inputs
    model = model.to(device).eval()
    width = max(side, model.card.min_pixels)
    batches = []
    for start in range(0, count, BATCH):
        n = min(BATCH, count - start)
        images = torch.rand(n, 1, len(sensor.bands), width, width, device=device) * 255
        seen = torch.ones(n, 1, dtype=torch.bool, device=device)
        days = torch.full((n, 1), 18_000, device=device)
        place = torch.zeros(n, 2, device=device)
        batches.append(
            Batch(("",) * n, {sensor.name: images}, {sensor.name: seen}, {sensor.name: days}, place)
        )

    @torch.inference_mode()
    def run() -> Any:
        return torch.cat([model(batch).pooled for batch in batches]).cpu()

    return run
