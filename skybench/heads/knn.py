"""k-nearest-neighbour classification on pooled features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from skybench.core import FitContext, Source
from skybench.heads.rows import fits
from skybench.heads.validation_score import UNCHOSEN, selection_score

DEFAULT_K = 5  # without validation samples
NEIGHBOURS = (1, 3, 5, 10, 20, 50, 100, 200)
QUERIES = 1024  # at once
BANK = 2**15  # images of the bank whose similarities with these are in memory: 128 MiB
GROUP = 8  # similarities of which only the largest is sorted at first


def nearest_neighbours(
    bank: Tensor, queries: Tensor, k: int, device: str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Return cosine similarities and indices of the k nearest rows of `bank`, [Q, k] each.

    bank: [N, D], queries: [Q, D], float32. Exact, by matrix product and topk, on a device, where
    the result stays. Neither the bank nor all similarities are copied.
    """
    found = [
        _nearest(bank, F.normalize(q.to(device), dim=1), k) for q in torch.split(queries, QUERIES)
    ]
    return torch.cat([value for value, _ in found]), torch.cat([index for _, index in found])


def _nearest(bank: Tensor, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest rows for normalised queries."""
    best, start = None, 0
    for part in torch.split(bank, BANK):
        similarity = queries @ F.normalize(part.to(queries.device), dim=1).T
        value, index = largest(similarity, min(k, len(part)))
        if best is not None:
            value, index = torch.cat([best[0], value], 1), torch.cat([best[1], index + start], 1)
            value, order = value.topk(min(k, value.shape[1]), dim=1)
            index = index.gather(1, order)
        best, start = (value, index), start + len(part)
    if best is None:
        raise ValueError("Expected a bank of at least one row.")
    return best


def largest(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k largest values of each row of x [Q, N], in descending order, and their indices.

    Where k is much smaller than N, only the k groups of columns with the largest values are
    sorted: all of the k largest values lie in these.
    """
    groups = x.shape[1] // GROUP
    if groups < 2 * k:
        return x.topk(k, dim=1)
    inside = x[:, : groups * GROUP].view(len(x), GROUP, groups)  # a group's columns lie apart
    chosen = inside.amax(1).topk(k, dim=1, sorted=False).indices
    columns = chosen[:, None] + groups * torch.arange(GROUP, device=x.device)[:, None]
    rest = torch.arange(groups * GROUP, x.shape[1], device=x.device).expand(len(x), -1)
    columns = torch.cat([columns.flatten(1), rest], 1)
    value, order = x.gather(1, columns).topk(k, dim=1)
    return value, columns.gather(1, order)


def vote(similarity: Tensor, index: Tensor, labels: Tensor, k: int, classes: int) -> Tensor:
    """Return the share of the first k neighbours of each class; similarity breaks ties.

    similarity, index: [Q, >= k], nearest first; labels of the bank: class ids [N], or [N, classes]
    of 0 and 1. Returns scores [Q, classes], float64; the majority class has the largest.
    """
    # Summed similarities lie within [-k, k]; divided by 4k they never outweigh a vote. In float32
    # the rounding error of a sum of 200 votes would exceed many differences of similarity.
    weight = 1 + similarity[:, :k].double() / (4 * k)
    if labels.ndim == 2:
        table = labels.double()
        near = index[:, :k]
        return F.embedding_bag(near, table, per_sample_weights=weight, mode="sum") / k
    empty = weight.new_zeros(len(index), classes)
    return empty.scatter_add_(1, labels[index[:, :k]], weight) / k


class KNN:
    """Majority vote of the k nearest training images by cosine; k is selected on validation.

    With `refit`, validation samples were held out of train, and join the bank afterwards.
    """

    def __init__(self, classes: int, refit: bool) -> None:
        self.classes, self.refit = classes, refit
        self.k = 0

    def fit(self, train: Source, val: Source | None, setting: FitContext) -> Mapping[str, Any]:
        self.device, bank = setting.device, train.pooled()
        self.bank = bank.to(self.device) if fits(bank, self.device) else bank
        self.labels = train.labels().to(self.device)
        usable = [k for k in NEIGHBOURS if k <= len(train)]
        if not val:  # too few samples of a class to hold any out
            self.k = max(k for k in usable if k <= DEFAULT_K)
            return {"k": self.k, "val": None, "refitted": False, "note": UNCHOSEN}
        held, truth = val.pooled(), val.labels()
        similarity, index = nearest_neighbours(self.bank, held, usable[-1], self.device)
        found = {k: vote(similarity, index, self.labels, k, self.classes) for k in usable}
        score = {k: selection_score(found[k].cpu(), truth) for k in usable}
        self.k = max(usable, key=lambda k: (score[k], -k))
        if self.refit:
            self.bank = torch.cat([self.bank, held.to(self.bank.device)])
            self.labels = torch.cat([self.labels, truth.to(self.device)])
        sweep = {str(k): value for k, value in score.items()}
        return {"k": self.k, "val": score[self.k], "refitted": self.refit, "sweep": sweep}

    def predict(self, test: Source) -> Iterator[Any]:
        similarity, index = nearest_neighbours(self.bank, test.pooled(), self.k, self.device)
        yield from vote(similarity, index, self.labels, self.k, self.classes).cpu().numpy()
