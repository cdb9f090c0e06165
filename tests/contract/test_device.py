"""Every model, and a cell of every kind, on a pretend GPU: nothing is left on the host."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from skybench.core import Batch
from skybench.core.model import Model
from skybench.plan.planner import Planner
from skybench.plan.request import Request
from skybench.runner.run_cells import run_planned

from ._batches import random_batch
from ._pretend_gpu import PretendGpu, WrongDevice
from .test_models import TINY, model, tensors

CUDA = "cuda"


def on_gpu(x: Any) -> Tensor:
    made: Tensor = torch.as_tensor(x).to(CUDA)
    return made


class Forgetful(nn.Module):
    """A module with a tensor that is neither a parameter nor a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.scale = nn.Parameter(torch.ones(3)), torch.ones(3)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight * self.scale


def _into_host() -> None:
    torch.zeros(3)[on_gpu([0, 1])]


def _values_of_the_host() -> None:
    on_gpu([1.0, 2.0])[on_gpu([1, 0])] = torch.ones(2)


def _host_sum() -> None:
    total = torch.zeros(())
    total += on_gpu(2.0)


def _gradient_of_the_host() -> None:
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.factor = torch.full(x.shape, 2.0)
            return 2 * x

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Any:
            return grad * ctx.factor

    x = on_gpu([1.0, 2.0]).requires_grad_()
    torch.autograd.backward(Wrong.apply(x).sum())


