"""Batch normalisation over several processes: as one process has it. Here each is a thread."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from skybench.core import CannotRun, registry
from skybench.core.errors import SkybenchError
from skybench.heads.classifier import SafeBatchNorm1d
from skybench.heads.decoders import SafeBatchNorm2d
from skybench.training import activation_checkpointing, shared_norms
from skybench.training.step import LossModule
from skybench.weights.load import load_model

from .test_activation_checkpointing import Drops, drops_batch, gradients


class Threads:
    """Collectives between threads, with the names of `torch.distributed`."""

    def __init__(self, size: int) -> None:
        self.size, self.barrier = size, threading.Barrier(size, timeout=20)
        self.told: list[Tensor] = [torch.empty(0)] * size
        self.mine = threading.local()

    def get_world_size(self) -> int:
        return self.size

    def all_gather(self, into: list[Tensor], mine: Tensor) -> None:
        self.told[self.mine.rank] = mine
        self.barrier.wait()
        for place, value in zip(into, self.told, strict=True):
            place.copy_(value)
        self.barrier.wait()

    def all_reduce(self, value: Tensor) -> None:
        every = [torch.empty_like(value) for _ in range(self.size)]
        self.all_gather(every, value.clone())
        value.copy_(torch.stack(every).sum(0))

    def __getitem__(self, _: int) -> bool:
        return bool(self.mine.counts)

    def run(self, work: Callable[[int], Any], counts: list[bool]) -> list[Any]:
        def begin(rank: int) -> Any:
            self.mine.rank, self.mine.counts = rank, counts[rank]
            return work(rank)

        with ThreadPoolExecutor(self.size) as pool:
            return [*pool.map(begin, range(self.size))]


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Threads]:
    def make(size: int) -> Threads:
        made = Threads(size)
        monkeypatch.setattr(shared_norms, "dist", made)
        monkeypatch.setattr(shared_norms, "_COUNTS", made)
        return made

    return make


def network(norm: nn.Module, image: bool) -> nn.Sequential:
    torch.manual_seed(0)
    first = nn.Conv2d(2, 4, 3, padding=1) if image else nn.Linear(2, 4)
    last = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()) if image else nn.Identity()
    return nn.Sequential(first, norm, nn.Tanh(), last, nn.Linear(4, 1))


def learn(net: nn.Module, x: Tensor, rows: list[int], every: int) -> Tensor:
    """Two passes, of which the second sees the first one's running statistics; the last loss."""
    for _ in range(2):
        share = len(rows) / every
        loss: Tensor = (net(x[rows or [0]]) ** 3).mean() * share
        torch.autograd.backward(loss)
    return loss.detach()


PARTS = {  # samples of each process
    "even": [[0, 1], [2, 3]],
    "uneven": [[0, 1, 2, 3], [4], [5, 6]],
    "one without": [[0, 1, 2], [3, 4], []],
    "one sample in all": [[2], []],
}
NORMS: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: nn.BatchNorm2d(4),
    "safe image": lambda: SafeBatchNorm2d(4),
    "mean of all": lambda: nn.BatchNorm2d(4, momentum=None),
    "untracked": lambda: nn.BatchNorm2d(4, track_running_stats=False),
    "no parameters": lambda: SafeBatchNorm1d(4, affine=False),
}


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("kind", NORMS)
def test_processes_normalise_as_one(kind: str, parts: str, threads: Any) -> None:
    """Outputs, gradients, running statistics; a process without samples changes nothing."""
    several, given = threads(len(PARTS[parts])), PARTS[parts]
    torch.manual_seed(1)
    image = kind != "no parameters"
    x = torch.randn((8, 2, 5, 3) if image else (8, 2)) * 3 + 1
    alone = network(NORMS[kind](), image).train()
    nets = [copy.deepcopy(alone) for _ in given]
    rows = [i for part in given for i in part]
    expected = learn(alone, x, rows, len(rows))
    for net in nets:
        assert shared_norms.share_norms(net) == 1
    losses = several.run(
        lambda rank: learn(nets[rank], x, given[rank], len(rows)), [bool(part) for part in given]
    )
    torch.testing.assert_close(torch.stack(losses).sum(), expected)
    for name, parameter in alone.named_parameters():
        found = sum(net.get_parameter(name).grad for net in nets)  # type: ignore[misc]
        torch.testing.assert_close(found, parameter.grad, rtol=1e-4, atol=1e-5, msg=name)
    for net in nets:
        for name, value in alone.named_buffers():
            torch.testing.assert_close(net.get_buffer(name), value, msg=name)
        torch.testing.assert_close(net.eval()(x), alone.eval()(x))


