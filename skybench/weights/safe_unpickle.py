"""Safe unpickling: a pickle is read as data, without importing or calling anything it names.

A pickle is a program for a stack machine, of which only the data opcodes are implemented here. An
import stays a name (`GlobalName`); an object built from a name becomes a `SkippedObject`, except
for ordered dicts and tensors, which this module builds itself.
"""

from __future__ import annotations

import math
import pickle
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import IO, TYPE_CHECKING, Any, ClassVar, NamedTuple

from skybench.weights.pickled_array import PickledArray, PickledDtype

if TYPE_CHECKING:
    import torch
    from torch import Tensor

KEYS = (str, int, float, bytes, bool, type(None))  # dict keys; to hash a deep tuple may crash
REPEATED = 1 << 24  # most elements of a tensor that repeats a smaller storage
STORAGE_DTYPES = {
    "Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16",
    "Long": "int64", "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8",
    "Bool": "bool", "ComplexDouble": "complex128", "ComplexFloat": "complex64", "Untyped": "uint8",
    "QInt8": "qint8", "QUInt8": "quint8", "QInt32": "qint32",
}  # fmt: skip


class UnreadableFile(Exception):
    """A file that cannot be read; the message continues a sentence that begins with "it"."""


class GlobalName(NamedTuple):
    """An import in a pickle, as "module.name"; it is never resolved."""

    name: str


class SkippedObject(NamedTuple):
    """The placeholder of an object that is not built: its class, or the function that makes it."""

    name: str


class PickledStorage(NamedTuple):
    """A storage in a pickle, which several tensors may share."""

    key: str
    numel: int  # elements
    dtype: torch.dtype
    first: int = 0  # first element of a view


