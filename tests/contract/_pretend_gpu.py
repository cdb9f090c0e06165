"""A pretend GPU: arithmetic on the CPU, while every storage is marked as the GPU's or the host's.

    with PretendGpu() as gpu:
        model.to("cuda")(batch)
    gpu.faults, gpu.waits

What CUDA refuses raises `WrongDevice` here, at the line that does it, and is kept in `faults` for
code that catches errors. It sees no missing kernel, no memory, no speed, no autocast of CUDA's own,
and takes all that is made within a backward pass for the GPU's.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, Self, cast
from unittest import mock

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

CUDA, CPU = torch.device("cuda", 0), torch.device("cpu")
INDEXING = ("aten.index.", "aten.index_put", "aten._index_put_impl_", "aten._unsafe_index")
# Between devices, too; the last is what a module asks before its parameters move.
COPIES = ("aten.copy_.", "aten.set_.", "aten._foreach_copy_.",
          "aten._has_compatible_shallow_copy_type.")  # fmt: skip
# They take no scalar of the host beside tensors of the GPU; element by element that is allowed.
NO_SCALARS = ("cat", "stack", "index_add", "scatter", "gather", "bmm", "mm", "addmm", "embedding",
              "convolution")  # fmt: skip
# The host reads a value, or a size that depends on values, and waits for the GPU.
READS = ("nonzero", "equal", "_unique2", "unique_dim", "masked_select")
ASKS = ("item", "tolist", "__bool__", "__int__", "__float__", "__index__", "__contains__")
NOT_OURS = ("/torch/", "contextlib.py", "unittest/mock.py", __file__)


class WrongDevice(RuntimeError):
    """Something that CUDA would refuse."""


class Marks:
    """The storages on the GPU. They outlive a `PretendGpu`, as constants in caches do."""

    def __init__(self) -> None:
        # By address; a weak reference keeps the address from being given to another storage.
        self.known: dict[int, StorageWeakRef] = {}

    def has(self, x: Tensor) -> bool:
        return x.untyped_storage()._cdata in self.known

    def put(self, x: Tensor, on: bool = True) -> None:
        storage = x.untyped_storage()
        if not on:
            self.known.pop(storage._cdata, None)
        elif storage._cdata not in self.known:
            self.known[storage._cdata] = StorageWeakRef(storage)  # type: ignore[no-untyped-call]

    def sweep(self) -> None:
        self.known = {k: r for k, r in self.known.items() if not r.expired()}  # type: ignore[no-untyped-call]


MARKS = Marks()


def tensors(values: Any) -> list[Tensor]:
    return [x for x in tree_leaves(values) if isinstance(x, Tensor) and not x.is_meta]


def is_cuda(device: Any) -> bool:
    return torch.device(device).type == "cuda"


class Move(torch.autograd.Function):
    """A copy on the other device; its gradient goes back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, on: bool, options: dict[str, Any]) -> Tensor:
        ctx.back, ctx.dtype = MARKS.has(x), x.dtype
        out = x.detach().to(copy=True, **options)
        MARKS.put(out, on)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        out = grad.to(ctx.dtype, copy=True)
        MARKS.put(out, ctx.back)
        return out, None, None


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Compares the devices of an operation's tensors, and marks what it gives."""

    def __init__(self, gpu: PretendGpu) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.gpu = gpu

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs, name = kwargs or {}, str(func)
        given = tensors((args, kwargs))
        host = [x for x in given if not MARKS.has(x)]
        on = len(host) < len(given)
        if on and host:
            self._compare(name, args, host)
        if on and (short(name) in READS or self._reads_mask(name, args)):
            self.gpu.wait(f"reads by {name}")
        out = func(*args, **kwargs)
        made = self.gpu.inside and (not given or name.startswith("aten.lift_fresh"))
        if (on or made) and not name.startswith(COPIES):
            for x in tensors(out):
                MARKS.put(x)
        return out

    def _compare(self, name: str, args: Sequence[Any], host: list[Tensor]) -> None:
        large = [x for x in host if x.ndim]
        if name.startswith(INDEXING):
            if not MARKS.has(args[0]):
                raise self.gpu.fault(f"a host tensor was indexed by the GPU's in {name}")
            if any(x is y for x in large for y in args[2:3]):
                raise self.gpu.fault(f"values of the host were put into a GPU tensor by {name}")
            self.gpu.wait("copies an index to the GPU")
        elif large and not name.startswith(COPIES):
            shapes = [tuple(x.shape) for x in large[:3]]
            raise self.gpu.fault(f"tensors of two devices in {name}, of the host {shapes}")
        elif short(name).startswith(NO_SCALARS):
            raise self.gpu.fault(f"a scalar of the host in {name}")
        elif self._changes(name, args, host):
            raise self.gpu.fault(f"a scalar of the host was changed by the GPU's in {name}")

    def _changes(self, name: str, args: Sequence[Any], host: list[Tensor]) -> bool:
        in_place = short(name).endswith("_") and not name.startswith(COPIES)
        return in_place and any(args[0] is x for x in host)

    def _reads_mask(self, name: str, args: Sequence[Any]) -> bool:
        if not name.startswith(INDEXING):
            return False
        return any(isinstance(i, Tensor) and i.dtype == torch.bool for i in args[1] or ())


