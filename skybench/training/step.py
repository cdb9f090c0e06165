"""An optimiser step: forward and backward passes, with gradient accumulation to fit memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from skybench.core import FitContext, Recipe, SkybenchError, UsageError, Workers
from skybench.training import activation_checkpointing
from skybench.training.distributed import SINGLE_PROCESS
from skybench.training.lr_schedules import Schedule
from skybench.training.parameter_groups import parameter_groups
from skybench.training.precision import at_precision, require_precision, tf32_on
from skybench.training.recipe_check import parse_optimizer
from skybench.training.shared_norms import samples_count

LossOf = Callable[[list[int], np.random.Generator], Tensor]


class TrainingJob(NamedTuple):
    """A head's loss, learning-rate schedule and validation score."""

    loss_of: LossOf  # mean loss of samples by index; the generator is for its random draws
    schedule: Schedule
    score: Callable[[], float] | None = None  # on validation; see `FitContext.score_info`


class LossModule(nn.Module):
    """Head, backbone and loss in one module, so that DDP registers every parameter."""

    def __init__(self, head: nn.Module, backbone: nn.Module | None, loss_of: LossOf) -> None:
        super().__init__()
        self.head, self.backbone, self.loss_of = head, backbone, loss_of

    def forward(self, indices: Sequence[int], rng: np.random.Generator) -> Tensor:
        return self.loss_of(list(indices), rng)


def make_optimizer(groups: Sequence[dict[str, Any]], recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimizer of parameter groups. Raises UsageError for an unknown one.

    AdamW's weight decay is decoupled from the gradient; with Adam and SGD it is added to it (L2).
    """
    kind, momentum = parse_optimizer(recipe.optimizer)
    if kind == "sgd":
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=momentum)
    if kind == "adam":
        return torch.optim.Adam(groups, lr=recipe.lr)
    return torch.optim.AdamW(groups, lr=recipe.lr)


class Stepper:
    """Optimiser steps under a recipe: mixed precision, gradient accumulation, gradient clipping.

    A batch that does not fit the GPU is halved and its gradients accumulated; batch normalisation
    then sees the halves. If one sample does not fit, activation checkpointing is turned on.
    """

    def __init__(
        self, head: nn.Module, recipe: Recipe, setting: FitContext, job: TrainingJob
    ) -> None:
        require_precision(recipe.precision)
        self.workers: Workers = setting.workers or SINGLE_PROCESS
        self.device, self.backbone = setting.device.partition(":")[0], setting.backbone
        if recipe.precision == "fp16" and self.device != "cuda":
            raise UsageError("Precision fp16 needs a CUDA device; bf16 works on CPUs too.")
        self.lr, self.precision = recipe.lr, recipe.precision
        self.clip = recipe.clip
        self.groups = parameter_groups(head, recipe, self.backbone)
        self.optimizer = make_optimizer(self.groups, recipe)
        self.scaler = torch.amp.GradScaler(self.device, enabled=recipe.precision == "fp16")
        self.loss = self.workers.wrap(LossModule(head, self.backbone, job.loss_of))
        self.micro, self.recomputing = (
            setting.micro_batch or recipe.batch,
            setting.recompute_activations,
        )

    def __call__(self, indices: Sequence[int], rng: np.random.Generator, factor: float) -> Tensor:
        """Take a step; return the mean loss of the batch, or of this rank's part of it."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * group["factor"] * factor
        while True:
            try:
                with tf32_on(self.precision == "tf32", self.device):  # backward passes too
                    return self._step(indices, rng)
            except torch.OutOfMemoryError:
                pass  # its traceback holds the activations, until here
            self._save_memory()

    def _step(self, indices: Sequence[int], rng: np.random.Generator) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        mine = indices[self.workers.rank :: self.workers.size]
        # As many parts on every rank: synchronised batch normalisation waits for all of them.
        count = -(-len(indices) // (self.workers.size * self.micro))
        total = torch.zeros((), device=self.device)
        for number, part in enumerate(np.array_split(mine, count), 1):
            share = len(part) / len(indices)
            # A rank without samples computes one with weight 0.
            joins, counts = self.workers.no_sync(self.loss, number < count), bool(len(part))
            with joins, samples_count(counts):
                with at_precision(self.precision, self.device):
                    loss = self.loss(part.tolist() or indices[:1], rng)
                # DDP averages the ranks' gradients; the batch's gradient is their sum.
                self.workers.backward(self.scaler.scale(loss * (share * self.workers.size)))
            total += loss.detach() * share
        self._make_moments()
        try:
            self._update()
        except torch.OutOfMemoryError as error:
            raise SkybenchError(
                "Memory ran out within an update of the weights, which cannot be repeated; give a "
                f"smaller --micro-batch than {self.micro}, --recompute, or another device"
            ) from error
        return total

    def _make_moments(self) -> None:
        """Allocate the optimiser's state for parameters with gradients, one parameter at a time.

        If memory runs out here, the step can be retried. The optimiser itself would have updated
        other groups before, or left a partial state on which its next step fails.
        """
        state = self.optimizer.state
        for group in self.groups:
            for parameter in group["params"]:
                if parameter.grad is not None and not state.get(parameter):
                    state[parameter] = self._moments(parameter)

    def _moments(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        """The state that the optimiser would begin with, of zeros."""
        if isinstance(self.optimizer, torch.optim.SGD):
            momentum = self.optimizer.defaults["momentum"]
            return {"momentum_buffer": torch.zeros_like(parameter)} if momentum else {}
        return {
            "step": torch.tensor(0.0),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }

    def _update(self) -> None:
        """Update the parameters. Must not be retried after an error: some are updated already."""
        if self.clip:
            self.scaler.unscale_(self.optimizer)
            every = [p for group in self.groups for p in group["params"]]
            nn.utils.clip_grad_norm_(every, self.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def _save_memory(self) -> None:
        """Halve the micro-batch, or turn on activation checkpointing; raise if neither is left."""
        self.optimizer.zero_grad(set_to_none=True)
        if self.workers.size > 1:  # the other ranks would wait for this one
            raise SkybenchError(
                f"{self.micro} samples at once are too much for a device's memory; give "
                "--micro-batch N, --recompute, or --set precision=bf16"
            )
        torch.cuda.empty_cache()
        if self.micro > 1:
            self.micro //= 2
            return
        if self.backbone is not None and not self.recomputing:
            self.recomputing = activation_checkpointing.enable(self.backbone) > 0
            if self.recomputing:
                return
        raise self._hopeless()

    def _hopeless(self) -> SkybenchError:
        return SkybenchError(
            "A training step of a single sample does not fit the device's memory; give "
            "--set precision=bf16, a smaller --size or --variant, or another device"
        )
