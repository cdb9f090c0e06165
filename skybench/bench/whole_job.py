"""A whole classification job beside the script that a careful user would write."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from skybench.bench.careful import Features, careful_features, careful_scores
from skybench.bench.cells import measure_cells, own_folders
from skybench.bench.made_images import write_classes
from skybench.bench.timing import Form, Timing, clock, ratio_row, seconds, value_row
from skybench.core import Batch
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
    # As EuroSAT: 10 classes of images of 64 pixels, which this network sees at 128.
    "short": _Case(480, 10, 64, 128, (0.5, 1.0), 2),
    "full": _Case(2400, 10, 64, 128, (0.1, 0.5, 1.0), 5),
}


def time_whole_job(form: Form) -> Iterator[Timing]:
    """Yield the job's time beside the script's, that after features, and the accuracies' distance.

    The job: one set of JPEGs, a frozen EfficientNet-Lite0, every fraction and seed, all lambdas of
    the sweep chosen on val; skybench besides gives intervals, records and predictions. Both make
    features once; the second row is all that follows, on our side a whole run with kept features.
    Parts of the training set are drawn differently, so accuracies agree within that.
    """
    case = CASES[form]
    with tempfile.TemporaryDirectory() as name:
        folder, third = Path(name), case.train // 3
        parts = {"train": case.train, "val": third, "test": third}
        write_classes(folder / "images", parts, case.classes, case.side)
        write_classes(folder / "few", {"train": 9, "val": 3, "test": 3}, 3, case.side)
        with own_folders(folder / "cache", folder / "records"):
            _job(folder / "few", case)(False)  # imports; the network is built
            ours = _job(folder / "images", case)
            yield from _beside(case, ours, _script(folder / "images", case))


class _Script(NamedTuple):
    """The careful script in its two steps."""

    features: Callable[[], Mapping[str, Features]]
    scores: Callable[[Mapping[str, Features]], Mapping[tuple[float, int], float]]


def _beside(case: _Case, ours: Callable[[bool], list[float]], theirs: _Script) -> Iterator[Timing]:
    read, found = clock(), list[Any]()
    cold = seconds(lambda: found.append(ours(False)), read)
    features = seconds(lambda: found.append(theirs.features()), read)
    fits = seconds(lambda: found.append(theirs.scores(found[1])), read)
    again = seconds(lambda: ours(True), read)
    what = (
        f"{case.train + 2 * (case.train // 3):,} images of {case.side} pixels, "
        f"{len(case.fractions)} fractions, {case.seeds} seeds, {len(LAMBDAS)} lambdas"
    )
    peer = "careful script"
    yield ratio_row(f"{what}, once from nothing", [cold], peer, [features + fits], MUST)
    yield ratio_row("the same after features", [again], peer, [fits])
    apart = np.abs(np.mean(found[0]) - np.mean([*found[2].values()]))
    yield value_row("the same: mean accuracies, difference", float(apart), "points")


def _job(images: Path, case: _Case) -> Callable[[bool], list[float]]:
    def run(force: bool) -> list[float]:
        return [
            record.scores["oa"]
            for fraction in case.fractions
            for record in measure_cells(
                model=MODEL, task="scene_classification", protocol="linear", variant="full",
                dataset=f"folder:{images}", size=case.size, fraction=fraction, seeds=case.seeds,
                device="cpu", force=force,
            )
        ]  # fmt: skip

    return run


def _script(images: Path, case: _Case) -> _Script:
    network = plain_network()
    return _Script(
        lambda: careful_features(images, network, case.size),
        lambda splits: careful_scores(splits, case.fractions, case.seeds, LAMBDAS),
    )


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
        pooled: Tensor = self.model(batch).pooled
        return pooled
