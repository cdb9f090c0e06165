"""What an RVSA network is made of; without torch, for the plugins' tables of variants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Bias = Literal["none", "all", "query and value"]


@dataclass(frozen=True)
class Settings:
    """Of a network; the defaults are those of ViT-B + RVSA as it is fine-tuned for dense tasks.

    Its relatives: SAMRS is `positions=False, relative=False`; MTP is this one; ViTAE-B is
    `bias="query and value", parallel=True`; the MAE networks, without windows, are
    `interval=1, relative=False, class_token=True, taken=()`.
    """

    dim: int = 768
    depth: int = 12
    heads: int = 12
    grid: int = 14  # tokens a side that the tables of positions are made for
    interval: int = 3  # 1: all blocks attend from each token to all
    bias: Bias = "all"  # of queries, keys and values
    positions: bool = True  # a table that is added to the tokens
    relative: bool = True  # relative positions in the blocks that attend to all tokens
    separate: bool = False  # keys and values have windows of their own (RVSA with the diamond)
    parallel: bool = False  # the convolutions of ViTAE
    class_token: bool = False
    taken: tuple[int, ...] = (3, 5, 7, 11)  # blocks whose maps become the levels; (): one level
