"""A network that is loaded only when it must run: where its features are all kept, it never is.

Building a network, reading its checkpoint and importing its code cost more than the head of a cell
whose features are kept. What a record says of a network is therefore remembered in the cache, by
all that decides it.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from skybench.core import Batch, Features, ModelCard, folders
from skybench.core.fingerprint import canonical_json, fingerprint
from skybench.core.loaded import Coverage, LoadInfo
from skybench.core.model import Model
from skybench.core.sealed import read_sealed, write_sealed
from skybench.plan.cell import Cell, plain_arch

VERSION = 1  # incremented when more is remembered
Levels = tuple[tuple[int, int], ...]


class LazyModel(Model):
    """A model of which everything but its layers is known; they are loaded for a forward pass."""

    def __init__(
        self, card: ModelCard, facts: Mapping[str, Any], load: Callable[[], Model]
    ) -> None:
        """card: of the plugin; facts: of `known_facts`."""
        super().__init__(replace(card, **facts["card"]))
        self.loaded, self.count = facts["loaded"], facts["parameters"]
        self.known: Mapping[str, Levels] = facts["levels"]
        self.load_now = load
        self.found: list[Model] = []  # not as a submodule
        self.eval()

    def real(self) -> Model:
        """Return the loaded model."""
        if not self.found:
            with torch.inference_mode(False):  # else its parameters could never be trained
                self.found.append(self.load_now())
        return self.found[0]

    def forward(self, batch: Batch) -> Features:
        features: Features = self.real()(batch)
        return features

    def levels_of(self, inputs: Mapping[str, int]) -> Levels:
        known = self.known.get(canonical_json(dict(inputs)))
        return self.real().levels_of(inputs) if known is None else known

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        return self.real().parameters(recurse)

    def modules(self, remove_duplicate: bool = True) -> Iterator[nn.Module]:
        return self.real().modules(remove_duplicate)

    def layers(self) -> Sequence[nn.Module]:
        return self.real().layers()


def parameters_in_all(model: Model) -> int:
    """Return the number of a model's parameters."""
    if isinstance(model, LazyModel):
        return int(model.count)
    return sum(p.numel() for p in model.parameters())


def known_facts(cell: Cell) -> dict[str, Any] | None:
    """Return what is remembered of a cell's network; None where nothing is, or it is damaged."""
    try:
        facts = read_sealed(_path(cell))
        loaded, coverage = facts["loaded"], facts["loaded"]["coverage"]
        if coverage is not None:
            tuples: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in coverage.items()
            }
            loaded["coverage"] = Coverage(**tuples)
        loaded["trained_on"] = tuple(loaded["trained_on"])
        levels = {key: _levels(value) for key, value in facts["levels"].items()}
        card = {"dim": facts["card"]["dim"], "levels": _levels(facts["card"]["levels"])}
        return {**facts, "card": card, "levels": levels, "loaded": LoadInfo(**loaded)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def remember(cell: Cell, model: Model, dates: Mapping[str, int]) -> None:
    """Remember what a record says of a loaded model, with the levels for some numbers of dates.

    Of weights that were trained here nothing is: they tell their training samples.
    """
    card: dict[str, Any] = {"dim": model.card.dim, "levels": model.card.levels}
    plain = not isinstance(model, LazyModel) and model.card == replace(cell.model, **card)
    if not plain or model.loaded.fine_tuned is not None:
        return
    before = known_facts(cell)
    levels = {} if before is None else dict(before["levels"])
    key = canonical_json(dict(dates))
    if key in levels:
        return
    levels[key] = model.levels_of(dates)
    facts = {
        "card": card,
        "loaded": dataclasses.asdict(model.loaded),
        "parameters": parameters_in_all(model),
        "levels": levels,
    }
    with contextlib.suppress(OSError, TypeError):
        write_sealed(_path(cell), facts)


def _levels(stored: Sequence[Sequence[int]]) -> Levels:
    return tuple((channels, stride) for channels, stride in stored)


def _path(cell: Cell) -> Path:
    card = cell.model
    identity = [VERSION, card.name, card.version, cell.variant, cell.weights, cell.weights_id]
    name = fingerprint({"network": identity, "arch": plain_arch(cell)})
    return folders.cache() / "networks" / f"{name[:24]}.json"
