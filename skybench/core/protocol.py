"""Evaluation protocols: whether the backbone is trained, and which features a head reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["pooled", "pyramid"]


@dataclass(frozen=True)
class Protocol:
    """An evaluation protocol of a task, such as kNN, linear probing or fine-tuning."""

    name: str  # as on the command line
    trains_backbone: bool  # else the backbone is frozen and its features are extracted once
    level: Level  # the head reads one vector per image, or feature maps
    text: str  # one line for `skybench list protocols`
    version: int = 1  # incremented when its scores change, and those of no other protocol

    @property
    def trains_stepwise(self) -> bool:
        """Whether training runs in gradient steps, which are logged and checkpointed."""
        return self.trains_backbone or self.level == "pyramid"


# The protocol that trains the backbone in tasks that map names to plain text, as they once did.
FORMER_FINETUNE = "finetune"


def as_protocol(name: str, given: Protocol | str, level: Level) -> Protocol:
    """Return a `Protocol` as it is; make one of plain text, which older tasks give."""
    if isinstance(given, Protocol):
        return given
    return Protocol(name, name == FORMER_FINETUNE, level, given)
