"""The loop of a training: epochs, validation, checkpoints, the log."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skybench.core import Recipe, Setting, SkybenchError, UsageError
from skybench.training.checkpoints import Keeper, draws, numbers, put, put_draws
from skybench.training.log import Journal
from skybench.training.step import Job, Stepper

LOOK = 16  # steps of a GPU between looks at the loss: a look waits for it


@dataclass
class Progress:
    """How far a training is, as plain values for a checkpoint."""

    step: int = 0
    epoch: int = 0
    position: int = 0  # batches of the epoch that are done
    order: list[int] = field(default_factory=list)  # of the epoch's samples
    total: float = 0.0  # loss of the epoch's samples so far
    seen: int = 0
    losses: list[float] = field(default_factory=list)
    scores: list[list[float]] = field(default_factory=list)  # [epoch, score]
    resumed: int = 0

    @property
    def best(self) -> list[float]:
        """The first of the best scores, with its epoch."""
        return max(self.scores, key=lambda s: s[1])


@dataclass(frozen=True)
class Trained:
    """What training saw."""

    steps: int
    losses: tuple[float, ...]  # mean of each epoch
    more: dict[str, Any]  # what was out of the ordinary, for the record

    def facts(self) -> dict[str, Any]:
        """For the record."""
        return {"steps": self.steps, "loss": self.losses, **self.more}


class Loop:
    """Training from start, or from its last checkpoint, to end; see `fit.train`."""

    def __init__(
        self, head: nn.Module, count: int, recipe: Recipe, setting: Setting, job: Job
    ) -> None:
        self.recipe, self.setting, self.job, self.count = recipe, setting, job, count
        if recipe.patience and not recipe.validate:
            raise UsageError(
                f"A patience of {recipe.patience} was given, but no scores on validation to count; "
                "give --set validate=N, the epochs between them, too"
            )
        self.stepper = Stepper(head, recipe, setting, job)
        self.workers = self.stepper.workers
        self.modules = {"head": head, "backbone": setting.backbone}
        self.a_pass = math.ceil(count / recipe.batch)
        self.steps = recipe.iterations or recipe.epochs * self.a_pass
        self.rng, self.at = np.random.default_rng(setting.seed), Progress()
        # What is random in a loss differs between processes, the order of samples must not.
        rank, alone = self.workers.rank, self.workers.size == 1
        self.own = self.rng if alone else np.random.default_rng((setting.seed, rank, 1))
        identity = {
            "recipe": dataclasses.asdict(recipe),
            "seed": setting.seed,
            "count": count,
            "processes": self.workers.size,
        }
        self.keeper = Keeper(setting.folder, identity, writes=rank == 0)
        self.journal = Journal(None if rank else setting.folder, setting.tensorboard)
        self.pending: list[tuple[Tensor, int]] = []  # a step's loss, and its samples
        self.lost = ""  # why what was trained could not be kept

    def run(self) -> Trained:
        """Trains; the modules are in evaluation mode afterwards, with the numbers that count."""
        with self.journal:
            if self.workers.rank:
                torch.manual_seed(hash((self.setting.seed, self.workers.rank)) % 2**32)
            self._resume()
            self._mode(True)
            # A last checkpoint may lie between the last step and what ends its epoch.
            while (self.at.step < self.steps or self.at.position) and not self._is_stalled():
                self._epoch()
            if any(self.workers.gather(self.keeper.is_due())):
                self._checkpoint()
            if self.at.scores and self.at.best[0] != self.at.epoch:
                put(self.modules, self.keeper.best())
            if self.setting.keep:
                self.lost = self.keeper.keep(numbers(self.modules))
        self._mode(False)
        return Trained(self.at.step, tuple(self.at.losses), self._facts())

    def _mode(self, training: bool) -> None:
        for module in self.modules.values():
            if module is not None:
                module.train(training)
                if not training:
                    self._agree(module)

    @torch.no_grad()
    def _agree(self, module: nn.Module) -> None:
        """What processes counted for themselves becomes the first one's: all are one network."""
        if self.workers.size > 1:
            own = dict(module.named_buffers())
            first = self.workers.gather({name: buffer.cpu() for name, buffer in own.items()})[0]
            for name, buffer in own.items():
                buffer.copy_(first[name])

    def _epoch(self) -> None:
        at = self.at
        if at.position == 0:
            at.order, at.total, at.seen = self.rng.permutation(self.count).tolist(), 0.0, 0
        self.setting.begin(at.epoch)
        left = self.steps - (at.step - at.position)
        batches = [b.tolist() for b in np.array_split(at.order, self.a_pass)[:left]]
        for indices in batches[at.position :]:
            at.position += 1
            coming = batches[at.position] if at.position < len(batches) else []
            self.setting.ahead(coming[self.workers.rank :: self.workers.size])
            factor = self.job.schedule.rate(at.step, self.steps)
            self.pending.append((self.stepper(indices, self.own, factor), len(indices)))
            at.step += 1
            if len(self.pending) >= (1 if self.setting.device == "cpu" else LOOK):
                self._look()
        self._look()
        at.losses.append(round(at.total / at.seen, 5))
        at.epoch, at.position = at.epoch + 1, 0
        if self.job.score and (at.epoch % self.recipe.validate == 0 or at.step == self.steps):
            self._mode(False)
            self._validate(self.job.score())
            self._mode(True)

    def _look(self) -> None:
        """Takes the losses of the last steps from the device, and says how far training is."""
        at = self.at
        mine = [loss.item() for loss, _ in self.pending]
        told = self.workers.gather((mine, self.keeper.is_due()))
        first = at.step - len(self.pending) + 1
        for number, (_, samples) in enumerate(self.pending):
            loss = sum(losses[number] for losses, _ in told)
            if not math.isfinite(loss):
                raise SkybenchError(
                    f"The loss became {loss} in epoch {at.epoch + 1}; give a smaller learning "
                    f"rate than {self.recipe.lr} with --set lr=..."
                )
            at.total += loss * samples
            at.seen += samples
            rate = self.recipe.lr * self.job.schedule.rate(first + number - 1, self.steps)
            self.journal.step(first + number, at.epoch + 1, loss, rate, samples)
            self.setting.report(self.journal.said(), first + number, self.steps)
        self.pending.clear()
        if any(due for _, due in told):
            self._checkpoint()

    def _validate(self, value: float) -> None:
        """Notes a score; the best one's numbers are kept."""
        if not math.isfinite(value):
            raise SkybenchError(
                f"The score on validation is {value}: nothing in it counts; leave --set validate "
                "and patience out, or give more samples"
            )
        at = self.at
        at.scores.append([at.epoch, round(value, 4)])
        self.journal.score(at.epoch, value)
        if at.best[0] == at.epoch:
            self.keeper.save_best(numbers(self.modules))
            if self.setting.folder is not None:
                self._checkpoint()  # the last state and the best one's are of one training

    def _is_stalled(self) -> bool:
        """Whether so many scores as the recipe's patience were no better than the best."""
        if not self.recipe.patience or not self.at.scores:
            return False
        since = [epoch for epoch, _ in self.at.scores if epoch > self.at.best[0]]
        return len(since) >= self.recipe.patience

    def _checkpoint(self) -> None:
        stepper = self.stepper
        state = {
            "progress": dataclasses.asdict(self.at),
            "numbers": numbers(self.modules),
            "optimizer": stepper.optimizer.state_dict(),
            "scaler": stepper.scaler.state_dict(),
            "order": self.rng.bit_generator.state,
            "draws": self.workers.gather((draws(), self.own.bit_generator.state)),
        }
        if self.workers.rank == 0 and (why := self.keeper.save(state)) and self.setting.folder:
            self.journal.event("no checkpoint", why=why)

    def _resume(self) -> None:
        """Goes on from the last checkpoint, if all processes see the same one."""
        state, why = self.keeper.load()
        if why:
            self.journal.event("no checkpoint", why=why)
        steps = set(self.workers.gather(state and state["progress"]["step"]))
        if state is None or len(steps) > 1:
            return
        put(self.modules, state["numbers"])
        self.stepper.optimizer.load_state_dict(state["optimizer"])
        self.stepper.scaler.load_state_dict(state["scaler"])
        self.at = Progress(**state["progress"])
        self.at.resumed += 1
        self.rng.bit_generator.state = state["order"]
        torch_draws, own = state["draws"][self.workers.rank]
        self.own.bit_generator.state = own
        put_draws(torch_draws)
        self.journal.resume(self.at.step)

    def _facts(self) -> dict[str, Any]:
        at, stepper = self.at, self.stepper
        facts = {
            "validation": at.scores,
            "best_epoch": at.scores and at.best[0],
            "resumed": at.resumed,
            "processes": self.workers.size if self.workers.size > 1 else 0,
            "micro_batch": stepper.micro if stepper.micro < self.recipe.batch else 0,
            "recomputed": stepper.recomputing,
            "weights_not_kept": self.lost,
            "log_not_kept": self.journal.lost,
        }
        return {name: value for name, value in facts.items() if value}
