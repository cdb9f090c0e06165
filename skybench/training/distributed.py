"""One training on several devices: Lightning Fabric starts the processes and joins gradients."""

from __future__ import annotations

import logging
import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from skybench.core import UsageError
from skybench.core.interfaces import Workers


class Alone:
    """A single process."""

    rank, size = 0, 1

    def wrap(self, module: nn.Module) -> nn.Module:
        return module

    def backward(self, loss: Tensor) -> None:
        torch.autograd.backward(loss)

    def hold(self, module: nn.Module, on: bool) -> AbstractContextManager[Any]:
        return nullcontext()

    def gather(self, one: Any) -> list[Any]:
        return [one]


ALONE = Alone()


class Together:
    """Processes of Lightning Fabric: one a device, NCCL on GPUs, gloo on CPUs."""

    def __init__(self, devices: int, device: str, nodes: int) -> None:
        from lightning.fabric import Fabric
        from lightning.fabric.strategies.ddp import DDPStrategy

        logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
        # Of a network with several branches a sample need not use all.
        strategy = DDPStrategy(find_unused_parameters=True)
        self.fabric = Fabric(
            accelerator=device, devices=devices, num_nodes=nodes, strategy=strategy
        )
        self.fabric.launch()
        self.rank, self.size = self.fabric.global_rank, self.fabric.world_size

    def wrap(self, module: nn.Module) -> nn.Module:
        if self.fabric.device.type == "cuda":  # torch has none for CPUs
            convert = nn.SyncBatchNorm.convert_sync_batchnorm
            module = convert(module)  # type: ignore[no-untyped-call]
        return self.fabric.setup_module(module, move_to_device=False)

    def backward(self, loss: Tensor) -> None:
        self.fabric.backward(loss)

    def hold(self, module: nn.Module, on: bool) -> AbstractContextManager[Any]:
        return self.fabric.no_backward_sync(module, enabled=on)  # type: ignore[arg-type]

    def gather(self, one: Any) -> list[Any]:
        found: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(found, one)
        return found


def start(devices: int, device: str, nodes: int = 1) -> Workers:
    """The processes for so many devices ("cpu" or "cuda") of each of so many machines.

    From here on this program runs in each of them: it was started again, with the same words.
    Raises UsageError for more GPUs than there are.
    """
    if devices * nodes == 1:
        return ALONE
    if device == "cuda" and devices > torch.cuda.device_count():
        there = torch.cuda.device_count()
        raise UsageError(f"--devices {devices} was given, but there are {there} CUDA devices.")
    return Together(devices, device, nodes)


def is_another() -> bool:
    """Whether this process was started to help another, and has nothing to say."""
    return any(int(os.environ.get(name, 0)) > 0 for name in ("LOCAL_RANK", "NODE_RANK", "RANK"))
