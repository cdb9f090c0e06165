"""Protocols: given as values, or as text by older tasks."""

from __future__ import annotations

from skybench.core import Protocol
from skybench.core.protocol import as_protocol


def test_a_protocol_stays_as_it_is() -> None:
    given = Protocol("mlp", False, "pooled", "two layers on frozen features")
    assert as_protocol("mlp", given, "pyramid") is given


def test_text_becomes_a_protocol_that_trains_the_backbone_only_as_finetune() -> None:
    assert as_protocol("knn", "k nearest", "pooled") == Protocol(
        "knn", False, "pooled", "k nearest"
    )
    assert as_protocol("finetune", "all", "pooled").trains_backbone


def test_feature_maps_and_backbones_are_trained_in_steps() -> None:
    steps = {
        (trains, level): Protocol("x", trains, level, "").trains_stepwise
        for trains in (False, True)
        for level in ("pooled", "pyramid")
    }  # fmt: skip
    assert [key for key, stepwise in steps.items() if not stepwise] == [(False, "pooled")]
