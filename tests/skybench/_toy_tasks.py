"""Two tasks of another package: a yield in t/ha, lower is better; a protocol called "tuned"."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skybench.core import (
    UINT8,
    DatasetCard,
    FitContext,
    Protocol,
    Recipe,
    Sample,
    ScoreInfo,
    Sensor,
    Source,
    Target,
    Task,
)
from skybench.core.dataset import Samples, Split
from skybench.core.fingerprint import fingerprint_keys
from tests.skybench._plugins import module

HR = Sensor("hr", ("red", "green", "blue"), 0.5, UINT8)
COUNT = 24
ERROR = ScoreInfo(False, "t/ha", 0.0, math.inf)


class Fields(Samples):
    """Seeded images of 32 pixels; the target is a yield [1], or a class of two."""

    def __init__(self, card: DatasetCard, split: str, demo: bool) -> None:
        self.card, self.first = card, 1000 * list(card.splits).index(split)
        self.keys = tuple(f"{split}{i:03d}" for i in range(COUNT))
        self.split = Split(split, "official list", fingerprint_keys(self.keys), demo)
        if card.classes:
            self.labels = tuple(i % 2 for i in range(COUNT))

    def read(self, index: int) -> Sample:
        rng = np.random.default_rng(self.first + index)
        level = rng.uniform(40, 200)
        image = np.clip(rng.normal(level, 10, (1, 3, 32, 32)), 0, 255).astype(np.uint8)
        harvest = torch.tensor([level / 20 + rng.normal(0, 0.3)])
        target: Any = harvest.float() if self.labels is None else self.labels[index]
        return Sample(self.keys[index], {"hr": torch.from_numpy(image)}, target)


def dataset(name: str, task: str, classes: tuple[str, ...], target: Target | None) -> ModuleType:
    """A data set plugin."""
    splits = {"train": COUNT, "val": COUNT, "test": COUNT}
    card = DatasetCard(
        name, name.title(), (task,), (HR,), classes, splits, "ours", "none", "none", "none",
        target=target,
    )  # fmt: skip

    def open_(root: Path, split: str, tile: int = 0, **options: str) -> Samples:
        return Fields(card, split, True)

    def write_demo(root: Path, seed: int = 0) -> None:
        (root / "fields.txt").write_text("seeded")

    return module(name, CARD=card, open=open_, write_demo=write_demo)


class Rmse:
    """Root mean square error and bias over images."""

    info: ClassVar = {"rmse": ERROR, "bias": ScoreInfo(None, "t/ha", -math.inf, math.inf)}

    def __init__(self) -> None:
        self.errors: list[float] = []
        self.true: list[float] = []

    def update(self, prediction: Any, target: Any, key: str = "") -> None:
        self.errors.append(float(prediction[0]) - float(target[0]))
        self.true.append(float(target[0]))

    def scores(self, weights: NDArray[np.float64] | None = None) -> dict[str, Any]:
        errors = np.array(self.errors)
        weights = np.ones((1, len(errors))) if weights is None else weights
        share = weights / weights.sum(1, keepdims=True)
        found = {"rmse": np.sqrt(share @ errors**2), "bias": share @ errors}
        return found if len(share) > 1 else {n: float(v[0]) for n, v in found.items()}

    def per_class(self) -> dict[str, dict[str, float]]:
        return {}

    def chance(self) -> float:
        return float(np.std(self.true))

    def fresh(self) -> Rmse:
        return Rmse()

    def state(self) -> dict[str, NDArray[Any]]:
        return {"errors": np.array(self.errors), "true": np.array(self.true)}

    def restored(self, state: Mapping[str, NDArray[Any]]) -> Rmse:
        made = Rmse()
        made.errors, made.true = state["errors"].tolist(), state["true"].tolist()
        return made


class Constant:
    """The mean yield of the training fields, or a line on the mean feature."""

    def __init__(self, line: bool) -> None:
        self.line = line

    def fit(self, train: Source, val: Source | None, setting: FitContext) -> Mapping[str, Any]:
        self.told = setting.score_info
        y = torch.stack([torch.as_tensor(train.target(i)) for i in range(len(train))])
        self.solution = torch.linalg.lstsq(self._x(train), y).solution
        return {}

    def _x(self, source: Source) -> Tensor:
        x = source.pooled().mean(1, keepdim=True)
        return torch.cat([x * self.line, torch.ones_like(x)], 1)

    def predict(self, test: Source) -> Iterator[Any]:
        yield from self._x(test) @ self.solution


def _recipes(dataset: DatasetCard, protocol: str, demo: bool) -> tuple[Recipe, ...]:
    return (
        Recipe(protocol, val="", label="a"),
        Recipe(protocol, train="val", val="", label="b"),
    )


YIELD = Task(
    name="toy_yield", title="Yield", time="fuse", level="pooled",
    protocols={"line": Protocol("line", False, "pooled", "least squares on the mean feature")},
    head=lambda recipe, model, dataset: Constant(model.name != "rcf"),
    metric=lambda dataset: Rmse(), recipes=_recipes,
)  # fmt: skip


def _tuned(recipe: Recipe, model: Any, dataset: DatasetCard) -> Any:
    from skybench.heads.classifier import Finetuned

    return Finetuned(model.dim, 2, False, recipe)


def _accuracy(dataset: DatasetCard) -> Any:
    from skybench.metrics.accuracy import Accuracy

    return Accuracy(dataset.classes)


def _tuned_recipes(dataset: DatasetCard, protocol: str, demo: bool) -> tuple[Recipe, ...]:
    if protocol != "tuned":
        raise KeyError(protocol)  # as a plugin may
    return (Recipe("tuned", val="", epochs=2, batch=8, lr=1e-3, source="ours: a toy"),)


SCENES = Task(
    name="toy_scenes", title="Scenes", time="fuse", level="pyramid",
    protocols={"tuned": Protocol("tuned", True, "pooled", "everything is trained")},
    head=_tuned, metric=_accuracy, recipes=_tuned_recipes,
)  # fmt: skip

PLUGINS = {
    "datasets": {
        "toy_fields": dataset("toy_fields", "toy_yield", (), Target("values", math.nan)),
        "toy_places": dataset("toy_places", "toy_scenes", ("a", "b"), None),
    },
    "tasks": {
        "toy_yield": module("toy_yield", TASK=YIELD),
        "toy_scenes": module("toy_scenes", TASK=SCENES),
    },
}
