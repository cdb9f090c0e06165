"""Scores of a head's current predictions: at the end, and on validation during training."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from skybench.checks.metric_self_test import check_metric
from skybench.core import FitContext, Head, Metric, ScoreInfo, Workers
from skybench.core.dataset import Samples
from skybench.features.sources import SourceSubset
from skybench.plan.cell import Cell
from skybench.training.distributed import SINGLE_PROCESS

# Main scores by task, of test splits on which a metric's self-test was passed: once for all seeds.
TESTED: weakref.WeakKeyDictionary[Samples, dict[str, ScoreInfo]] = weakref.WeakKeyDictionary()
TOGETHER = 16  # test samples that each of several processes predicts between two exchanges


def predictions(head: Head, test: SourceSubset, workers: Workers) -> Iterator[Any]:
    """Yield all predictions in order; ranks share the work, and each gets all predictions."""
    return (prediction for (prediction,) in _side_by_side([head], test, workers))


def _side_by_side(
    heads: Sequence[Head], test: SourceSubset, workers: Workers
) -> Iterator[tuple[Any, ...]]:
    """The predictions of several heads for each sample, as they come: all ask for it in turn."""
    if workers.size == 1:
        yield from zip(*(head.predict(test) for head in heads), strict=True)
        return
    block = TOGETHER * workers.size
    for start in range(0, len(test), block):
        indices = range(start, min(start + block, len(test)))
        mine = indices[workers.rank :: workers.size]
        part = test.subset(mine)
        told = workers.gather(
            [*zip(*(head.predict(part) for head in heads), strict=True)] if mine else []
        )
        for place in range(len(indices)):
            yield told[place % workers.size][place // workers.size]


def with_scores(
    setting: FitContext, cell: Cell, metric: Metric, test: SourceSubset, keys: Sequence[str]
) -> FitContext:
    """Return the setting with the score by which a training chooses.

    keys: of all samples of the sources.
    """
    workers = setting.workers or SINGLE_PROCESS
    scores = functools.partial(_scores, metric.fresh(), keys, workers)
    info = _main_score_info(cell, metric, test)
    return setting._replace(validation_scores=scores, score_info=info)


def _main_score_info(cell: Cell, metric: Metric, test: SourceSubset) -> ScoreInfo:
    """Direction and unit of the main score, from the metric's self-test on the test targets.

    Without public test labels: of the first score that the metric describes.
    """
    if not cell.scored:
        return next(iter(getattr(metric, "info", {}).values()), ScoreInfo())
    samples = cell.splits["test"]
    tested = TESTED.setdefault(samples, {})
    if cell.task.name not in tested:
        truth = ((key, test.target(i)) for i, key in enumerate(samples.keys))
        tested[cell.task.name] = check_metric(metric, truth, cell.declared_target)
    return tested[cell.task.name]


def _scores(
    empty: Metric, keys: Sequence[str], workers: Workers, heads: Sequence[Head], val: SourceSubset
) -> list[float]:
    """The main scores of heads' current predictions."""
    metrics = [empty.fresh() for _ in heads]
    with torch.no_grad():
        for index, made in enumerate(_side_by_side(heads, val, workers)):
            target, key = val.target(index), keys[val.indices[index]]
            for metric, prediction in zip(metrics, made, strict=True):
                metric.update(prediction, target, key)
    return [_main_score(metric) for metric in metrics]


def _main_score(metric: Metric) -> float:
    if hasattr(metric, "main_score"):
        return float(metric.main_score())
    return float(next(iter(metric.scores().values())))


class FinalScores:
    """The scores of a head on the test split, in the state that counts and in another one."""

    def __init__(self, cell: Cell, metric: Metric, test: SourceSubset, setting: FitContext) -> None:
        self.metric, self.test, self.report = metric, test, setting.report
        self.keys = cell.splits["test"].keys
        self.workers = setting.workers or SINGLE_PROCESS
        self.other: Mapping[str, float] | None = None  # scores of the state that does not count

    def fill(self, head: Head, draw: Callable[[int, Any], None] | None) -> None:
        """Count the predictions in the metric."""
        self._count(self.metric, head, "test", draw)

    def of_other_state(self, head: Head) -> None:
        """Keep the scores, and nothing else, of the predictions: see `FitContext.other_state`."""
        metric = self.metric.fresh()
        with torch.no_grad():
            self._count(metric, head, "test of the other state")
        self.other = metric.scores()

    def _count(
        self, metric: Metric, head: Head, name: str,
        draw: Callable[[int, Any], None] | None = None,
    ) -> None:  # fmt: skip
        for index, prediction in enumerate(predictions(head, self.test, self.workers)):
            metric.update(prediction, self.test.target(index), self.keys[index])
            if draw is not None:
                draw(index, prediction)
            self.report(name, index + 1, len(self.test))
