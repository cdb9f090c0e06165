"""A small training with everything in it that is random, also as a program that gets killed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from skybench.core import Batch, Features, FitContext, ModelCard, Recipe, Record, Workers
from skybench.core.model import Model
from skybench.training import checkpoints, fit
from skybench.training.loop import TrainingResult
from skybench.training.lr_schedules import Schedule, linear_decay, recipe_schedule
from skybench.training.step import TrainingJob

RECIPE = Recipe(
    "finetune", epochs=3, batch=4, lr=0.05, weight_decay=0.1, schedule="cosine", warm_up=2, clip=1.0
)
COUNT = 11  # no multiple of the batch


CARD = ModelCard("net", "Net", "extra", (), 5, (), "none", "none", "none")


class Net(Model):
    """A backbone of two layers with dropout."""

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__(CARD)
        self.first, self.drop, self.last = nn.Linear(3, 5), nn.Dropout(dropout), nn.Linear(5, 5)

    def forward(self, batch: Batch) -> Features:
        raise NotImplementedError

    def layers(self) -> Sequence[nn.Module]:
        return self.first, self.last

    def vectors(self, x: Tensor) -> Tensor:
        """Its features of inputs [B, 3]."""
        found: Tensor = self.last(torch.relu(self.drop(self.first(x))))
        return found


def data() -> tuple[Tensor, Tensor]:
    """Inputs [COUNT, 3] and classes."""
    made = torch.Generator().manual_seed(3)
    x = torch.randn((COUNT, 3), generator=made)
    return x, (x.sum(1) > 0).long()


def trained(
    recipe: Recipe = RECIPE,
    dropout: float = 0.3,
    report: Any = lambda *_: None,
    score: Any = None,
    norm: bool = False,
    shown: list[nn.Module] | None = None,
    **setting: Any,
) -> tuple[TrainingResult, dict[str, Tensor]]:
    """The training, and all numbers after it; shown: where head and backbone are put before it."""
    x, y = data()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone, head = Net(dropout), nn.Sequential(nn.Linear(5, 2))
        if norm:
            head.insert(0, nn.BatchNorm1d(5))
        if shown is not None:
            shown += [head, backbone]

        def loss_of(indices: list[int], rng: np.random.Generator) -> Tensor:
            seen = x[indices]
            if dropout:
                seen = seen + 0.1 * torch.from_numpy(rng.normal(size=(len(indices), 3))).float()
            return nn.functional.cross_entropy(head(backbone.vectors(seen)), y[indices])

        schedule = recipe_schedule(recipe, Schedule(linear_decay), COUNT)
        job = TrainingJob(loss_of, schedule, score)
        made = fit.train(
            head, COUNT, recipe, FitContext(0, backbone=backbone, report=report, **setting), job
        )
    return made, checkpoints.state_of({"head": head, "backbone": backbone})


TOGETHER = replace(RECIPE, layer_decay=0.5)
# Not AdamW: a bias before a norm has no gradient but rounding, which Adam would scale up to steps.
NORMED = replace(TOGETHER, batch=6, optimizer="sgd=0.9", lr=0.1)


def together(workers: Workers) -> dict[str, Any]:
    """What one of several processes does: trains and predicts with the others."""
    from skybench.runner.scoring import predictions

    made, numbers = trained(TOGETHER, dropout=0.0, workers=workers)
    said = list(predictions(Echo(), Numbers(range(101)), workers))  # type: ignore[arg-type]
    _, normed = trained(NORMED, dropout=0.0, norm=True, workers=workers)
    scores, modules, best = iter((50.0, 90.0, 70.0)), list[nn.Module](), dict[str, Tensor]()

    def keep() -> None:
        state = checkpoints.state_of({"head": modules[0], "backbone": modules[1]})
        best.update({name: x.clone() for name, x in state.items()})

    _, last = trained(
        replace(NORMED, validate=1, state="last"), dropout=0.0, norm=True,
        workers=workers, score=lambda: next(scores), shown=modules, other_state=keep,
    )  # fmt: skip
    return {
        "loss": made.losses, "numbers": numbers, "said": said, "normed": normed,
        "states": [last, best],
    }  # fmt: skip


class Stop(Exception):
    """The end of a training before its end."""


def begin(folder: Path, workers: Workers, random: bool = False) -> None:
    """The first three steps of a training of six, whose checkpoint is left in a folder."""

    def report(_: str, done: int, __: int) -> None:
        if done == 4:
            raise Stop

    kept, checkpoints.EVERY = checkpoints.EVERY, 0.0
    try:
        go_on(folder, workers, random, report)
    except Stop:
        return
    finally:
        checkpoints.EVERY = kept
    raise AssertionError


def go_on(
    folder: Path, workers: Workers, random: bool = False, report: Any = lambda *_: None
) -> tuple[TrainingResult, dict[str, Tensor]]:
    """The training that `begin` begins, to its end; random: with draws of several kinds."""
    dropout = 0.3 if random else 0.0
    return trained(
        NORMED, dropout=dropout, norm=True, workers=workers, folder=folder, report=report
    )


def fail_in_the_second(workers: Workers) -> Record:
    """The record of a cell in whose training the second process runs out of memory."""
    from skybench.runner import cell_run

    def measure(*_: Any) -> Any:
        if workers.rank:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return workers.gather(0)  # and waits

    blank = Record("m", "t", "d", {}, "failed", "demo", "f")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cell_run, "to_record", lambda _: blank)
        patch.setattr(cell_run, "measure_cell", measure)
        cell: Any = SimpleNamespace(status="planned")
        return cell_run.run_cell(cell, FitContext(0, workers=workers), Path())


class Numbers:
    """A test set that is only counted."""

    def __init__(self, indices: Sequence[int]) -> None:
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def subset(self, indices: Sequence[int]) -> Numbers:
        return Numbers([self.indices[i] for i in indices])


class Echo:
    """A head that predicts each sample's number."""

    def predict(self, test: Numbers) -> Any:
        yield from test.indices


if __name__ == "__main__":
    what, folder, number = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if what == "killed":
        checkpoints.EVERY = 0.0

        def kill(_: str, done: int, __: int) -> None:
            if done == number:
                os.kill(os.getpid(), signal.SIGKILL)

        trained(folder=folder, report=kill)
    else:
        from skybench.training import distributed

        processes = distributed.start_processes(number, "cpu")
        found = together(processes)
        begin(folder / "begun by 2", processes)
        begin(folder / "random", processes, random=True)
        made, found["resumed"] = go_on(folder / "begun by 1", processes)
        found["facts"] = made.more
        torch.save(found, folder / f"{processes.rank}of{processes.size}.pt")
        failed = fail_in_the_second(processes)
        torch.save([failed.status, failed.note, failed.traceback], folder / "failed.pt")
