"""A linear classifier on pooled features, trained with the backbone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skybench.core import FitContext, Recipe, Source
from skybench.training import fit
from skybench.training.checkpoints import fork_rng
from skybench.training.lr_schedules import Schedule, linear_decay, recipe_schedule
from skybench.training.step import TrainingJob

CHUNK = 16  # images in a forward pass of prediction


class PooledSource(Protocol):
    """A source that also gives the pooled features [len, D] of a batch of samples."""

    def __len__(self) -> int: ...
    def vectors(self, indices: Sequence[int]) -> Tensor: ...
    def target(self, index: int) -> Any: ...


class SafeBatchNorm1d(nn.BatchNorm1d):
    """Batch normalisation that uses running statistics for a batch of one sample.

    Normalised by its own statistics, a single sample would be 0.
    """

    shareable = True  # `training.shared_norms` does the same for several processes

    def forward(self, x: Tensor) -> Tensor:
        if self.training and len(x) > 1:
            return super().forward(x)
        return F.batch_norm(x, self.running_mean, self.running_var, eps=self.eps)


class Finetuned:
    """Batch normalisation without parameters, then a linear layer, trained with the backbone.

    The loss is cross-entropy, or with several classes per image the summed binary cross-entropy;
    with the recipe's loss "softmargin" its mean over classes, torch's MultiLabelSoftMarginLoss.
    Targets may be soft, after mixup or CutMix. Dropout, if any, is before the linear layer.
    The normalisation makes one learning rate fit features of any scale (as in MAE's linear probe).
    """

    def __init__(self, dim: int, classes: int, several: bool, recipe: Recipe) -> None:
        self.dim, self.classes, self.several, self.recipe = dim, classes, several, recipe

    def fit(self, train: Source, val: Source | None, setting: FitContext) -> Mapping[str, Any]:
        self.device = setting.device
        with fork_rng(setting.device):
            torch.manual_seed(setting.seed)
            layer = nn.Linear(self.dim, self.classes)
            nn.init.trunc_normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
            norm = SafeBatchNorm1d(self.dim, affine=False)
            drop = [nn.Dropout(self.recipe.dropout)] if self.recipe.dropout else []
            self.head = nn.Sequential(norm, *drop, layer).to(self.device)
            job = TrainingJob(
                self._loss(cast(PooledSource, train)),
                recipe_schedule(self.recipe, Schedule(linear_decay), len(train)),
                fit.validation_scorer(self, val, self.recipe, setting),
            )
            trained = fit.train(self.head, len(train), self.recipe, setting, job)
        parameters = sum(p.numel() for p in self.head.parameters())
        return {**trained.facts(), "parameters": parameters}

    def _loss(self, source: PooledSource) -> Any:
        def loss_of(indices: list[int], rng: np.random.Generator) -> Tensor:
            logits = self.head(source.vectors(indices).to(self.device))
            truth = np.stack([np.asarray(source.target(i)) for i in indices])
            target = torch.from_numpy(truth).to(self.device)
            if not self.several:
                target = target if target.is_floating_point() else target.long()
                return F.cross_entropy(logits, target, label_smoothing=self.recipe.smoothing)
            if self.recipe.loss == "softmargin":
                return F.multilabel_soft_margin_loss(logits.float(), target.float())
            each = F.binary_cross_entropy_with_logits(logits, target.float(), reduction="none")
            return each.sum(1).mean()

        return loss_of

    @torch.inference_mode()
    def predict(self, test: Source) -> Iterator[Any]:
        def answers(start: int, most: int) -> Any:
            indices = range(start, min(start + most, len(test)))
            vectors = cast(PooledSource, test).vectors(indices)
            return self.head(vectors.to(self.device)).cpu().numpy()

        yield from fit.predict_in_batches(len(test), CHUNK, answers)
