"""Recipes: how a cell is trained and scored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Fields that were added after the first records: at their default they change no fingerprint.
LATER = (
    "iterations", "schedule", "warm_up", "layer_decay", "drop_path", "precision", "validate",
    "patience", "augment", "views", "min_steps", "max_steps", "rates", "optimizer", "clip", "head",
    "dropout", "loss", "smoothing", "mixup", "cutmix", "test_crop", "state", "rounding",
)  # fmt: skip
TOLD = ("name", "label", "source")  # fields that change no score
STATES = ("last", "best-on-val", "best-on-test")  # of a training: which weights are scored


def affects(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a recipe that enter the fingerprint; of a `Recipe` or from a record."""
    return {
        k: v for k, v in recipe.items()
        if k not in TOLD and not (k in LATER and v in _usual(k))
    }  # fmt: skip


def _usual(name: str) -> tuple[Any, ...]:
    value = getattr(Recipe, name)
    return (value, list(value)) if isinstance(value, tuple) else (value,)


ProtocolName = str  # see `skybench.core.protocol.Protocol`


@dataclass(frozen=True)
class Recipe:
    """How a cell is trained and scored. Every field but those of TOLD can change a score."""

    protocol: ProtocolName
    name: str = ""  # of one of several recipes for a dataset, as "rvsa": see `SourcedRecipe`
    train: str = "train"
    val: str = "val"  # "": a stratified fifth of train; the head is then refitted on all of it
    test: str = "test"
    label: str = ""  # name of the column where a dataset has several, as "20 %"
    size: int = 0  # side of the finest sensor's images in pixels; 0: as read
    tile: int = 0  # side of the tiles that are read; 0: the official side
    epochs: int = 0
    iterations: int = 0  # training steps; unless 0, they replace `epochs`
    min_steps: int = 0  # with epochs: these are repeated until training has had so many steps
    max_steps: int = 0  # with epochs: most training steps; 0: no limit
    batch: int = 0
    lr: float = 0.0
    rates: tuple[str, ...] = ()  # learning rates to choose from on held-out training data; (): lr
    optimizer: str = ""  # "adam" or "sgd=MOMENTUM"; "": AdamW
    weight_decay: float = 0.0
    clip: float = 0.0  # largest norm of the gradient; 0: it is not clipped
    schedule: str = ""  # see `skybench.training.lr_schedules`; "": the head's default
    warm_up: float = 0.0  # with a schedule: steps of linear warm-up; below 1: share of all steps
    layer_decay: float = 0.0  # layer-wise learning-rate decay of the backbone; 0: none
    drop_path: float = 0.0  # stochastic depth: drop rate of the last block, rising linearly to it
    # Of extraction and of training steps: autocast to "bf16" or "fp16", "tf32" of convolutions and
    # matrix products on GPUs; "": float32. Fine-tuned networks predict in float32.
    precision: str = ""
    rounding: str = ""  # feature maps of a frozen backbone rounded to "int8"; "": to float16
    validate: int = 0  # epochs between validations; 0: there is none
    # The weights that are scored: "last", "best-on-val" or "best-on-test"; "": the best on
    # validation where there is one, else the last.
    state: str = ""
    patience: int = 0  # early stopping after so many validations without a better one; 0: none
    augment: tuple[str, ...] = ()  # steps of data augmentation: see `skybench.augment.apply`
    mixup: float = 0.0  # alpha of mixup, of whole images in a batch; 0: none
    cutmix: float = 0.0  # alpha of CutMix, likewise; with both, each batch draws one of them
    views: tuple[str, ...] = ()  # test-time augmentation: see `skybench.augment.test_time`
    test_crop: float = 0.0  # side of the centre that a test image is cut to; 0: it is seen whole
    head: str = ""  # one of the task's heads by name; "": its usual one
    width: int = 0  # channels of a dense head
    dropout: float = 0.0  # before the classifier of pooled features
    loss: str = ""  # one of the head's losses by name; "": its usual one
    smoothing: float = 0.0  # label smoothing of the cross-entropy
    sensors: tuple[str, ...] = ()  # of the dataset, by name; (): all that match
    options: tuple[str, ...] = ()  # of the dataset, each NAME=VALUE
    fraction: float = 1.0  # of the training split
    limit: int = 0  # most samples of each split; 0: no limit
    seeds: int = 1
    source: str = "ours"

    @property
    def counting(self) -> str:
        """The state that is scored, of STATES."""
        return self.state or ("best-on-val" if self.validate else "last")

    @property
    def scored_every(self) -> int:
        """Epochs between scores in training, on validation or, for "best-on-test", on the test.

        0: there are none. A best state without a stated `validate` is sought after each epoch.
        """
        return self.validate or int(self.counting != "last")

    def steps(self, count: int) -> int:
        """Return the training steps on `count` samples: whole epochs, unless steps are stated.

        >>> Recipe("frozen", epochs=20, batch=16).steps(20)
        40
        >>> Recipe("frozen", epochs=20, batch=16, min_steps=50).steps(20)
        50
        >>> Recipe("frozen", epochs=20, batch=16, max_steps=30).steps(20)
        30
        """
        each = math.ceil(count / max(1, self.batch))
        whole = max(self.epochs, math.ceil(self.min_steps / each)) * each
        return self.iterations or min(whole, self.max_steps or whole)
