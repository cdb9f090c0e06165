"""Distributed training on several devices, by Lightning Fabric and DDP."""

from __future__ import annotations

import logging
import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from skybench.core import UsageError
from skybench.core.interfaces import Workers


class SingleProcess:
    """The `Workers` of a single process."""

    rank, size = 0, 1

    def wrap(self, module: nn.Module) -> nn.Module:
        return module

    def backward(self, loss: Tensor) -> None:
        torch.autograd.backward(loss)

    def no_sync(self, module: nn.Module, on: bool) -> AbstractContextManager[Any]:
        return nullcontext()

    def gather(self, value: Any) -> list[Any]:
        return [value]


SINGLE_PROCESS = SingleProcess()


class FabricProcesses:
    """Processes of Lightning Fabric, one for each device; NCCL on GPUs, gloo on CPUs."""

    def __init__(self, devices: int, device: str, nodes: int) -> None:
        from lightning.fabric import Fabric
        from lightning.fabric.strategies.ddp import DDPStrategy

        logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
        # A sample need not use all branches of a network.
        strategy = DDPStrategy(find_unused_parameters=True)
        self.fabric = Fabric(
            accelerator=device, devices=devices, num_nodes=nodes, strategy=strategy
        )
        self.fabric.launch()
        self.rank, self.size = self.fabric.global_rank, self.fabric.world_size

    def wrap(self, module: nn.Module) -> nn.Module:
        if self.fabric.device.type == "cuda":  # torch lacks SyncBatchNorm on CPUs
            convert = nn.SyncBatchNorm.convert_sync_batchnorm
            module = convert(module)  # type: ignore[no-untyped-call]
        return self.fabric.setup_module(module, move_to_device=False)

    def backward(self, loss: Tensor) -> None:
        self.fabric.backward(loss)

    def no_sync(self, module: nn.Module, on: bool) -> AbstractContextManager[Any]:
        return self.fabric.no_backward_sync(module, enabled=on)  # type: ignore[arg-type]

    def gather(self, value: Any) -> list[Any]:
        found: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(found, value)
        return found


def start_processes(devices: int, device: str, nodes: int = 1) -> Workers:
    """Start a process for each of `devices` devices ("cpu" or "cuda") on each of `nodes` machines.

    Fabric re-executes the command line once per rank; code after this call runs in every process.
    Raises UsageError for more GPUs than the machine has.
    """
    if devices * nodes == 1:
        return SINGLE_PROCESS
    if device == "cuda" and devices > torch.cuda.device_count():
        available = torch.cuda.device_count()
        raise UsageError(f"--devices {devices} was given, but there are {available} CUDA devices.")
    return FabricProcesses(devices, device, nodes)


def is_helper_process() -> bool:
    """Whether this process has a rank above 0, and so must not print."""
    return any(int(os.environ.get(name, 0)) > 0 for name in ("LOCAL_RANK", "NODE_RANK", "RANK"))
