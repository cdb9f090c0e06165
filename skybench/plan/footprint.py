"""Footprint of a network on the meta device: bytes that autograd saves, and operations."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from skybench.core.model import Model
from skybench.training.activation_checkpointing import blocks

# By autocast on CUDA; github:pytorch/pytorch aten/src/ATen/autocast_mode.h.
LOWER = {
    "linear", "matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "addmm", "addbmm", "baddbmm",
    "einsum", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
    "conv_transpose3d", "scaled_dot_product_attention",
}  # fmt: skip
WHOLE = {
    "layer_norm", "group_norm", "softmax", "log_softmax", "cross_entropy", "norm", "normalize",
    "vector_norm", "exp", "log", "pow", "__pow__", "rsqrt", "reciprocal", "sum", "prod", "cumsum",
    "softplus", "binary_cross_entropy_with_logits",
}  # fmt: skip
HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
LARGE = 1 << 22  # bytes of a computed tensor whose values no network asks for
Run = Callable[[int], Sequence[Tensor]]
Storages = dict[int, torch.UntypedStorage]  # by address: they live as long as they stand here


class Footprint(NamedTuple):
    """Parameters, saved bytes and operations; bytes grow linearly with the samples."""

    parameters: int
    learned: int  # of these, those that a forward pass reaches
    fixed: float  # bytes saved whatever the number of samples: copies in lower precision, tables
    each: float  # bytes saved for each sample
    fixed_again: float  # the same two with activation checkpointing
    each_again: float
    flops: float  # of a sample's forward pass

    def kept(self, count: int, recompute: bool) -> float:
        """Return the bytes saved for the backward pass of `count` samples."""
        if recompute:
            return self.fixed_again + count * self.each_again
        return self.fixed + count * self.each


def to_meta(network: nn.Module) -> None:
    """Move all parameters to the meta device; buffers keep their values."""
    moved: dict[int, nn.Parameter] = {}
    for module in network.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                bare = nn.Parameter(parameter.to("meta"), parameter.requires_grad)
                module._parameters[name] = moved.setdefault(id(parameter), bare)


def measure_footprint(run: Run, network: nn.Module, precision: str = "") -> Footprint:
    """Measure a network in training mode whose parameters are on the meta device.

    run: a forward pass of the given number of samples, which returns its results. precision:
    "bf16" or "fp16" as by autocast, "" for float32. Two passes separate what grows with the
    samples.
    """
    with _OneDevice():  # type: ignore[no-untyped-call]
        with FlopCounterMode(display=False) as counter:
            few = _kept(run, 2, network, precision)
        more = _kept(run, 3, network, precision)
    each, again = more.plain - few.plain, more.again - few.again
    return Footprint(
        parameters=sum(p.numel() for p in network.parameters()),
        learned=few.learned,
        fixed=few.plain - 2 * each,
        each=each,
        fixed_again=few.again - 2 * again,
        each_again=again,
        flops=counter.get_total_flops() / 2,
    )


def count_operations(run: Callable[[int], Any]) -> float:
    """Return the operations of a sample's forward pass; run: as for `measure_footprint`.

    Nothing is kept for a backward pass.
    """
    one_device = _OneDevice()  # type: ignore[no-untyped-call]
    with torch.no_grad(), one_device, FlopCounterMode(display=False) as counter, _Cast(None):
        run(2)
    total: int = counter.get_total_flops()
    return total / 2


class _Pass(NamedTuple):
    """A pass: bytes saved without and with activation checkpointing, parameters reached."""

    plain: int
    again: int
    learned: int


def _kept(run: Run, count: int, network: nn.Module, precision: str) -> _Pass:
    tally, casts = Tally(network), _Cast(HALF.get(precision))
    with tally, casts:
        results = run(count)
    for copy in casts.copies.values():
        tally.add(tally.outside, copy)
    learned = sum(p.numel() for p in _reached(results))
    return _Pass(tally.plain(), tally.again(), learned)


def _reached(results: Sequence[Tensor]) -> list[Tensor]:
    """The parameters that results depend on: only these have gradients and moments."""
    todo: list[Any] = [x.grad_fn for x in results]
    nodes: set[Any] = set()
    while todo:
        node = todo.pop()
        if node is not None and node not in nodes:
            nodes.add(node)
            todo += [before for before, _ in node.next_functions]
    return [n.variable for n in nodes if isinstance(getattr(n, "variable", None), nn.Parameter)]


class Tally(contextlib.ExitStack):
    """Context that counts the bytes autograd saves, without the network's own parameters.

    Under activation checkpointing a block saves only its input; the rest exists for one block at a
    time, in its own backward pass.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.own = {p.untyped_storage()._cdata for p in network.parameters()}
        self.outside: Storages = {}
        self.inputs: Storages = {}
        self.calls: list[Storages] = []  # what each call of a block keeps
        self.open = False

    def __enter__(self) -> Tally:
        super().__enter__()
        for block in blocks(self.network) if isinstance(self.network, Model) else ():
            begin = block.register_forward_pre_hook(self._begin, with_kwargs=True)
            end = block.register_forward_hook(self._end, always_call=True)
            self.callback(begin.remove)
            self.callback(end.remove)
        self.enter_context(torch.autograd.graph.saved_tensors_hooks(self._keep, lambda x: x))
        return self

    def add(self, to: Storages, tensor: Tensor) -> None:
        """Add a tensor's storage."""
        storage = tensor.untyped_storage()
        if storage._cdata not in self.own:
            to[storage._cdata] = storage

    def _begin(self, _: nn.Module, given: Any, named: Any) -> None:
        for x in tree_leaves((given, named)):
            if isinstance(x, Tensor):
                self.add(self.inputs, x)
        self.calls.append({})
        self.open = True

    def _end(self, *_: Any) -> None:
        self.open = False

    def _keep(self, tensor: Tensor) -> Tensor:
        self.add(self.calls[-1] if self.open else self.outside, tensor)
        return tensor

    def plain(self) -> int:
        """Return the bytes saved without activation checkpointing."""
        every = dict(self.outside)
        for call in self.calls:
            every |= call
        return _bytes(every)

    def again(self) -> int:
        """Return the peak bytes with activation checkpointing."""
        held = self.outside | self.inputs
        largest = max(
            (_bytes({k: x for k, x in call.items() if k not in held}) for call in self.calls),
            default=0,
        )
        return _bytes(held) + largest


