"""Stochastic depth (drop path): residual branches are skipped for random samples in training."""

from __future__ import annotations

import itertools

import torch
from torch import nn

from skybench.core import UsageError

# Attributes of a block that hold a drop-path module, and how many branches each serves: timm's
# `drop_path1/2`, `drop_path3` of our networks, and torchvision's, for attention and MLP alike.
SLOTS = {"drop_path1": 1, "drop_path2": 1, "drop_path3": 1, "stochastic_depth": 2}


def insert(network: nn.Module, rate: float) -> int:
    """Insert drop path into a network; return how many residual branches got a rate above 0.

    The drop probability rises linearly from 0 in the first block to `rate` in the last; kept
    branches are divided by 1 - rate. It acts in training mode only, and a rate of 0 removes it.
    The rates of each transformer within a network rise by themselves; in SkySense's fusion a
    sample is a pixel position. A network without transformer blocks, such as a ResNet, is left
    unchanged, as in its authors' recipes, and 0 is returned.
    Source: Huang et al., arXiv:1603.09382; the rise is that of timm and mmsegmentation,
    torch.linspace(0, rate, blocks).
    Raises UsageError for a rate that is not in [0, 1).
    """
    from timm.layers.drop import DropPath  # timm takes a second to import

    if not 0 <= rate < 1:
        raise UsageError(f"A drop path of {rate} was given; give one of at least 0 and below 1")
    branches = 0
    for blocks in transformers(network):
        rates = torch.linspace(0, rate, len(blocks), device="cpu").tolist()
        for block, block_rate in zip(blocks, rates, strict=True):
            for slot in _slots(block):
                module = DropPath(block_rate) if block_rate else nn.Identity()
                setattr(block, slot, module.train(block.training))
                branches += SLOTS[slot] if block_rate else 0
    return branches


def transformers(network: nn.Module) -> list[list[nn.Module]]:
    """Return, for each transformer in a network, its blocks that can drop a branch, in order.

    Blocks belong to one transformer if their names agree up to the first number.
    """
    found: dict[str, list[nn.Module]] = {}
    for name, module in network.named_modules():
        if _slots(module):
            parts = itertools.takewhile(lambda part: not part.isdigit(), name.split("."))
            found.setdefault(".".join(parts), []).append(module)
    return [*found.values()]


def _slots(block: nn.Module) -> list[str]:
    return [name for name in SLOTS if isinstance(getattr(block, name, None), nn.Module)]
