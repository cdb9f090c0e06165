from __future__ import annotations

import numpy as np

from skybench.bench import pooled_heads
from skybench.bench.pooled_heads import MadeSource, Problem
from skybench.core import FitContext
from skybench.heads.logistic import DEFAULT_LAMBDA, Logistic


def test_the_sweep_and_the_search_are_timed() -> None:
    sweep, search, memory = pooled_heads.time_pooled_heads("tiny")
    assert (sweep.what, sweep.peer) == ("13 lambdas, N=60 D=8 K=3", "one scikit-learn fit")
    assert search.what == "kNN, 20 queries in 300 x 8, k=200"
    assert "faiss" in search.peer
    assert (search.ratio is None) == ("pip install faiss-cpu" in search.peer)
    assert (memory.unit, memory.must, memory.holds) == ("GB", "<= 6", "at full size")


def test_both_fit_the_same_objective() -> None:
    x, y = pooled_heads.made_features(Problem(200, 12, 4))
    assert x.mean(0).abs().max() < 1e-5
    source = MadeSource(x, y)
    head = Logistic(4, False)
    head.fit(source, None, FitContext(0, "cpu"))  # without validation, the default lambda
    theirs = pooled_heads.scikit_fit(x.numpy(), y.numpy(), DEFAULT_LAMBDA)
    said = np.argmax([*head.predict(source)], 1)
    assert np.mean(said == theirs.predict(x.numpy())) > 0.99
    assert np.mean(said == y.numpy()) < 1  # classes overlap
