"""Facts about the weights of a cell: what a file gave, and what was trained on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import torch

from skybench.core.loaded import WHICH, sample_hash
from skybench.core.model import Model
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