def _bytes(storages: Storages) -> int:
    return sum(x.nbytes() for x in storages.values())


class _OneDevice(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Promote CPU tensors to the meta device when an operation mixes both, or gives a large one.

    Small ones keep their values, which decide what networks do; the positional embeddings of a
    large image would take gigabytes. A boolean of the meta device counts as true: networks ask
    whether all dates are seen.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = (args, dict(kwargs or {}))
        if func is torch.ops.aten._local_scalar_dense.default and args[0].dtype == torch.bool:
            return True if args[0].is_meta else func(*args)
        devices = {x.device.type for x in tree_leaves(given) if isinstance(x, Tensor)}
        if {"meta", "cpu"} <= devices:
            given = tree_map_only(Tensor, lambda x: x.to("meta"), given)
        elif "meta" not in devices and (large := _large_on_meta(func, *given)) is not None:
            return large
        return func(*given[0], **given[1])


def _large_on_meta(func: Any, args: Any, kwargs: Mapping[str, Any]) -> Tensor | None:
    """The result of an operation on CPU tensors, on the meta device; None: it is small, or a view.

    None as well where its shape depends on values.
    """
    schema = func._schema
    if schema.is_mutable or any(r.alias_info is not None for r in schema.returns):
        return None
    args, named = tree_map_only(Tensor, lambda x: x.to("meta"), (args, dict(kwargs)))
    if any(a.name == "device" for a in schema.arguments):
        named["device"] = torch.device("meta")
    try:
        result = func(*args, **named)
    except (RuntimeError, NotImplementedError):
        return None
    if isinstance(result, Tensor) and result.nbytes >= LARGE:
        return result
    return None


class _Cast(TorchFunctionMode):
    """Autocast and fused attention, which the meta device lacks.

    A parameter is cast to lower precision once, as by autocast's cache.
    """

    def __init__(self, half: torch.dtype | None) -> None:
        super().__init__()
        self.half = half
        self.copies: dict[int, Tensor] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given, name = (args, dict(kwargs or {})), getattr(func, "__name__", "")
        if self.half is not None and name in LOWER:
            given = tree_map_only(Tensor, self._lower, given)
        elif self.half is not None and name in WHOLE:
            given = tree_map_only(Tensor, self._whole, given)
        if func is F.scaled_dot_product_attention:
            return _attention(*given[0], **given[1])
        return func(*given[0], **given[1])

    def _lower(self, x: Tensor) -> Tensor:
        if x.dtype != torch.float32:
            return x
        if not isinstance(x, nn.Parameter):
            return x.to(self.half)
        if id(x) not in self.copies:
            self.copies[id(x)] = x.to(self.half)
        return self.copies[id(x)]

    def _whole(self, x: Tensor) -> Tensor:
        return x.float() if x.dtype == self.half else x


def _attention(
    q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, *rest: Any, **named: Any
) -> Tensor:
    """Save what CUDA's memory-efficient kernel saves: the mask, but no attention map."""
    if not q.is_meta or q.ndim != 4 or named.get("enable_gqa"):
        return F.scaled_dot_product_attention(q, k, v, attn_mask, *rest, **named)
    bias = attn_mask
    if bias is not None:
        bias = torch.zeros_like(bias, dtype=q.dtype) if bias.dtype == torch.bool else bias
        bias = bias.to("meta").expand(*q.shape[:-1], k.shape[-2])
    kernel = torch.ops.aten._scaled_dot_product_efficient_attention
    fused: Tensor = kernel(q, k, v, bias, True, *rest, **named)[0]
    return fused
