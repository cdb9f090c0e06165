"""Facts about the weights of a cell: what a file gave, what was trained on, and what a run used."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from skybench.core.loaded import WHICH, sample_hash
from skybench.core.model import Model
from skybench.data import batching
from skybench.features.extractor import Extractor
from skybench.plan.cell import Cell, plain_arch


def about_training(cell: Cell, model: Model, keys: Iterable[str]) -> dict[str, Any]:
    """Return what is written beside trained weights: see `skybench.weights.kept`.

    keys: of the training and validation samples.
    """
    card, before = cell.splits["train"].card, model.loaded.fine_tuned
    train = {sample_hash(cell.dataset_id, key) for key in keys}
    titles, sources = [card.title], {card.image_source}
    if before:
        titles.insert(0, before.title)
        train |= before.train
        sources |= {*before.image_sources}
    arch = {n: v for n, v in plain_arch(cell).items() if n != WHICH}
    return {
        "model": cell.model.name,
        "variant": cell.variant,
        "arch": json.dumps({**model.loaded.decided, **arch}),
        "title": ", then ".join(titles),
        "images": ",".join(sorted(sources)),
        "train": torch.tensor(sorted(train)),
    }


def weights_facts(cell: Cell, model: Model) -> dict[str, Any]:
    """Return what is known of a cell's weights, for `Record.used`: only what differs from none.

    note: for a reader; fine_tuned: the datasets that they were trained on here; leak: why test
    images may have been seen in a training that the model's card does not list; decided: settings
    of the network that follow from the file.
    """
    info, own = model.loaded, model.loaded.fine_tuned
    test = cell.splits["test"]
    leaks = []
    if own and (seen := own.overlap(cell.dataset_id, test.keys)):
        leaks.append(f"{seen} of {len(test)} test samples were in the training on {own.title}")
    elif own and test.card.image_source in own.image_sources and not _same_data(cell, own.title):
        leaks.append(f"the weights were trained on {own.title}, which has images of this source")
    if cell.dataset_id in info.trained_on:
        leaks.append("the weights were trained with labels of this dataset")
    facts = {
        "weights_note": info.note,
        "fine_tuned": own.title if own else "",
        "leak": "; ".join(leaks),
        "decided": {k: list(v) if isinstance(v, tuple) else v for k, v in info.decided.items()},
    }
    return {name: value for name, value in facts.items() if value}


def _same_data(cell: Cell, titles: str) -> bool:
    """Whether the weights were trained on the training split of this dataset, and on no other."""
    return titles == cell.splits["test"].card.title


def parameters_used(extractor: Extractor, cell: Cell) -> int:
    """Return the parameters that the features of an image depend on; all where it cannot be told.

    A network may have branches for sensors that a dataset lacks.
    """
    image = batching.collate([cell.splits["test"].read(0)], extractor.size)
    every = list(extractor.model.parameters())
    total = sum(p.numel() for p in every)
    asked = [p.requires_grad for p in every]
    try:
        for p in every:
            p.requires_grad_(p.is_floating_point())
        with torch.enable_grad():
            features = extractor.forward(image)
        outputs = [x for f in features for x in (f.pooled, *f.pyramid)]
        used = {id(p) for p in _leaves(outputs)}
    except (RuntimeError, NotImplementedError):  # a network that computes in place
        return total
    finally:
        for p, wanted in zip(every, asked, strict=True):
            p.requires_grad_(wanted)
    return sum(p.numel() for p in every if id(p) in used) or total


def _leaves(outputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the tensors at the ends of the graph of computations that outputs come from."""
    found, seen = [], set[Any]()
    waiting = [x.grad_fn for x in outputs if x.grad_fn is not None]
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        if (leaf := getattr(node, "variable", None)) is not None:
            found.append(leaf)
        waiting += [after for after, _ in node.next_functions if after is not None]
    return found
