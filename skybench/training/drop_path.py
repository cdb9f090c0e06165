"""Stochastic depth: residual branches are left out for some samples while a backbone learns."""

from __future__ import annotations

import itertools

import torch
from timm.layers.drop import DropPath
from torch import nn

from skybench.core import UsageError

# Where a block may drop a branch, and how many: timm's names and those of our networks; then
# torchvision's, for attention and MLP alike.
SLOTS = {"drop_path1": 1, "drop_path2": 1, "drop_path3": 1, "stochastic_depth": 2}


def insert(network: nn.Module, rate: float) -> int:
    """Sets stochastic depth; returns how many residual branches got a rate above 0.

    From the first block to the last the rates rise linearly from 0 to `rate`, the share of samples
    that a branch is left out for; the others' is divided by 1 - rate. That happens in training mode
    only, and a rate of 0 undoes it. Each transformer within a network has a rise of its own; in
    SkySense's fusion a sample is a place. A network without transformer blocks, such as a ResNet,
    stays as it is, like in its authors' recipes, and 0 is returned.
    Source: Huang et al., arXiv:1603.09382; the rise is that of timm and mmsegmentation,
    torch.linspace(0, rate, blocks).
    Raises UsageError for a rate that is not in [0, 1).
    """
    if not 0 <= rate < 1:
        raise UsageError(f"A drop path of {rate} was given; give one of at least 0 and below 1")
    branches = 0
    for blocks in transformers(network):
        rates = torch.linspace(0, rate, len(blocks), device="cpu").tolist()
        for block, own in zip(blocks, rates, strict=True):
            for slot in _slots(block):
                made = DropPath(own) if own else nn.Identity()
                setattr(block, slot, made.train(block.training))
                branches += SLOTS[slot] if own else 0
    return branches


def transformers(network: nn.Module) -> list[list[nn.Module]]:
    """The blocks of each transformer in order, those that can drop a branch.

    Blocks are of one transformer if their names are the same up to the first number.
    """
    found: dict[str, list[nn.Module]] = {}
    for name, module in network.named_modules():
        if _slots(module):
            parts = itertools.takewhile(lambda part: not part.isdigit(), name.split("."))
            found.setdefault(".".join(parts), []).append(module)
    return [*found.values()]


def _slots(block: nn.Module) -> list[str]:
    return [name for name in SLOTS if isinstance(getattr(block, name, None), nn.Module)]
