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
GROUP = 5  # similarities of which only the largest is sorted at first


def nearest_neighbours(
    bank: Tensor, queries: Tensor, k: int, device: str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Return cosine similarities and indices of the k nearest rows of `bank`, [Q, k] each.

    bank: [N, D], queries: [Q, D], float32. Exact, by matrix product and topk, on a device, where
    the result stays. Neither the bank nor all similarities are copied: a part of the bank is
    normalised, and moved to the device, once for all queries.
    """
    if not len(bank):
        raise ValueError("Expected a bank of at least one row.")
    found: list[tuple[Tensor, Tensor]] = []  # of each chunk of queries
    rows = min(QUERIES, len(queries)), min(BANK, len(bank))
    memory = bank.new_empty(rows[0] * rows[1], device=device)  # reused: new pages take time
    for start in range(0, len(bank), BANK):
        part = F.normalize(bank[start : start + BANK].to(device), dim=1)
        for number, some in enumerate(torch.split(queries, QUERIES)):
            chunk = F.normalize(some.to(device), dim=1)
            similarity = memory[: len(chunk) * len(part)].view(len(chunk), len(part))
            value, index = largest(torch.mm(chunk, part.T, out=similarity), min(k, len(part)))
            if start:
                found[number] = _merged(found[number], (value, index + start), k)
            else:
                found.append((value, index))
    return torch.cat([value for value, _ in found]), torch.cat([index for _, index in found])


def _merged(
    best: tuple[Tensor, Tensor], more: tuple[Tensor, Tensor], k: int
) -> tuple[Tensor, Tensor]:
    """The k largest values of two parts of the bank, and their indices."""
    value, index = (torch.cat(each, 1) for each in zip(best, more, strict=True))
    value, order = value.topk(min(k, value.shape[1]), dim=1)
    return value, index.gather(1, order)


def largest(x: Tensor, k: int, ordered: bool = True) -> tuple[Tensor, Tensor]:
    """Return the k largest values of each row of x [Q, N] and their indices, by default descending.

    Where k is much smaller than N, only the k groups of columns with the largest values are
    looked at: all of the k largest values lie in these. They are found in the same way.
    """
    groups = x.shape[1] // GROUP
    if groups < 2 * k:
        return x.topk(k, dim=1, sorted=ordered)
    inside = x[:, : groups * GROUP].view(len(x), GROUP, groups)  # a group's columns lie apart
    chosen = largest(inside.amax(1), k, ordered=False)[1]
    columns = chosen[:, None] + groups * torch.arange(GROUP, device=x.device)[:, None]
    rest = torch.arange(groups * GROUP, x.shape[1], device=x.device).expand(len(x), -1)
    columns = torch.cat([columns.flatten(1), rest], 1)
    value, order = x.gather(1, columns).topk(k, dim=1, sorted=ordered)
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

    uses_seed = False

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
