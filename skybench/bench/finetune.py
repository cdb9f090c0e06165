"""Speed of a fine-tuning step, beside a bare training loop."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skybench.bench.timing import Form, Peer, Timing, time_beside
from skybench.core import UINT8, DatasetCard, FitContext, Recipe, Sample, Sensor, match
from skybench.core.dataset import Samples
from skybench.core.model import Model
from skybench.data.batching import collate
from skybench.features.extractor import Extractor
from skybench.features.online import OnlineFeatures
from skybench.features.sources import SourceSubset
from skybench.heads.classifier import Finetuned
from skybench.training import parameter_groups
from skybench.weights.load import load_model

CLASSES = 10
MUST = "<= 1.05"
SENSOR = Sensor("hr", ("red", "green", "blue"), 1.0, UINT8)


class _Case(NamedTuple):
    """A network that keeps its device busy, and how it is trained."""

    variant: str  # of Scale-MAE
    arch: dict[str, Any]
    side: int
    batch: int
    precision: str
    steps: int = 12
    rounds: int = 3


SMALL = _Case("tiny", {"image": 224, "dim": 192, "depth": 6}, 224, 8, "")
CASES = {  # by device and form
    "cuda": {"short": _Case("full", {}, 224, 64, "bf16")},  # ViT-L
    "cpu": {
        "tiny": _Case("tiny", {}, 64, 2, "", 2, 1),
        "short": SMALL._replace(steps=6, rounds=2),
        "full": SMALL,
    },
}


class Noise(Samples):
    """Random images in memory, so that reading files costs nothing."""

    def __init__(self, count: int, side: int) -> None:
        made = torch.Generator().manual_seed(0)
        self.images = torch.randint(0, 256, (count, 1, 3, side, side), generator=made).byte()
        names = tuple(f"class {i}" for i in range(CLASSES))
        self.card = DatasetCard(
            "noise", "Noise", ("scene_classification",), (SENSOR,), names, {"train": count},
            "ours", "none", "none", "none",
        )  # fmt: skip
        self.keys = tuple(f"{i:05d}" for i in range(count))

    def read(self, index: int) -> Sample:
        images = {"hr": self.images[index]}
        return Sample(self.keys[index], images, target=index % CLASSES)


def time_finetuning(form: Form) -> Timing:
    """Time forward, loss, backward and AdamW of a ViT with a linear classifier, all trained.

    Both begin with the same weights, see the same images in the same precision and have the same
    groups of parameters; the bare loop has its batches on the device beforehand. On a GPU, ViT-L
    at 224 pixels in bfloat16, if there is one; else a small ViT.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    case = CASES[device].get(form) or CASES[device]["short"]
    samples = Noise(case.steps * case.batch, case.side)
    recipe = Recipe(
        "finetune", epochs=1, batch=case.batch, lr=1e-5, weight_decay=0.05, schedule="cosine",
        layer_decay=0.9, precision=case.precision,
    )  # fmt: skip
    first = load_model("scale_mae", "random", case.variant, **case.arch).to(device)
    ours = _ours(copy.deepcopy(first), samples, recipe, device)
    theirs = _bare(copy.deepcopy(first), samples, recipe, device)
    for run in (ours, theirs):
        run()  # memory is taken, kernels are chosen
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    count = sum(p.numel() for p in first.parameters()) / 1e6
    what = (
        f"fine-tuning, {case.steps} steps of {case.batch} images of {case.side} pixels, "
        f"{count:.0f} M parameters, {case.precision or 'float32'}, {name}"
    )
    return time_beside(what, ours, Peer("bare loop", theirs), case.rounds, MUST)


def _ours(model: Model, samples: Samples, recipe: Recipe, device: str) -> Callable[[], Any]:
    extractor = Extractor(model, match(model.card, samples.card.sensors), "fuse", 0, device)

    def run() -> Any:
        whole = OnlineFeatures(extractor, samples, recipe)
        train = SourceSubset(whole, range(len(samples)))
        head = Finetuned(model.card.dim, CLASSES, False, recipe)
        setting = FitContext(
            0, device, backbone=model, on_epoch_start=whole.set_epoch, prefetch=train.prefetch
        )
        return head.fit(train, None, setting)

    return run


def _bare(model: Model, samples: Samples, recipe: Recipe, device: str) -> Callable[[], Any]:
    found = match(model.card, samples.card.sensors)
    norm = nn.BatchNorm1d(model.card.dim, affine=False)
    head = nn.Sequential(norm, nn.Linear(model.card.dim, CLASSES)).to(device)
    optimizer = torch.optim.AdamW(
        parameter_groups.parameter_groups(head, recipe, model), lr=recipe.lr
    )
    batches = []
    for start in range(0, len(samples), recipe.batch):
        part = [samples.read(i) for i in range(start, start + recipe.batch)]
        truth = torch.tensor([s.target for s in part], device=device)
        batches.append((collate(part, 0).to(device).select(found), truth))

    def run() -> list[float]:
        model.train()
        losses: list[Tensor] = []
        for batch, truth in batches:
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device, torch.bfloat16, bool(recipe.precision)):
                loss = F.cross_entropy(head(model(batch).pooled), truth)
            torch.autograd.backward(loss)
            optimizer.step()
            losses.append(loss.detach())
        return [loss.item() for loss in losses]  # waits for the device

    return run
