"""The check of a model for its author: does the adapter use its whole input, and only that?"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from skybench.checks.adapter_probes import (
    SAME,
    features_of,
    noise_batch,
    probe_bands,
    probe_inputs,
    relative_change,
)
from skybench.core import Batch
from skybench.core.model import Model

ALL = "all"  # in place of an input's name
DATES = 4  # of the series by which temporal models are checked


class CheckResult(NamedTuple):
    """The result of one check on one input, or on several together."""

    check: str
    input: str
    change: float | None  # largest relative change of the features; None: not measured
    verdict: Literal["ok", "FAIL", "note"]
    note: str = ""


def run_model_checks(model: Model) -> list[CheckResult]:
    """Run all checks of a model in eval mode on noise; an exception is a failed check."""
    checks: list[tuple[str, Callable[[Model], Iterator[CheckResult]]]] = [
        ("values and bands", _inputs),
        ("every band counts", _bands),
        ("dates shuffled", _dates),
        ("subsets of inputs", _subsets),
        ("alone as in a batch", _batch_invariance),
        ("gradients", _gradients),
    ]
    results: list[CheckResult] = []
    for name, check in checks:
        try:
            results += check(model)
        except Exception as error:  # the model of an author at work may raise anything
            message = f"{type(error).__name__}: {error}".splitlines()[0]
            results.append(CheckResult(name, ALL, None, "FAIL", message))
    return results


def _names(model: Model) -> list[str]:
    return [s.name for s in model.card.inputs]


def _inputs(model: Model) -> Iterator[CheckResult]:
    """Values doubled and shifted, bands reversed, red and blue exchanged, for each input alone."""
    for name in _names(model):
        for probe in probe_inputs(model, noise_batch(model.card, [name], 1)):
            heard = probe.effect > SAME
            note = "" if heard else "the features do not change"
            verdict: Literal["ok", "FAIL"] = "ok" if heard else "FAIL"
            yield CheckResult(probe.change, name, probe.effect, verdict, note)


def _bands(model: Model) -> Iterator[CheckResult]:
    """Whether each band, changed alone, changes the features; the smallest change is told."""
    for name in _names(model):
        effects = probe_bands(model, noise_batch(model.card, [name], 1), name)
        ignored = [band for band, effect in effects.items() if effect <= SAME]
        note = f"ignored: {', '.join(ignored)}" if ignored else ""
        verdict: Literal["ok", "FAIL"] = "FAIL" if ignored else "ok"
        yield CheckResult("every band counts", name, min(effects.values()), verdict, note)


def _dates(model: Model) -> Iterator[CheckResult]:
    """Whether the order of dates counts, for models that read series; a note, never a failure."""
    if not model.card.temporal:
        return
    for name in _names(model):
        series = noise_batch(model.card, [name], 1, DATES)
        images = {n: x.flip(1) for n, x in series.images.items()}
        before, after = (features_of(model, b) for b in (series, replace(series, images=images)))
        change = relative_change(before, after)
        note = "" if change > SAME else "the order of dates does not count"
        verdict: Literal["ok", "note"] = "ok" if change > SAME else "note"
        yield CheckResult("dates shuffled", name, change, verdict, note)


def _subsets(model: Model) -> Iterator[CheckResult]:
    """Whether every subset of inputs gives finite features of the declared shapes."""
    names = _names(model)
    every = [c for n in range(1, len(names) + 1) for c in itertools.combinations(names, n)]
    wrong = 0
    for subset in every:
        batch = noise_batch(model.card, subset)
        if problem := shape_problem(model, batch, features_of(model, batch)):
            wrong += 1
            yield CheckResult("declared shapes", "+".join(subset), None, "FAIL", problem)
    if not wrong:
        note = f"{len(every)} subsets of inputs" if len(every) > 1 else ""
        yield CheckResult("declared shapes", ALL, None, "ok", note)


def shape_problem(model: Model, batch: Batch, features: tuple[Tensor, ...]) -> str:
    """Return how features differ from the shapes that the card declares; "" where they do not.

    Levels are those of the first declared input in the batch; with levels other than the card's,
    `pooled` has the width of the last one.
    """
    card, count = model.card, len(batch.keys)
    finest = next(s.name for s in card.inputs if s.name in batch.images)
    height, width = batch.images[finest].shape[-2:]
    levels = model.levels_of({n: x.shape[1] for n, x in batch.images.items()})
    dim = card.dim if levels == card.levels else levels[-1][0]
    expected = [(count, dim), *((count, c, height // s, width // s) for c, s in levels)]
    shapes = [tuple(x.shape) for x in features]
    if shapes != expected:
        return f"{_sizes(shapes)}, declared {_sizes(expected)}"
    return "" if all(bool(x.isfinite().all()) for x in features) else "not all values are finite"


def _sizes(shapes: list[Any]) -> str:
    return " ".join("x".join(map(str, shape)) for shape in shapes)


def _batch_invariance(model: Model) -> Iterator[CheckResult]:
    """Whether a sample alone has the features that it has in a batch."""
    for name in _names(model):
        together = noise_batch(model.card, [name])
        images, seen, days = (
            {name: part[name][1:]} for part in (together.images, together.seen, together.days)
        )
        last = Batch(together.keys[1:], images, seen, days, together.lonlat[1:])
        expected = tuple(x[1:] for x in features_of(model, together))
        change = relative_change(expected, features_of(model, last))
        verdict: Literal["ok", "FAIL"] = "ok" if change <= SAME else "FAIL"
        note = "" if change <= SAME else "a sample depends on the others of its batch"
        yield CheckResult("alone as in a batch", name, change, verdict, note)


def _gradients(model: Model) -> Iterator[CheckResult]:
    """Whether a loss on the features has gradients in the first of `Model.layers`."""
    check = "gradients"
    if not any(p.requires_grad for p in model.parameters()):
        yield CheckResult(check, ALL, None, "note", "the model has no trainable parameters")
        return
    features = model(noise_batch(model.card, _names(model)[:1]))
    generator = torch.Generator().manual_seed(0)
    loss = torch.stack([
        (x * torch.randn(x.shape, generator=generator)).sum()
        for x in (features.pooled, *features.pyramid)
    ]).sum()  # fmt: skip
    first = [p for p in model.layers()[0].parameters() if p.requires_grad]
    gradients = torch.autograd.grad(loss, first, allow_unused=True) if first else ()
    largest = [float(g.abs().max()) for g in gradients if g is not None]
    right = bool(largest) and max(largest) > 0 and all(x == x for x in largest)
    note = "" if right else "no finite gradient reaches the first layer"
    yield CheckResult(check, ALL, None, "ok" if right else "FAIL", note)
