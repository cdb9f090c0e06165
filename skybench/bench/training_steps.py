"""Training steps beside bare loops, fine-tuning, a dense head, a detector; and decodes."""

from __future__ import annotations

from collections.abc import Iterator

from skybench.bench.decodes import count_decodes
from skybench.bench.detector import time_detector
from skybench.bench.finetune import time_finetuning
from skybench.bench.timing import Form, Timing
from skybench.bench.upernet import time_upernet


def time_training_steps(form: Form) -> Iterator[Timing]:
    """Yield a fine-tuning, the training of UPerNet, a step of Faster R-CNN, and decodes."""
    yield time_finetuning(form)
    yield time_upernet(form)
    yield time_detector(form)
    yield count_decodes(form)
