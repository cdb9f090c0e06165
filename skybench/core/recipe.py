"""Recipes: how a cell is trained and scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Fields that were added after the first records: at their default they change no fingerprint.
LATER = (
    "iterations", "schedule", "warm_up", "layer_decay", "drop_path", "precision", "validate",
    "patience", "augment", "views", "min_steps",
)  # fmt: skip


def affects(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a recipe that enter the fingerprint; of a `Recipe` or from a record."""
    return {
        k: v for k, v in recipe.items()
        if k not in ("source", "label") and not (k in LATER and v in _usual(k))
    }  # fmt: skip


def _usual(name: str) -> tuple[Any, ...]:
    value = getattr(Recipe, name)
    return (value, list(value)) if isinstance(value, tuple) else (value,)


ProtocolName = str  # see `skybench.core.protocol.Protocol`


@dataclass(frozen=True)
class Recipe:
    """How a cell is trained and scored. Every field but `source` and `label` can change a score."""

    protocol: ProtocolName
    train: str = "train"
    val: str = "val"  # "": a stratified fifth of train; the head is then refitted on all of it
    test: str = "test"
    label: str = ""  # name of the column where a dataset has several, as "20 %"
    size: int = 0  # side of the finest sensor's images in pixels; 0: as read
    tile: int = 0  # side of the tiles that are read; 0: the official side
    epochs: int = 0
    iterations: int = 0  # training steps; unless 0, they replace `epochs`
    min_steps: int = 0  # with epochs: these are repeated until training has had so many steps
    batch: int = 0
    lr: float = 0.0
    weight_decay: float = 0.0
    # "poly" (power 1) or "cosine" to 0, "step" (x 0.1 after 8/12 and 11/12); "": the head's default
    schedule: str = ""
    warm_up: float = 0.0  # with a schedule: steps of linear warm-up; below 1: share of all steps
    layer_decay: float = 0.0  # layer-wise learning-rate decay of the backbone; 0: none
    drop_path: float = 0.0  # stochastic depth: drop rate of the last block, rising linearly to it
    precision: str = ""  # autocast of the forward pass in training: "bf16" or "fp16"; "": float32
    validate: int = 0  # epochs between validations, whose best epoch is used; 0: the last epoch is
    patience: int = 0  # early stopping after so many validations without a better one; 0: none
    augment: tuple[str, ...] = ()  # steps of data augmentation: see `skybench.augment.apply`
    views: tuple[str, ...] = ()  # test-time augmentation: see `skybench.augment.test_time`
    width: int = 0  # channels of a dense head
    sensors: tuple[str, ...] = ()  # of the dataset, by name; (): all that match
    options: tuple[str, ...] = ()  # of the dataset, each NAME=VALUE
    fraction: float = 1.0  # of the training split
    limit: int = 0  # most samples of each split; 0: no limit
    seeds: int = 1
    source: str = "ours"
