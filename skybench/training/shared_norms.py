"""Batch normalisation over the samples of all processes that train one network together.

torch's SyncBatchNorm needs GPUs, counts the stand-in samples of a process that has none, and is of
another class than what it replaces. The one here is the same on CPUs, so that tests cover it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from skybench.core import SkybenchError

_COUNTS = [True]  # whether this process's samples are of the batch; the last entry holds


@contextlib.contextmanager
def samples_count(on: bool) -> Iterator[None]:
    """Let the samples of this process count in shared statistics, or not: in forward and backward.

    A process without samples of a batch runs the network on another sample, since all wait for all.
    """
    _COUNTS.append(on)
    try:
        yield
    finally:
        _COUNTS.pop()


def share_norms(module: nn.Module) -> int:
    """Let the batch norms that learn share their statistics; return how many there are.

    A norm that stays in evaluation mode while `module` trains is left as it is. The others keep
    their object, names, parameters and buffers; only their class changes, so that whoever refers to
    one still does. Leaves `module` in training mode.
    Raises SkybenchError for a norm of a class whose own forward pass would be lost.
    """
    learning = [m for m in module.train().modules() if isinstance(m, _BatchNorm) and m.training]
    for norm in learning:
        kind = type(norm)
        if kind.forward is not _BatchNorm.forward and not getattr(kind, "shareable", False):
            raise SkybenchError(
                f"{kind.__name__} computes batch normalisation in its own way, which several "
                "processes cannot share; train this network on one device"
            )
        norm.__class__ = SharedBatchNorm
    return len(learning)


class SharedBatchNorm(_BatchNorm):
    """Normalises [B, C, ...] by the statistics of all processes' samples, as one process would.

    A single value per channel among all of them has no variance: it is normalised by the running
    statistics, which it does not change. Statistics are float32 in any precision.
    """

    shareable = True

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions from 2 on will do."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        dims = [0, *range(2, input.dim())]
        with torch.no_grad():
            mean, variance, count = _joint_statistics(input.detach(), dims)
            alone = count < 2
            if self.running_mean is not None and self.running_var is not None:
                self._track(mean, variance * count / (count - 1).clamp(min=1), ~alone)
                mean = torch.where(alone, self.running_mean, mean)
                variance = torch.where(alone, self.running_var, variance)
            # The share of each of this process's values in the statistics.
            share = torch.where(alone, 0.0, _COUNTS[-1] / count)
        normalised: Tensor = _Normalise.apply(
            input, self.weight, self.bias, mean, variance, share, self.eps
        )
        return normalised

    def _track(self, mean: Tensor, variance: Tensor, on: Tensor) -> None:
        """Move the running statistics towards those of a batch, where `on` is 1."""
        factor: Any = self.momentum
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(on.to(self.num_batches_tracked.dtype))
            if self.momentum is None:  # the mean of all batches
                factor = 1 / self.num_batches_tracked.clamp(min=1)
        for running, new in ((self.running_mean, mean), (self.running_var, variance)):
            if running is not None:
                running.copy_(torch.where(on, running + factor * (new - running), running))


def _joint_statistics(x: Tensor, dims: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Mean [C], variance [C] and number of values per channel, over all processes that count."""
    variance, mean = torch.var_mean(_wide(x), dims, correction=0)
    count = mean.new_full((1,), float(_COUNTS[-1] * (x.numel() // x.shape[1])))
    mine = torch.cat([mean, variance, count])
    every = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(every, mine)
    told = torch.stack(every)
    counts, channels = told[:, -1:], len(mean)
    shares = counts / counts.sum()
    means, variances = told[:, :channels], told[:, channels:-1]
    mean = (shares * means).sum(0)
    variance = (shares * (variances + (means - mean) ** 2)).sum(0)
    return mean, variance, counts.sum()


def _wide(x: Tensor) -> Tensor:
    """In float32 at least."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class _Normalise(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) * weight + bias, where all x made mean and variance.

    Source of the gradient: Ioffe and Szegedy 2015 (arXiv 1502.03167), section 3, with the two sums
    over the batch taken over all processes.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, *given: Any
    ) -> Tensor:
        mean, variance, share, eps = given
        ctx.save_for_backward(x, weight, mean, torch.rsqrt(variance + eps), share)
        return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse, share = ctx.saved_tensors
        dims, shape = [0, *range(2, x.dim())], (1, -1, *[1] * (x.dim() - 2))
        gradient, centred = _wide(gradients[0]), _wide(x) - mean.view(shape)
        sums = torch.stack([gradient.sum(dims), (gradient * centred).sum(dims) * inverse])
        of_bias, of_weight = sums.clone()
        dist.all_reduce(sums)
        scale = inverse if weight is None else inverse * _wide(weight)
        first, second = scale * share * sums
        of_x = torch.addcmul(-first.view(shape), gradient, scale.view(shape))
        of_x.addcmul_(centred, (inverse * second).view(shape), value=-1)
        learned = (None, None) if weight is None else (of_weight.to(weight), of_bias.to(weight))
        return (of_x.to(x.dtype), *learned, None, None, None, None)
