"""A linear classifier on pooled features, trained along with the backbone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skybench.core import Recipe, Setting, Source
from skybench.training import fit
from skybench.training.lr_schedules import Schedule, rate, scheduled
from skybench.training.step import Job

CHUNK = 16  # images in one forward pass of prediction


class Vectors(Protocol):
    """What it asks of a source beyond core.Source: pooled features of some samples, [len, D]."""

    def __len__(self) -> int: ...
    def vectors(self, indices: Sequence[int]) -> Tensor: ...
    def target(self, index: int) -> Any: ...


class Norm(nn.BatchNorm1d):
    """Batch normalisation by the running mean and deviation where a sample comes alone.

    Beside itself it would be 0, whatever it shows.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.training and len(x) > 1:
            return super().forward(x)
        return F.batch_norm(x, self.running_mean, self.running_var, eps=self.eps)


class Finetuned:
    """Batch normalisation without parameters, then a linear layer; the last state counts.

    One class an image: cross-entropy; several: binary cross-entropy for each, summed. The
    normalisation makes one learning rate serve features of any size (as MAE's linear probe has it).
    """

    def __init__(self, dim: int, classes: int, several: bool, recipe: Recipe) -> None:
        self.dim, self.classes, self.several, self.recipe = dim, classes, several, recipe

    def fit(self, train: Source, val: Source | None, setting: Setting) -> Mapping[str, Any]:
        self.device = setting.device
        with torch.random.fork_rng():
            torch.manual_seed(setting.seed)
            layer = nn.Linear(self.dim, self.classes)
            nn.init.trunc_normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
            norm = Norm(self.dim, affine=False)
            self.head = nn.Sequential(norm, layer).to(self.device)
            job = Job(
                self._loss(cast(Vectors, train)),
                scheduled(self.recipe, Schedule(rate)),
                fit.scorer(self, val, self.recipe, setting),
            )
            trained = fit.train(self.head, len(train), self.recipe, setting, job)
        parameters = sum(p.numel() for p in self.head.parameters())
        return {**trained.facts(), "parameters": parameters}

    def _loss(self, source: Vectors) -> Any:
        def loss_of(indices: list[int], rng: np.random.Generator) -> Tensor:
            logits = self.head(source.vectors(indices).to(self.device))
            truth = np.stack([np.asarray(source.target(i)) for i in indices])
            target = torch.from_numpy(truth).to(self.device)
            if self.several:
                each = F.binary_cross_entropy_with_logits(logits, target.float(), reduction="none")
                return each.sum(1).mean()
            return F.cross_entropy(logits, target.long())

        return loss_of

    @torch.inference_mode()
    def predict(self, test: Source) -> Iterator[Any]:
        def answers(start: int, most: int) -> Any:
            indices = range(start, min(start + most, len(test)))
            vectors = cast(Vectors, test).vectors(indices)
            return self.head(vectors.to(self.device)).cpu().numpy()

        yield from fit.predicted(len(test), CHUNK, answers)
