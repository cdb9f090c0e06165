"""Training steps beside bare loops: fine-tuning, a dense head, a detector."""

from __future__ import annotations

from collections.abc import Iterator

from skybench.bench.detector import time_detector
from skybench.bench.finetune import time_finetuning
from skybench.bench.timing import Form, Timing
from skybench.bench.upernet import time_upernet


def time_training_steps(form: Form) -> Iterator[Timing]:
    """Yield a fine-tuning of a ViT, the training of UPerNet, and a step of Faster R-CNN."""
    yield time_finetuning(form)
    yield time_upernet(form)
    yield time_detector(form)
