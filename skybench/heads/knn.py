"""k-nearest-neighbour classification on pooled features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from skybench.core import FitContext, Source
from skybench.heads.validation_score import UNCHOSEN, selection_score

DEFAULT_K = 5  # without validation samples
NEIGHBOURS = (1, 3, 5, 10, 20, 50, 100, 200)
CHUNK = 4096  # rows of the test set in one matrix product


def nearest_neighbours(bank: Tensor, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return cosine similarities and indices of the k nearest rows of `bank`, [Q, k] each.

    bank: [N, D], queries: [Q, D], float32. Exact, by matrix product and topk.
    """
    bank = F.normalize(bank, dim=1)
    parts = [(F.normalize(q, dim=1) @ bank.T).topk(k, dim=1) for q in torch.split(queries, CHUNK)]
    return torch.cat([p.values for p in parts]), torch.cat([p.indices for p in parts])


def vote(similarity: Tensor, labels: Tensor, k: int, classes: int) -> Tensor:
    """Return the share of the first k neighbours of each class; similarity breaks ties.

    similarity: [Q, >= k], nearest first; labels: class ids like it, or [Q, >= k, classes] of 0
    and 1. Returns scores [Q, classes]; the majority class has the largest.
    """
    # Summed similarities lie within [-k, k]; divided by 4k they never outweigh a vote. In float32
    # the rounding error of a sum of 200 votes would exceed many differences of similarity.
    weight = 1 + similarity[:, :k].double() / (4 * k)
    if labels.ndim == 3:
        return torch.einsum("qk,qkc->qc", weight, labels[:, :k].double()) / k
    return weight.new_zeros(len(labels), classes).scatter_add_(1, labels[:, :k], weight) / k


class KNN:
    """Majority vote of the k nearest training images by cosine; k is selected on validation.

    With `refit`, validation samples were held out of train, and join the bank afterwards.
    """

    def __init__(self, classes: int, refit: bool) -> None:
        self.classes, self.refit = classes, refit
        self.k = 0

    def fit(self, train: Source, val: Source | None, setting: FitContext) -> Mapping[str, Any]:
        self.bank, self.labels = train.pooled(), train.labels()
        usable = [k for k in NEIGHBOURS if k <= len(train)]
        if not val:  # too few samples of a class to hold any out
            self.k = max(k for k in usable if k <= DEFAULT_K)
            return {"k": self.k, "val": None, "refitted": False, "note": UNCHOSEN}
        similarity, index = nearest_neighbours(self.bank, val.pooled(), usable[-1])
        truth = val.labels()
        found = {k: self._scores(similarity, index, k) for k in usable}
        score = {k: selection_score(found[k], truth) for k in usable}
        self.k = max(usable, key=lambda k: (score[k], -k))
        if self.refit:
            self.bank = torch.cat([self.bank, val.pooled()])
            self.labels = torch.cat([self.labels, truth])
        sweep = {str(k): value for k, value in score.items()}
        return {"k": self.k, "val": score[self.k], "refitted": self.refit, "sweep": sweep}

    def _scores(self, similarity: Tensor, index: Tensor, k: int) -> Tensor:
        parts = zip(torch.split(similarity, CHUNK), torch.split(index, CHUNK), strict=True)
        return torch.cat([vote(s, self.labels[i], k, self.classes) for s, i in parts])

    def predict(self, test: Source) -> Iterator[Any]:
        similarity, index = nearest_neighbours(self.bank, test.pooled(), self.k)
        yield from self._scores(similarity, index, self.k).numpy()
