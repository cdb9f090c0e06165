"""How a cell is trained and scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

# Fields that recipes got after the first records: at their usual value they change no fingerprint.
LATER = (
    "iterations", "schedule", "warm_up", "layer_decay", "drop_path", "precision", "validate",
    "patience", "augment", "views",
)  # fmt: skip


def affects(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a recipe that affect a number: of a `Recipe`, or as a record has them."""
    return {
        k: v for k, v in recipe.items()
        if k not in ("source", "label") and not (k in LATER and v in _usual(k))
    }  # fmt: skip


def _usual(name: str) -> tuple[Any, ...]:
    value = getattr(Recipe, name)
    return (value, list(value)) if isinstance(value, tuple) else (value,)


ProtocolName = Literal["knn", "linear", "frozen", "finetune"]


@dataclass(frozen=True)
class Recipe:
    """How a cell is trained and scored. Every field affects the number."""

    protocol: ProtocolName
    train: str = "train"
    val: str = "val"  # "": a fifth of train, held out by class; the head is refitted on all
    test: str = "test"
    label: str = ""  # tells columns of one dataset apart, as "20 %"
    size: int = 0  # side of the finest sensor's images in pixels; 0: as read
    tile: int = 0  # side of the tiles that are read; 0: the official side
    epochs: int = 0
    iterations: int = 0  # instead of epochs, unless it is 0
    batch: int = 0
    lr: float = 0.0
    weight_decay: float = 0.0
    # "poly" (power 1) or "cosine" to 0, "step" (a tenth after 8/12 and 11/12); "" is the head's own
    schedule: str = ""
    warm_up: float = 0.0  # with a schedule: steps, or below 1 their share
    layer_decay: float = 0.0  # of the backbone's rate from block to block; 0: one rate for it all
    drop_path: float = 0.0  # share of samples that a backbone's last block is left out for
    precision: str = ""  # of a step's forward pass: "bf16" or "fp16" by autocast; "" is float32
    validate: int = 0  # epochs between scores on validation, whose best state counts; 0: the last
    patience: int = 0  # such scores without a better one, after which training stops; 0: all epochs
    augment: tuple[
        str, ...
    ] = ()  # what is done to images when a backbone learns: skybench.augment.apply
    views: tuple[str, ...] = ()  # how test images are shown, where not once and whole
    width: int = 0  # channels of a dense head
    sensors: tuple[str, ...] = ()  # of the dataset's; () is all that match
    options: tuple[str, ...] = ()  # of the dataset's, each NAME=VALUE
    fraction: float = 1.0  # of the training split
    limit: int = 0  # samples per split at most; 0: all
    seeds: int = 1
    source: str = "ours"
