"""Models with published files, and the commands of weights: for several tests."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from skybench.cli.app import app
from skybench.core import (
    Batch,
    Features,
    ModelCard,
    WeightsSource,
    folders,
    registry,
)  # fmt: skip
from skybench.core.model import Model

BASE: ModelCard = registry.load("baselines", "galileo").CARD


class Net(Model):
    def __init__(self, card: ModelCard, width: int) -> None:
        super().__init__(card)
        self.layer = nn.Linear(10, width)

    def forward(self, batch: Batch) -> Features:
        raise NotImplementedError


def state(width: int, seed: int = 0) -> dict[str, Tensor]:
    made = torch.Generator().manual_seed(seed)
    return {
        "layer.weight": torch.randn(width, 10, generator=made),
        "layer.bias": torch.randn(width, generator=made),
    }


def source(filename: str, **facts: Any) -> WeightsSource:
    given = {"obtain": "Ask http://authors.org.", "licence": "MIT", "variants": ("full",)}
    return WeightsSource(filename, **{**given, **facts})


def plugin(name: str, **kinds: tuple[int, WeightsSource | None]) -> Any:
    """A model with variants of a width and a published file each."""
    cards = {
        v: replace(BASE, name=name, title=name.title(), weights=w, params=11 * width)
        for v, (width, w) in kinds.items()
    }
    made = ModuleType(name)
    made.__dict__.update(
        CARD=next(iter(cards.values())), VARIANTS={**kinds, "tiny": None}, convert=dict,
        build=lambda v: Net(cards[v], kinds[v][0]), card=lambda v: cards.get(v, made.CARD),
        PICK={"full": tuple(kinds)},
    )  # fmt: skip
    return made


class Ended:
    """What a command printed, and its exit code; what a user sees as an error is raised."""

    def __init__(self, *words: str | Path) -> None:
        done = CliRunner().invoke(app, ["weights", *map(str, words)])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        self.code, self.out, self.err = done.exit_code, done.stdout, done.stderr

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def put(name: str, filename: str, content: Any) -> Path:
    path = folders.weights() / name / filename
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    return path