class SafeUnpickler(pickle._Unpickler):
    """Unpickle the data opcodes of a pickle; flat: returns the elements of a storage, [numel]."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {}  # filled below

    def __init__(self, file: IO[bytes], flat: Callable[[PickledStorage], Tensor]) -> None:
        super().__init__(file, encoding="utf-8", errors="replace")  # for strings of Python 2
        self.flat = flat
        self.storages: dict[str, PickledStorage] = {}  # all storages in the pickle, by key
        self.left_out: dict[str, None] = {}  # names of the skipped objects

    def load(self) -> Any:
        """Return the object that the pickle describes. Raises UnreadableFile."""
        try:
            return super().load()
        except UnreadableFile:
            raise
        except Exception as error:  # invalid opcodes may raise anything
            raise UnreadableFile("holds a damaged pickle") from error

    def find_class(self, module: str, name: str) -> GlobalName:
        """Return the name; nothing is imported."""
        return GlobalName(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> PickledStorage | GlobalName | SkippedObject:
        """Read ("storage", class, key, device, number of elements[, view]).

        Old files also have ("module", class, source file, source).
        """
        if isinstance(pid, tuple) and pid[:1] == ("module",) and isinstance(pid[1], GlobalName):
            return pid[1]
        if not (isinstance(pid, tuple) and len(pid) > 4 and pid[0] == "storage"):
            return self.absent("persistent id")
        _, kind, key, _, numel, *rest = pid
        name = kind.name.rpartition(".")[2].removesuffix("Storage")
        try:
            dtype = _dtype(STORAGE_DTYPES.get(name, name))
        except UnreadableFile:  # a kind of number that this torch lacks, perhaps beside the model
            return self.absent(f"a storage of {name}")
        stored = PickledStorage(str(key), int(numel), dtype)
        self.storages[stored.key] = stored
        view = rest[0] if rest else None  # key, first element, number of elements
        return stored._replace(first=int(view[1])) if view else stored

    def absent(self, name: str) -> SkippedObject:
        """Return the placeholder of a skipped object, and record its name."""
        self.left_out[name] = None
        return SkippedObject(name)

    def call(self, function: Any, arguments: Any) -> Any:
        """Return the result of a call of CONSTRUCTORS; for any other function, a placeholder."""
        name = function.name if isinstance(function, GlobalName) else "an object"
        construct = CONSTRUCTORS.get(name)
        return construct(self, *arguments) if construct else self.absent(name)


def _dtype(name: str) -> torch.dtype:
    import torch

    dtype = vars(torch).get(name)
    if not isinstance(dtype, torch.dtype):
        raise UnreadableFile(f"has elements of the unknown dtype {name!r}")
    return dtype


def _ordered(m: SafeUnpickler, pairs: Any = None) -> Any:
    if type(pairs) not in (list, type(None)):
        return m.absent("an ordered dict of another kind")
    return _dict_of(pairs or ())


def _dict_of(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    return {key: value for key, value in pairs if isinstance(key, KEYS)}


def _tensor(m: SafeUnpickler, stored: Any, offset: int, size: Any, stride: Any, *rest: Any) -> Any:
    """Build a tensor; rest: requires_grad, hooks, flags (of conjugated complex tensors)."""
    import torch

    if not isinstance(stored, PickledStorage) or any(rest[2:]):
        return m.absent("a tensor of another kind")
    tensor = torch.as_strided(m.flat(stored), size, stride, stored.first + offset)  # checks bounds
    # A tensor with stride 0 may claim any size, which would be allocated in computations.
    fair = math.prod(tensor.shape) <= max(stored.numel, REPEATED)
    return tensor if fair else m.absent("a tensor much larger than its storage")


def _tensor_v3(m: SafeUnpickler, stored: Any, *rest: Any) -> Any:
    """Build a tensor from a storage of bytes; rest: as above, with the dtype before the flags."""
    offset, size, stride, grad, hooks, kind, *flags = rest
    if isinstance(stored, PickledStorage) and isinstance(kind, GlobalName):
        dtype = _dtype(kind.name.removeprefix("torch."))
        stored = stored._replace(dtype=dtype, numel=stored.numel // dtype.itemsize)
    return _tensor(m, stored, offset, size, stride, grad, hooks, *flags)


def _array(_: SafeUnpickler, *__: Any) -> PickledArray:
    return PickledArray()


def _array_dtype(_: SafeUnpickler, name: Any, *__: Any) -> PickledDtype:
    return PickledDtype(name)


def _encoded(m: SafeUnpickler, text: Any, encoding: Any = "utf-8") -> Any:
    """Return the bytes that older pickles hold as text."""
    plain = isinstance(text, str) and encoding == "latin1"
    return text.encode("latin1") if plain else m.absent("_codecs.encode")


def _build(m: Any) -> None:
    content = m.stack.pop()
    if isinstance(m.stack[-1], PickledArray | PickledDtype) and isinstance(content, tuple):
        m.stack[-1].fill(content)


def _parameter(_: SafeUnpickler, tensor: Any, *__: Any) -> Any:
    return tensor


def _subclass(m: SafeUnpickler, function: Any, _: Any, arguments: Any, *__: Any) -> Any:
    nested = isinstance(function, GlobalName) and CONSTRUCTORS.get(function.name) is _subclass
    return m.absent("a tensor of another kind") if nested else m.call(function, arguments)


# Source: github:pytorch/pytorch torch/_utils.py, torch/_tensor.py (the arguments).
CONSTRUCTORS: Mapping[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _subclass,
    "numpy.core.multiarray._reconstruct": _array,
    "numpy._core.multiarray._reconstruct": _array,
    "numpy.dtype": _array_dtype,
    "_codecs.encode": _encoded,
}


def _call(m: Any) -> None:
    arguments = m.stack.pop()
    m.stack[-1] = m.call(m.stack[-1], arguments)


def _call_named(m: Any) -> None:
    m.stack.pop()  # the keyword arguments
    _call(m)


def _call_marked(m: Any) -> None:
    function, *arguments = m.pop_mark()
    m.stack.append(m.call(function, arguments))


def _call_written(m: Any) -> None:
    module, name = (m.readline()[:-1].decode("ascii") for _ in range(2))
    arguments = m.pop_mark()
    m.stack.append(m.call(GlobalName(f"{module}.{name}"), arguments))


def _extend(m: Any, items: list[Any]) -> None:
    if type(m.stack[-1]) is list:
        m.stack[-1].extend(items)


def _update(m: Any, items: list[Any]) -> None:
    if type(m.stack[-1]) is dict:
        m.stack[-1].update(_dict_of(zip(items[::2], items[1::2], strict=True)))


def _set_item(m: Any) -> None:
    value, key = m.stack.pop(), m.stack.pop()
    _update(m, [key, value])


def _dict(m: Any) -> None:
    items = m.pop_mark()
    m.stack.append({})
    _update(m, items)


def _byte_array(m: Any) -> None:
    (length,) = struct.unpack("<Q", m.read(8))
    m.stack.append(m.read(length))


def _frozen_set(m: Any) -> None:
    m.pop_mark()
    m.stack.append(m.absent("builtins.frozenset"))


# Plain data, memo, names and persistent ids: Python's own implementation is used.
PLAIN = (
    "PROTO FRAME STOP MARK POP POP_MARK DUP NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG "
    "LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE "
    "SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 EMPTY_TUPLE TUPLE TUPLE1 "
    "TUPLE2 TUPLE3 EMPTY_LIST LIST EMPTY_DICT GET BINGET LONG_BINGET PUT BINPUT LONG_BINPUT "
    "MEMOIZE GLOBAL STACK_GLOBAL PERSID BINPERSID"
)
# Opcodes that call or modify objects: only lists and dicts are modified. All others, for the
# extension registry and out-of-band buffers, are unknown here.
OURS: Mapping[str, Callable[[Any], None]] = {
    "REDUCE": _call, "NEWOBJ": _call, "NEWOBJ_EX": _call_named, "OBJ": _call_marked,
    "INST": _call_written, "BUILD": _build, "DICT": _dict,
    "APPEND": lambda m: _extend(m, [m.stack.pop()]), "APPENDS": lambda m: _extend(m, m.pop_mark()),
    "SETITEM": _set_item, "SETITEMS": lambda m: _update(m, m.pop_mark()),
    "EMPTY_SET": lambda m: m.stack.append(m.absent("builtins.set")),
    "ADDITEMS": lambda m: m.pop_mark(), "FROZENSET": _frozen_set, "BYTEARRAY8": _byte_array,
}  # fmt: skip
_KNOWN = pickle._Unpickler.dispatch
SafeUnpickler.dispatch |= {(c := getattr(pickle, name)[0]): _KNOWN[c] for name in PLAIN.split()}
SafeUnpickler.dispatch |= {getattr(pickle, name)[0]: step for name, step in OURS.items()}