class Functions(TorchFunctionMode):
    """Answers for devices, and moves tensors between them."""

    def __init__(self, gpu: PretendGpu) -> None:
        super().__init__()
        self.gpu = gpu

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", "")
        on = bool(args) and isinstance(args[0], Tensor) and MARKS.has(args[0])
        if name == "__get__":
            asked = getattr(getattr(func, "__self__", None), "__name__", "")
            answers = {"device": CUDA if on else CPU, "is_cuda": on, "is_cpu": not on}
            if asked in answers:
                return answers[asked]
        if name in ASKS and on:
            self.gpu.wait(f"reads by {name}")
        if name in ("numpy", "__array__") and on:
            raise self.gpu.fault("can't convert a cuda tensor to numpy; use Tensor.cpu()")
        if name in ("to", "cuda", "cpu", "type_as") and isinstance(args[0], Tensor):
            return self._moved(name, args, kwargs)
        if name in ("pin_memory", "record_stream"):
            return args[0]
        made = self._device(name, on, kwargs)
        before = self.gpu.inside
        self.gpu.inside = any(map(MARKS.has, tensors((args, kwargs)))) if made is None else made
        try:
            out = func(*args, **kwargs)
        finally:
            self.gpu.inside = before
        return out if made is None else self._placed(name, args, out, made)

    def _device(self, name: str, on: bool, kwargs: dict[str, Any]) -> bool | None:
        """Whether the function makes a tensor on the GPU; None: it does not say where."""
        made = on if name == "new_tensor" else None
        device = kwargs.get("device")
        if device is not None and str(device) != "meta":
            made, kwargs["device"] = is_cuda(device), "cpu"
        if made and kwargs.get("generator") is not None:
            raise self.gpu.fault("a GPU tensor cannot be drawn by a generator of the host")
        if made and name in ("tensor", "new_tensor", "as_tensor", "asarray"):
            self.gpu.wait("copies a constant to the GPU")
        return made

    def _placed(self, name: str, args: Sequence[Any], out: Any, made: bool) -> Any:
        if name in ("as_tensor", "asarray") and isinstance(args[0], Tensor):
            return self._moved("to", (args[0], CUDA if made else CPU, out.dtype), {})
        if name in ("as_tensor", "asarray", "from_numpy"):
            out = out.clone()  # its memory is the array's
        for x in tensors(out):
            MARKS.put(x, made)
        return out

    def _moved(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
        x, target = args[0], {"cuda": True, "cpu": False}.get(name)
        options = {k: kwargs[k] for k in ("dtype", "memory_format") if kwargs.get(k) is not None}
        for given in (*args[1:], kwargs.get("device"), kwargs.get("other")):
            if isinstance(given, Tensor):
                target, options["dtype"] = MARKS.has(given), given.dtype
            elif isinstance(given, torch.dtype):
                options["dtype"] = given
            elif isinstance(given, str | torch.device):
                if str(given) == "meta":
                    return cast(Tensor, x.to("meta", **options))
                target = is_cuda(given)
        if target is None or target == MARKS.has(x):
            plain = x.to(copy=bool(kwargs.get("copy")), **options) if options else x
            return cast(Tensor, plain)
        if not (kwargs.get("non_blocking") and target):
            self.gpu.wait("copies to the GPU" if target else "copies to the host")
        return cast(Tensor, Move.apply(x, target, {"dtype": x.dtype, **options}))


def short(name: str) -> str:
    """The plain name of an operation: "mm" of aten.mm.default."""
    return name.split(".")[1]


class PretendGpu(contextlib.ExitStack):
    """The only GPU of a pretended machine, within this context.

    faults: what CUDA would refuse. waits: where the host waits for the GPU, and how often: copies
    from pageable memory, as of constants, and values read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.waits: Counter[str] = Counter()
        self.inside = False  # a function of GPU tensors, or one that makes them

    def fault(self, text: str) -> WrongDevice:
        self.faults.append(f"{place()}: {text}")
        return WrongDevice(self.faults[-1])

    def wait(self, text: str) -> None:
        self.waits[f"{place()}: {text}"] += 1

    def __enter__(self) -> Self:
        super().__enter__()
        MARKS.sweep()
        for name, value in cuda_answers().items():
            self.enter_context(mock.patch.object(torch.cuda, name, value))
        scaler = torch.amp.GradScaler
        for owner, name, value in (
            (torch, "autocast", HostAutocast),
            (torch.amp, "GradScaler", lambda device="cuda", **given: scaler("cpu", **given)),
            (torch.accelerator, "current_accelerator", _always(torch.device("cuda"))),
            (torch.accelerator, "current_stream", _always(SimpleNamespace(is_capturing=bool))),
        ):
            self.enter_context(mock.patch.object(owner, name, value))
        self.enter_context(Operations(self))
        self.enter_context(Functions(self))
        return self


class HostAutocast(torch.autocast):
    """Autocast of CUDA as that of the CPU."""

    def __init__(self, device_type: str, *given: Any, **named: Any) -> None:
        super().__init__("cpu" if device_type == "cuda" else device_type, *given, **named)


def cuda_answers() -> dict[str, Callable[..., Any]]:
    """What torch.cuda says of the pretend GPU."""
    state = torch.Generator().get_state()
    about = SimpleNamespace(name="Pretend", total_memory=80 * 2**30, uuid="0", major=9, minor=0)
    answers = {
        "is_available": True, "is_initialized": True, "device_count": 1, "current_device": 0,
        "is_bf16_supported": True, "get_device_name": "Pretend", "get_device_capability": (9, 0),
        "get_device_properties": about, "mem_get_info": (80 * 2**30, 80 * 2**30),
        "max_memory_allocated": 0, "memory_allocated": 0, "reset_peak_memory_stats": None,
        "empty_cache": None, "synchronize": None, "get_rng_state": state, "set_rng_state": None,
        "is_current_stream_capturing": False,
    }  # fmt: skip
    return {name: _always(value) for name, value in answers.items()}


def _always(value: Any) -> Callable[..., Any]:
    return lambda *_, **__: value


def place() -> str:
    """File and line of the caller that is neither torch nor this file."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_foreign(frame.f_code.co_filename):
        frame = frame.f_back
    name = "/".join(frame.f_code.co_filename.split("/")[-3:])
    return f"{name}:{frame.f_lineno}"


def _is_foreign(file: str) -> bool:
    return any(part in file for part in NOT_OURS)
