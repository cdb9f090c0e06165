"""The training loop: epochs, validation, early stopping, checkpoints, log."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skybench.core import Diverged, FitContext, Recipe, ScoreInfo, SkybenchError, UsageError
from skybench.core.recipe import STATES
from skybench.core.score import PERCENT
from skybench.training.checkpoints import (
    Checkpoints,
    load_states,
    rng_states,
    set_rng_states,
    state_of,
)
from skybench.training.lockstep import Stepwise, finish
from skybench.training.log import TrainingLog
from skybench.training.loss_curve import Curve, add_loss, empty_curve, falling_share, part_of_steps
from skybench.training.step import Stepper, TrainingJob

LOOK = 16  # steps on a GPU between reads of the loss, each of which waits for the GPU


@dataclass
class Progress:
    """The progress of a training, as plain values for a checkpoint."""

    step: int = 0
    epoch: int = 0
    position: int = 0  # batches of the epoch that are done
    order: list[int] = field(default_factory=list)  # of the epoch's samples
    total: float = 0.0  # summed loss of the epoch's samples so far
    seen: int = 0  # samples of the epoch so far
    losses: list[float] = field(default_factory=list)  # mean of each epoch
    scores: list[list[float]] = field(default_factory=list)  # [epoch, score]
    resumed: int = 0
    curve: Curve = field(default_factory=empty_curve)

    def best(self, info: ScoreInfo) -> list[float]:
        """Return [epoch, score] of the best validation score, the first of equals."""
        best = self.scores[0]
        for entry in self.scores[1:]:
            best = entry if info.better(entry[1], best[1]) else best
        return best


@dataclass(frozen=True)
class TrainingResult:
    """The outcome of a training, beside the trained parameters."""

    steps: int
    losses: tuple[float, ...]  # mean of each epoch
    more: dict[str, Any]  # unusual facts, for the record

    def facts(self) -> dict[str, Any]:
        """Return the facts that the record stores."""
        return {"steps": self.steps, "loss": self.losses, **self.more}


def _require_scores(recipe: Recipe, job: TrainingJob) -> None:
    """Raise UsageError for a state that is not known, and for choices without scores to make."""
    if recipe.state not in ("", *STATES):
        raise UsageError(f"No state {recipe.state!r} of a recipe. Known: {', '.join(STATES)}.")
    if recipe.patience and not recipe.scored_every:
        raise UsageError(
            f"A patience of {recipe.patience} was given, but no scores on validation to count; "
            "give --set validate=N, the epochs between them, too"
        )
    if recipe.state not in ("", "last") and job.score is None:
        raise UsageError(
            f"The state {recipe.state} was asked for, but nothing is scored in this training; give "
            "--set state=last"
        )


class TrainingLoop:
    """A training from its start, or its last checkpoint, to its end; see `fit.train`."""

    def __init__(
        self, head: nn.Module, count: int, recipe: Recipe, setting: FitContext, job: TrainingJob
    ) -> None:
        self.recipe, self.setting, self.job, self.count = recipe, setting, job, count
        _require_scores(recipe, job)
        self.stepper = Stepper(head, recipe, setting, job)
        self.workers = self.stepper.workers
        self.modules = {"head": head, "backbone": setting.backbone}
        self.steps_per_epoch = math.ceil(count / recipe.batch)
        self.steps = recipe.steps(count)
        rates = [job.schedule.rate(step, self.steps) for step in range(self.steps)]
        self.parts = part_of_steps(rates)
        self.rng, self.at = np.random.default_rng(setting.seed), Progress()
        # Random draws within a loss differ between ranks, the order of samples must not.
        rank, single = self.workers.rank, self.workers.size == 1
        self.loss_rng = self.rng if single else np.random.default_rng((setting.seed, rank, 1))
        identity = {"recipe": dataclasses.asdict(recipe), "seed": setting.seed, "count": count}
        self.checkpoints = Checkpoints(setting.folder, identity, writes=rank == 0)
        self.log = TrainingLog(None if rank else setting.folder, setting.tensorboard)
        self.pending: list[tuple[Tensor, int]] = []  # a step's loss, and its samples
        self.unsaved = ""  # why the trained weights could not be written

    def run(self) -> TrainingResult:
        """Train; the modules end in evaluation mode, with the last or the best parameters."""
        return finish(self.stepwise())

    def stepwise(self) -> Stepwise[TrainingResult]:
        """Train as `run` does, with a pause after each step."""
        with self.log:
            if self.workers.rank:
                self._draw_anew()
            self._resume()
            self._mode(True)
            # The last checkpoint may lie between the last step and the end of its epoch.
            while (self.at.step < self.steps or self.at.position) and not self._is_stalled():
                yield from self._epoch()
            if any(self.workers.gather(self.checkpoints.is_due())):
                self._checkpoint()
            if self.at.scores and self._best_epoch() != self.at.epoch:
                self._settle()
            if self.setting.keep_weights:
                self.unsaved = self.checkpoints.save_weights(
                    state_of(self.modules), self.setting.about
                )
        self._mode(False)
        return TrainingResult(self.at.step, tuple(self.at.losses), self._facts())

    def _settle(self) -> None:
        """Load the state that counts, after a call for the other one, of the last and the best."""
        last = {name: x.detach().cpu().clone() for name, x in state_of(self.modules).items()}
        states = [last, self.checkpoints.best()]
        if self.recipe.counting == "last":
            states.reverse()
        other, counting = states
        if self.setting.other_state is not None:
            load_states(self.modules, other)
            self._mode(False)
            self.setting.other_state()
        load_states(self.modules, counting)

    def _mode(self, training: bool) -> None:
        for module in self.modules.values():
            if module is not None:
                module.train(training)
                if not training:
                    self._synchronise_buffers(module)

    @torch.no_grad()
    def _synchronise_buffers(self, module: nn.Module) -> None:
        """Copy the buffers of rank 0, as running statistics, to all ranks."""
        if self.workers.size > 1:
            buffers = dict(module.named_buffers())
            first = self.workers.gather({name: x.cpu() for name, x in buffers.items()})[0]
            for name, buffer in buffers.items():
                buffer.copy_(first[name])

    def _epoch(self) -> Stepwise[None]:
        at = self.at
        if at.position == 0:
            at.order, at.total, at.seen = self.rng.permutation(self.count).tolist(), 0.0, 0
        self.setting.on_epoch_start(at.epoch)
        left = self.steps - (at.step - at.position)
        batches = [b.tolist() for b in np.array_split(at.order, self.steps_per_epoch)[:left]]
        for indices in batches[at.position :]:
            at.position += 1
            coming = batches[at.position] if at.position < len(batches) else []
            self.setting.prefetch(coming[self.workers.rank :: self.workers.size])
            factor = self.job.schedule.rate(at.step, self.steps)
            self.pending.append((self.stepper(indices, self.loss_rng, factor), len(indices)))
            at.step += 1
            if len(self.pending) >= (1 if self.setting.device == "cpu" else LOOK):
                self._read_losses()
            yield
        self._read_losses()
        at.losses.append(round(at.total / at.seen, 5))
        at.epoch, at.position = at.epoch + 1, 0
        if self.job.score and (at.epoch % self.recipe.scored_every == 0 or at.step == self.steps):
            self._mode(False)
            self._validate(self.job.score())
            self._mode(True)

    def _read_losses(self) -> None:
        """Read the losses of the last steps from the device, log them and report progress."""
        at = self.at
        mine = [loss.item() for loss, _ in self.pending]
        gathered = self.workers.gather((mine, self.checkpoints.is_due()))
        first = at.step - len(self.pending) + 1
        for number, (_, samples) in enumerate(self.pending):
            loss = sum(losses[number] for losses, _ in gathered)
            if not math.isfinite(loss):
                raise Diverged(
                    f"The loss became {loss} in epoch {at.epoch + 1}; give a smaller learning "
                    f"rate than {self.recipe.lr} with --set lr=..."
                )
            at.total += loss * samples
            at.seen += samples
            add_loss(at.curve, self.parts[first + number - 1], loss)
            rate = self.recipe.lr * self.job.schedule.rate(first + number - 1, self.steps)
            self.log.step(first + number, at.epoch + 1, loss, rate, samples)
            self.setting.report(self.log.progress_text(), first + number, self.steps)
        self.pending.clear()
        if any(due for _, due in gathered):
            self._checkpoint()

    def _validate(self, value: float) -> None:
        """Log a validation score, and save the parameters if it is the best one so far."""
        if not math.isfinite(value):
            raise SkybenchError(
                f"The score on validation is {value}: nothing in it counts; leave --set validate "
                "and patience out, or give more samples"
            )
        at = self.at
        percent = self.setting.score_info.unit == PERCENT
        at.scores.append([at.epoch, round(value, 4) if percent else float(f"{value:.6g}")])
        self.log.score(at.epoch, value)
        if self._best_epoch() == at.epoch:
            self.checkpoints.save_best(state_of(self.modules))
            if self.setting.folder is not None:
                self._checkpoint()  # so that last and best checkpoint are of one training

    def _best_epoch(self) -> float:
        return self.at.best(self.setting.score_info)[0]

    def _is_stalled(self) -> bool:
        """Whether the last scores, as many as the recipe's patience, did not beat the best."""
        if not self.recipe.patience or not self.at.scores:
            return False
        best = self._best_epoch()
        since = [epoch for epoch, _ in self.at.scores if epoch > best]
        return len(since) >= self.recipe.patience

    def _checkpoint(self) -> None:
        stepper = self.stepper
        state = {
            "progress": dataclasses.asdict(self.at),
            "numbers": state_of(self.modules),
            "optimizer": stepper.optimizer.state_dict(),
            "scaler": stepper.scaler.state_dict(),
            "order": self.rng.bit_generator.state,
            "draws": self.workers.gather((rng_states(), self.loss_rng.bit_generator.state)),
        }
        if self.workers.rank == 0 and (why := self.checkpoints.save(state)) and self.setting.folder:
            self.log.event("no checkpoint", why=why)

    def _resume(self) -> None:
        """Resume from the last checkpoint, if all ranks read the same one.

        It may be one of more or fewer processes: samples and their order stay, as they do not
        depend on the number; random draws within a loss and of dropout begin anew.
        """
        state, why = self.checkpoints.load()
        if why:
            self.log.event("no checkpoint", why=why)
        steps = set(self.workers.gather(state and state["progress"]["step"]))
        if state is None or len(steps) > 1:
            return
        load_states(self.modules, state["numbers"])
        self.stepper.optimizer.load_state_dict(state["optimizer"])
        self.stepper.scaler.load_state_dict(state["scaler"])
        self.at = Progress(**state["progress"])
        self.at.resumed += 1
        self.rng.bit_generator.state = state["order"]
        if len(state["draws"]) == self.workers.size:
            torch_states, loss_rng = state["draws"][self.workers.rank]
            self.loss_rng.bit_generator.state = loss_rng
            set_rng_states(torch_states)
        else:
            self._draw_anew(self.at.step)
        self.log.resume(self.at.step)

    def _draw_anew(self, *since: int) -> None:
        """Begin this process's random draws: from its own seed, which the order does not use."""
        own = self.setting.seed, self.workers.rank, *since
        torch.manual_seed(hash(own) % 2**32)
        if self.loss_rng is not self.rng:
            self.loss_rng = np.random.default_rng((*own, 1))

    def _usual_steps(self) -> int:
        return dataclasses.replace(self.recipe, min_steps=0).steps(self.count)

    def _facts(self) -> dict[str, Any]:
        at, stepper = self.at, self.stepper
        best = self._best_epoch() if at.scores else at.epoch
        counts = at.epoch if self.recipe.counting == "last" else best
        facts = {
            "validation": at.scores,
            "best_epoch": at.scores and best,
            "last_epoch": at.scores and at.epoch,
            "resumed": at.resumed,
            "min_steps": self.recipe.min_steps if self.steps > self._usual_steps() else 0,
            "still_falling": falling_share(at.curve) if counts == at.epoch else 0,
            "processes": self.workers.size if self.workers.size > 1 else 0,
            "micro_batch": stepper.micro if stepper.micro < self.recipe.batch else 0,
            "recomputed": stepper.recomputing,
            "weights_not_kept": self.unsaved,
            "log_not_kept": self.log.lost,
        }
        return {name: value for name, value in facts.items() if value}
