"""A whole classification job beside the script that a careful user would write."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from skybench.bench.careful import careful_scores
from skybench.bench.cells import measure_cells, own_folders
from skybench.bench.made_images import write_classes
from skybench.bench.timing import Form, Peer, Timing, time_beside, value_row
from skybench.core import Batch, Features
from skybench.core.model import Model
from skybench.heads.logistic import LAMBDAS
from skybench.weights.load import load_model

MODEL = "imagenet"  # its weights come with skybench, so that all seeds share the features
MUST = ">= 5"


class _Case(NamedTuple):
    train: int  # images; a third as many each of val and test
    classes: int
    side: int
    size: int  # of the network's input
    fractions: tuple[float, ...]
    seeds: int


CASES = {
    "tiny": _Case(18, 3, 32, 128, (1.0,), 1),
    "short": _Case(480, 10, 64, 128, (0.5, 1.0), 2),
    "full": _Case(1200, 10, 64, 128, (0.1, 0.5, 1.0), 5),
}


def time_whole_job(form: Form) -> Iterator[Timing]:
    """Yield the job's time beside the script's, and how far their accuracies lie apart.

    The job: one set of JPEGs, a frozen EfficientNet-Lite0, every fraction and seed, all lambdas of
    the sweep chosen on val; skybench besides gives intervals, records and predictions. Parts of the
    training set are drawn differently, so accuracies agree within that.
    """
    case = CASES[form]
    with tempfile.TemporaryDirectory() as name:
        folder, third = Path(name), case.train // 3
        parts = {"train": case.train, "val": third, "test": third}
        write_classes(folder / "images", parts, case.classes, case.side)
        write_classes(folder / "few", {"train": 9, "val": 3, "test": 3}, 3, case.side)
        with own_folders(folder / "cache", folder / "records"):
            _job(folder / "few", case)()  # imports; the network is built
            ours, theirs = _job(folder / "images", case), _script(folder / "images", case)
            scores: list[Any] = []
            row = time_beside(
                f"{case.train + 2 * third:,} images, {len(case.fractions)} fractions, {case.seeds} "
                f"seeds, {len(LAMBDAS)} lambdas, once from nothing",
                lambda: scores.append(ours()),
                Peer("careful script", lambda: scores.append(theirs())), 1, MUST,
            )  # fmt: skip
    yield row
    apart = np.abs(np.mean(scores[0]) - np.mean([*scores[1].values()]))
    yield value_row("the same: mean accuracies, difference", float(apart), "points")


def _job(images: Path, case: _Case) -> Callable[[], list[float]]:
    def run() -> list[float]:
        return [
            record.scores["oa"]
            for fraction in case.fractions
            for record in measure_cells(
                model=MODEL, task="scene_classification", protocol="linear", variant="full",
                dataset=f"folder:{images}", size=case.size, fraction=fraction, seeds=case.seeds,
                device="cpu",
            )
        ]  # fmt: skip

    return run


def _script(images: Path, case: _Case) -> Callable[[], dict[tuple[float, int], float]]:
    network = plain_network()
    return lambda: careful_scores(images, network, case.size, case.fractions, case.seeds, LAMBDAS)


def plain_network() -> nn.Module:
    """Return the network of the job as a plain module: normalised images to pooled features."""
    return _Plain(load_model(MODEL, None, "full"))


class _Plain(nn.Module):
    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        n = len(x)
        images = {"hr": (x * 128 + 127)[:, None]}  # the model normalises by itself
        seen = {"hr": torch.ones(n, 1, dtype=torch.bool)}
        days = {"hr": torch.zeros(n, 1, dtype=torch.long)}
        batch = Batch(("",) * n, images, seen, days, torch.zeros(n, 2))
        found: Features = self.model(batch)
        return found.pooled