MISTAKES: dict[str, Callable[[], Any]] = {
    "a sum": lambda: on_gpu([1.0, 2.0]) + torch.ones(2),
    "a tensor that does not move with its module": lambda: Forgetful().to(CUDA)(on_gpu([1.0] * 3)),
    "to NumPy": lambda: on_gpu([1.0]).numpy(),
    "to NumPy, by NumPy": lambda: np.asarray(on_gpu([1.0])),
    "a scalar of the host in a stack": lambda: torch.stack([on_gpu(1.0), torch.tensor(2.0)]),
    "positions made on the host": lambda: on_gpu([[1.0, 2.0]]) * torch.arange(2),
    "a mask of the host": lambda: on_gpu([1.0, 2.0]).masked_fill(torch.tensor([True, False]), 0),
    "a host tensor indexed by the GPU's": _into_host,
    "values of the host": _values_of_the_host,
    "a loss summed up on the host": _host_sum,
    "a gradient made on the host": _gradient_of_the_host,
    "a generator of the host": lambda: torch.rand(2, device=CUDA, generator=torch.Generator()),
    "a product": lambda: on_gpu([[1.0]]) @ torch.ones(1, 1),
}
RIGHT: dict[str, Callable[[], Any]] = {
    "a scalar of the host": lambda: on_gpu([1.0]) * torch.tensor(2.0),
    "an index of the host": lambda: on_gpu([1.0, 2.0])[torch.tensor([1])],
    "made on the GPU": lambda: torch.zeros(2, device=CUDA) + on_gpu([1.0, 2.0]).new_ones(2),
    "made like another": lambda: torch.zeros_like(on_gpu([1.0])) + on_gpu([2.0]),
    "to and fro": lambda: on_gpu([1.0]).cpu().numpy() + torch.ones(1).numpy(),
    "a copied module": lambda: copy.deepcopy(nn.Linear(2, 2).to(CUDA))(on_gpu([1.0, 2.0])),
    "copied into": lambda: torch.zeros(2).copy_(on_gpu([1.0, 2.0])).numpy(),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_seen(mistake: str) -> None:
    with PretendGpu() as gpu, pytest.raises(WrongDevice):
        MISTAKES[mistake]()
    assert len(gpu.faults) == 1
    assert "test_device.py" in gpu.faults[0]


@pytest.mark.parametrize("case", RIGHT)
def test_what_cuda_allows_is_no_fault(case: str) -> None:
    with PretendGpu() as gpu:
        RIGHT[case]()
    assert gpu.faults == []


def test_waits_are_counted() -> None:
    with PretendGpu() as gpu:
        x = on_gpu([1.0, 0.0])
        gpu.waits.clear()
        x.new_tensor([1.0])
        torch.ones(1).to(CUDA, non_blocking=True)  # does not wait
        x.sum().item()
        x.nonzero()
        x[x > 0]
        x.cpu()
    kinds = sorted(text.partition(": ")[2] for text in gpu.waits)
    assert kinds == [
        "copies a constant to the GPU", "copies to the host", "reads by aten.index.Tensor",
        "reads by aten.nonzero.default", "reads by item",
    ]  # fmt: skip


# Where a forward pass waits for the GPU, and why: not to be added to without need.
WAITS = {
    "anysat": ("series.py",),  # samples whose series are equally long go together
    "dinov3": ("pos_embed_sincos.py",),  # timm makes the coordinates on the host
    "galileo": ("galileo.py",),  # no mask where every date is seen: attention is faster then
    "olmoearth": ("series.py",),
    "presto": ("series.py", "presto.py"),  # whether the place is known
    "prithvi": ("series.py", "prithvi.py"),  # positions of another number of dates
    "satmae": ("satmae.py",),  # the number of triples
    "skysense": ("skysense.py",),  # as galileo
}


def inputs(which: Model) -> Batch:
    names = [sensor.name for sensor in which.card.inputs]
    return random_batch(which.card, names, 2, 2 if which.card.temporal else 1, square=True)


@pytest.mark.parametrize(("name", "variant"), TINY)
def test_a_forward_pass_stays_on_the_gpu(name: str, variant: str) -> None:
    """Twice: constants are copied to the GPU in the first pass alone."""
    tiny = copy.deepcopy(model(name, variant))
    with PretendGpu() as gpu, torch.inference_mode():
        given = inputs(tiny).to(CUDA)
        tiny.to(CUDA)(given)
        gpu.waits.clear()
        found = tensors(tiny(given))
        assert all(x.is_cuda for x in found)
        values = [x.cpu() for x in found]
    assert gpu.faults == []
    allowed = (*WAITS.get(name, ()), "test_device.py")
    assert [text for text in gpu.waits if not any(file in text for file in allowed)] == []
    for a, b in zip(values, tensors(model(name, variant)(inputs(tiny))), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


# One of each family of networks; the others are as them.
TRAINED = (
    "anysat", "clay", "cmid", "croma", "decur", "galileo", "imagenet", "panopticon", "prithvi",
    "rvsa", "satlas", "skysense", "ssl4eo",
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        pytest.param(n, v, marks=[] if n in TRAINED and v == "tiny" else pytest.mark.slow)
        for n, v in TINY
        if n not in ("image_stats", "rcf")  # nothing is learned
    ],
)
def test_a_training_step_stays_on_the_gpu(name: str, variant: str) -> None:
    tiny = copy.deepcopy(model(name, variant)).train()
    with PretendGpu() as gpu:
        given = inputs(tiny).to(CUDA)
        tiny.to(CUDA)
        optimizer = torch.optim.AdamW([p for p in tiny.parameters() if p.requires_grad])
        loss = torch.stack([x.square().mean() for x in tensors(tiny(given))]).sum()
        torch.autograd.backward(loss)
        optimizer.step()
        assert all(p.is_cuda and (p.grad is None or p.grad.is_cuda) for p in tiny.parameters())
    assert gpu.faults == []


SMALL = {"epochs": "1", "width": "8", "size": "64"}
CELLS: dict[str, tuple[str, str, str, str, dict[str, str]]] = {
    "knn": ("scene_classification", "eurosat", "knn", "caco", {}),
    "several labels": ("scene_classification", "ben_s2", "linear", "dofa", {}),
    "pixels": ("semantic_segmentation", "potsdam", "linear", "caco", SMALL),
    "changes": ("change_detection", "levir_cd", "frozen", "caco", SMALL),
    "boxes": ("horizontal_detection", "dior", "frozen", "caco", SMALL),
    "rotated boxes": ("oriented_detection", "dior_r", "frozen", "caco", SMALL),
    "series": ("multimodal_segmentation", "pastis_mm", "linear", "galileo", SMALL),
    "sensors": ("multimodal_classification", "ben_mm", "linear", "croma", {}),
    "fine-tuned": ("scene_classification", "eurosat", "finetune", "galileo", {"epochs": "1"}),
}


SLOW = ("series",)  # the head of a series sees every date


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=pytest.mark.slow if c in SLOW else []) for c in CELLS]
)
def test_a_cell_stays_on_the_gpu(case: str, tmp_path: Path) -> None:
    task, dataset, protocol, name, changes = CELLS[case]
    request = Request(
        models=(name,), tasks=(task,), datasets=(dataset,), protocol=protocol, data="demo",
        limit=4, device=CUDA, results=tmp_path, overrides=changes,
    )  # fmt: skip
    cells = Planner(request).cells()
    with PretendGpu() as gpu:
        (record,) = run_planned(request, cells)
    assert gpu.faults == []
    assert record.status == "measured", record.note
