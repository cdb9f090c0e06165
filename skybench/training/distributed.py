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
from skybench.training.failures import Failures
from skybench.training.launch import require_processes
from skybench.training.shared_norms import share_norms


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

    def failure(self, text: str, trace: str) -> tuple[str, str]:
        return text, trace

    def all_give_up(self) -> bool:
        return True


SINGLE_PROCESS = SingleProcess()


class FabricProcesses:
    """Processes of Lightning Fabric, one for each device; NCCL on GPUs, gloo on CPUs."""

    def __init__(self, devices: int, device: str, nodes: int) -> None:
        from lightning.fabric import Fabric
        from lightning.fabric.strategies.ddp import DDPStrategy

        for part in ("fabric", "pytorch"):  # each has a banner
            logging.getLogger(f"lightning.{part}").setLevel(logging.WARNING)
        # A sample need not use all branches of a network.
        strategy = DDPStrategy(find_unused_parameters=True)
        self.fabric = Fabric(
            accelerator=device, devices=devices, num_nodes=nodes, strategy=strategy
        )
        self.fabric.launch()
        self.rank, self.size = self.fabric.global_rank, self.fabric.world_size
        if self.size != devices * nodes:
            raise UsageError(
                f"--devices {devices} --nodes {nodes} needs {devices * nodes} processes, but there "
                f"are {self.size}"
            )
        place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        stores: Any = torch.distributed  # whose annotations lack them
        store = stores.TCPStore(*place, is_master=False)
        self.failures = Failures(self.rank, self.size, store, _abort)

    def wrap(self, module: nn.Module) -> nn.Module:
        share_norms(module)
        return self.fabric.setup_module(module, move_to_device=False)

    def backward(self, loss: Tensor) -> None:
        self.fabric.backward(loss)

    def no_sync(self, module: nn.Module, on: bool) -> AbstractContextManager[Any]:
        return self.fabric.no_backward_sync(module, enabled=on)  # type: ignore[arg-type]

    def gather(self, value: Any) -> list[Any]:
        found: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(found, value)
        return found

    def failure(self, text: str, trace: str) -> tuple[str, str]:
        return self.failures.tell(text, trace)

    def all_give_up(self) -> bool:
        return self.failures.all_give_up()


def _abort() -> None:
    """End what waits for other processes: NCCL's kernels would for minutes; gloo has no such call.

    Not run on GPUs yet.
    """
    if (group := torch.distributed.group.WORLD) is not None:
        group.abort()


def start_processes(devices: int, device: str, nodes: int = 1) -> Workers:
    """Start a process for each of `devices` devices ("cpu" or "cuda") on each of `nodes` machines.

    Fabric re-executes the command line once per rank; code after this call runs in every process.
    Raises UsageError for more GPUs than the machine has, and as `require_processes`.
    """
    if devices * nodes == 1:
        return SINGLE_PROCESS
    require_processes(devices, nodes)
    if device == "cuda" and devices > torch.cuda.device_count():
        available = torch.cuda.device_count()
        raise UsageError(f"--devices {devices} was given, but there are {available} CUDA devices.")
    return FabricProcesses(devices, device, nodes)
