"""Heads on pooled features beside scikit-learn's regression and faiss' exact search; memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from skybench.bench.head_memory import time_head_memory
from skybench.bench.timing import Form, Peer, Timing, installed, time_beside
from skybench.core import FitContext
from skybench.heads.knn import NEIGHBOURS, nearest_neighbours
from skybench.heads.logistic import DEFAULT_LAMBDA, LAMBDAS, Logistic

SIGNAL = 64  # directions that tell the classes apart
HELD = 100  # samples of validation, on which lambda is chosen
DECAY = 0.5  # the spectrum falls as 1 / rank ** DECAY, as that of features does, nearly


class Problem(NamedTuple):
    """A made classification problem, and the target of its sweep."""

    samples: int
    width: int
    classes: int
    must: str = ""


PROBLEMS = {
    "tiny": (Problem(60, 8, 3),),
    "short": (Problem(2000, 1280, 10, "<= 1"), Problem(5000, 768, 45, "<= 2")),
    "full": (Problem(2000, 1280, 10, "<= 1"), Problem(5000, 768, 45, "<= 2")),
}
SEARCHES = {  # images of the bank, queries, width
    "tiny": (300, 20, 8),
    "short": (10_800, 2_700, 1024),
    "full": (21_600, 5_400, 1024),
}
ROUNDS = {"tiny": 1, "short": 1, "full": 3}


def time_pooled_heads(form: Form) -> Iterator[Timing]:
    """Yield the sweep of lambda beside one fit of scikit-learn's, kNN beside faiss, memory."""
    for problem in PROBLEMS[form]:
        yield _sweep(problem, ROUNDS[form])
    yield _search(*SEARCHES[form])
    yield from time_head_memory(form)


class MadeSource:
    """Pooled features and class ids in memory; see core.Source."""

    def __init__(self, features: Tensor, classes: Tensor) -> None:
        self.features, self.classes = features, classes

    def __len__(self) -> int:
        return len(self.features)

    def pooled(self) -> Tensor:
        return self.features

    def labels(self) -> Tensor:
        return self.classes

    def target(self, index: int) -> Any:
        return self.classes[index]

    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        raise NotImplementedError("pooled features have no pyramid")


def made_features(problem: Problem, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return standardised features float32 [N, D] and class ids int64 [N].

    Classes overlap, the channels are correlated, and their spectrum falls as that of a network's.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, problem.classes, problem.samples)
    width = problem.width
    means = rng.normal(0, 0.7, (problem.classes, min(SIGNAL, width)))
    x = rng.normal(0, 1, (problem.samples, width))
    x[:, : means.shape[1]] += means[labels]
    x *= np.arange(1, width + 1) ** -DECAY
    x @= np.linalg.qr(rng.normal(0, 1, (width, width)))[0]
    x = (x - x.mean(0)) / x.std(0)
    return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(labels)


def scikit_fit(x: NDArray[Any], y: NDArray[Any], strength: float) -> Any:
    """Fit scikit-learn's regression with the objective of our lambda; it converges."""
    return LogisticRegression(C=1 / (strength * len(x)), max_iter=5000).fit(x, y)


def _sweep(problem: Problem, rounds: int) -> Timing:
    x, y = made_features(problem)
    train, val = MadeSource(x, y), MadeSource(x[:HELD], y[:HELD])
    arrays, (n, d, k, must) = (x.numpy(), y.numpy()), problem
    return time_beside(
        f"{len(LAMBDAS)} lambdas, N={n:,} D={d:,} K={k}",
        lambda: Logistic(k, False).fit(train, val, FitContext(0, "cpu")),
        Peer("one scikit-learn fit", lambda: scikit_fit(*arrays, DEFAULT_LAMBDA)),
        rounds,
        must,
    )


def _search(bank: int, queries: int, width: int) -> Timing:
    rng = np.random.default_rng(0)
    x, q = (rng.normal(0, 1, (n, width)).astype(np.float32) for n in (bank, queries))
    k = min(NEIGHBOURS[-1], bank)
    return time_beside(
        f"kNN, {queries:,} queries in {bank:,} x {width:,}, k={k}",
        lambda: nearest_neighbours(torch.from_numpy(x), torch.from_numpy(q), k),
        installed("faiss-cpu", _faiss(x, q, k), "faiss, flat"),
        must="<= 1",
    )


def _faiss(bank: NDArray[Any], queries: NDArray[Any], k: int) -> Callable[[], Any]:
    def run() -> Any:
        import faiss

        faiss.omp_set_num_threads(1)
        rows = bank / np.linalg.norm(bank, axis=1, keepdims=True)
        index = faiss.IndexFlatIP(rows.shape[1])
        index.add(rows)
        return index.search(queries / np.linalg.norm(queries, axis=1, keepdims=True), k)

    return run
