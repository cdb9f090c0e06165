"""Speed of the training of UPerNet on kept features, beside a bare loop."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skybench.bench.timing import Form, Peer, Timing, time_beside
from skybench.core import FitContext, Recipe
from skybench.heads.decoders import UPerNet
from skybench.heads.dense import Dense, Standardise
from skybench.training.fit import AUXILIARY

LEVELS = ((128, 4), (256, 8), (512, 16), (1024, 32))  # of a Swin-B
CLASSES, BATCH = 16, 4
MUST = "<= 1.05"


class _Case(NamedTuple):
    steps: int
    side: int  # of the images, in pixels
    width: int  # of the head
    rounds: int


CASES = {
    "tiny": _Case(2, 64, 4, 1), "short": _Case(6, 128, 64, 3), "full": _Case(12, 256, 128, 3),
}  # fmt: skip


class MadeFeatures:
    """Pyramids float16 and masks in memory, as the cache has them; see core.Source."""

    def __init__(self, count: int, side: int) -> None:
        rng = torch.Generator().manual_seed(0)
        self.masks = torch.randint(0, CLASSES, (count, side, side), generator=rng).byte().numpy()
        self.levels = [
            torch.randn(count, channels, side // stride, side // stride, generator=rng).half()
            for channels, stride in LEVELS
        ]

    def __len__(self) -> int:
        return len(self.masks)

    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        return tuple(level[list(indices)].float() for level in self.levels)

    def target(self, index: int) -> Any:
        return self.masks[index]


def time_upernet(form: Form) -> Timing:
    """Time forward, loss, backward and AdamW of UPerNet; both begin with the same weights.

    The bare loop has its batches on the device, standardised, beforehand.
    """
    steps, side, width, rounds = CASES[form]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    source = MadeFeatures(steps * BATCH, side)
    recipe = Recipe("frozen", epochs=1, batch=BATCH, lr=1e-4, weight_decay=0.05, width=width)
    what = f"UPerNet of width {width}, {steps} steps of {BATCH} images of {side} pixels, {device}"
    with torch.random.fork_rng():  # of the weights, and of dropout
        torch.manual_seed(0)
        body = UPerNet(LEVELS, CLASSES, width)
        ours = _ours(body, source, recipe, device)
        theirs = _bare(copy.deepcopy(body).to(device), source, recipe, device)
        for run in (ours, theirs):
            run()  # memory is taken, kernels are chosen
        return time_beside(what, ours, Peer("bare loop", theirs), rounds, MUST)


def _ours(body: nn.Module, source: Any, recipe: Recipe, device: str) -> Callable[[], Any]:
    def run() -> Any:
        head = Dense(lambda *_: copy.deepcopy(body), LEVELS, CLASSES, recipe)
        return head.fit(source, None, FitContext(0, device))

    return run


def _bare(body: nn.Module, source: Any, recipe: Recipe, device: str) -> Callable[[], Any]:
    scale = Standardise(source)
    batches = []
    for start in range(0, len(source), recipe.batch):
        part = range(start, start + recipe.batch)
        levels = [x.to(device) for x in scale(source.pyramid(part))]
        batches.append((levels, torch.from_numpy(source.masks[start : part.stop]).to(device)))
    optimizer = torch.optim.AdamW(body.parameters(), recipe.lr, weight_decay=recipe.weight_decay)

    def loss_of(logits: Tensor, masks: Tensor) -> Tensor:
        return F.cross_entropy(F.interpolate(logits, masks.shape[1:], mode="bilinear"), masks)

    def run() -> list[float]:
        body.train()
        losses: list[Tensor] = []
        for levels, masks in batches:
            optimizer.zero_grad(set_to_none=True)
            answer, auxiliary = body(levels)
            loss = loss_of(answer, masks.long()) + AUXILIARY * loss_of(auxiliary, masks.long())
            torch.autograd.backward(loss)
            optimizer.step()
            losses.append(loss.detach())
        return [loss.item() for loss in losses]  # waits for the device

    return run
