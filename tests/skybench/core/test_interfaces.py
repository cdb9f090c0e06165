"""Interfaces: the protocols of a task, and what older plugins use."""

from __future__ import annotations

from typing import Any

import pytest

from skybench import core
from skybench.core import FitContext, Protocol, Task, UsageError


def task(protocols: Any) -> Task:
    nothing: Any = None
    return Task("toy", "Toy", "fuse", "pyramid", protocols, nothing, nothing, nothing)


def test_a_protocol_is_given_as_a_value_or_as_text() -> None:
    mlp = Protocol("mlp", False, "pooled", "two layers")
    both = task({"mlp": mlp, "frozen": "a head on feature maps"})
    assert both.protocol("mlp") is mlp
    assert both.protocol("frozen").level == "pyramid"  # the task's
    with pytest.raises(UsageError, match=r"toy has no protocol 'knn'\. Known: mlp, frozen"):
        both.protocol("knn")


def test_a_fit_context_needs_a_seed_only() -> None:
    context = FitContext(3)
    assert (context.seed, context.device, context.backbone) == (3, "cpu", None)
    context.report("head", 0, 1)  # all callbacks may be called
    context.on_epoch_start(0)
    context.prefetch([0, 1])


def test_names_that_older_plugins_import_stay() -> None:
    assert core.Setting is FitContext
    assert core.Found is core.BandMapping
    assert core.Row is core.Group