def test_lower_precision_has_statistics_in_float32(threads: Any) -> None:
    several = threads(2)
    x = (torch.randn(4, 4, 6, 6) + 200).bfloat16()
    nets = [nn.Sequential(nn.BatchNorm2d(4)).train() for _ in range(2)]
    wide = nn.BatchNorm2d(4)
    expected = wide(x.float())
    for net in nets:
        shared_norms.share_norms(net)

    def run(rank: int) -> Tensor:
        given = x[2 * rank : 2 * rank + 2].clone().requires_grad_()
        made: Tensor = nets[rank](given)
        torch.autograd.backward(made.float().pow(2).sum())
        assert given.grad is not None
        assert given.grad.dtype == made.dtype == torch.bfloat16
        return made.detach()

    found = torch.cat(several.run(run, [True, True]))
    torch.testing.assert_close(found.float(), expected, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(nets[0].get_buffer("0.running_var"), wide.running_var)


def without_dropout() -> Drops:
    model = Drops()
    for block in model.blocks:
        block[3], block[4] = nn.Identity(), nn.Identity()  # type: ignore[operator]
    return model


def test_blocks_that_are_computed_again_count_a_batch_once(threads: Any) -> None:
    several = threads(2)
    plain = [without_dropout()]
    plain.append(copy.deepcopy(plain[0]))
    again = copy.deepcopy(plain)
    for model in (*plain, *again):
        assert shared_norms.share_norms(model) == 4
    for model in again:
        assert activation_checkpointing.enable(model) == 4
    given = [drops_batch(8) for _ in range(2)]
    for models in (plain, again):
        several.run(lambda rank, models=models: gradients(models[rank], given[rank]), [True, True])
    for one, other in zip(plain, again, strict=True):
        for a, b in zip(one.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(b.grad, a.grad)
        for x, y in zip(one.buffers(), other.buffers(), strict=True):
            torch.testing.assert_close(y, x)
        assert one.get_buffer("blocks.0.1.num_batches_tracked") == 1


def test_still_norms_of_every_model_stay_still_and_as_they_are() -> None:
    seen = 0
    for name in registry.names("baselines"):
        for variant in registry.model(name).VARIANTS:
            if not variant.startswith("tiny"):
                continue
            try:
                model = copy.deepcopy(load_model(name, "random", variant))
            except CannotRun:
                continue
            head = nn.Sequential(SafeBatchNorm1d(4), nn.Linear(4, 2))
            norms = {n: (m, type(m)) for n, m in model.named_modules() if isinstance(m, _BatchNorm)}
            flags = {n: m.training for n, m in model.train().named_modules()}
            keys = [*model.state_dict()]
            whole = LossModule(head, model, lambda *_: torch.zeros(()))
            assert shared_norms.share_norms(whole) == 1 + sum(flags[n] for n in norms)
            whole.eval()
            whole.train()
            assert {n: m.training for n, m in model.named_modules()} == flags, (name, variant)
            for n, (module, kind) in norms.items():
                assert model.get_submodule(n) is module
                assert flags[n] or type(module) is kind
            assert [*model.state_dict()] == keys
            seen += bool(norms) and not any(flags[n] for n in norms)
    assert seen >= 26


def test_a_norm_with_a_forward_pass_of_its_own_is_refused() -> None:
    class Doubled(nn.BatchNorm2d):
        def forward(self, input: Tensor) -> Tensor:
            return 2 * super().forward(input)

    with pytest.raises(SkybenchError, match="Doubled computes batch normalisation in its own way"):
        shared_norms.share_norms(nn.Sequential(Doubled(3)))
    still = Doubled(3)
    still.train = lambda mode=True: still  # type: ignore[method-assign]
    still.training = False
    assert shared_norms.share_norms(nn.Sequential(still)) == 0
