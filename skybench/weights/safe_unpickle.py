"""Runs a pickle as data: no object of it is made, none of its code runs.

A pickle is a program for a small machine. The machine here knows the data instructions only. What
the program imports stays a name (`Global`); what it builds from a name is an `Absent`, except for
ordered dicts and tensors, which this module makes itself. So nothing that a file names is ever
looked up, called or changed.
"""

from __future__ import annotations

import math
import pickle
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import IO, TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    import torch
    from torch import Tensor

KEYS = (str, int, float, bytes, bool, type(None))  # of dicts; hashing a deep tuple may crash
REPEATED = 1 << 24  # elements that a tensor may have by repeating fewer
DTYPES = {
    "Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16",
    "Long": "int64", "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8",
    "Bool": "bool", "ComplexDouble": "complex128", "ComplexFloat": "complex64", "Untyped": "uint8",
}  # fmt: skip


class Unreadable(Exception):
    """A file is not what it should be; the message goes on after "it"."""


class Global(NamedTuple):
    """What a pickle imports, as "module.name"; it is never looked up."""

    name: str


class Absent(NamedTuple):
    """Stands for an object that is not made: of this class, or what this function would give."""

    name: str


class Stored(NamedTuple):
    """A storage that tensors share."""

    key: str
    numel: int  # elements
    dtype: torch.dtype
    first: int = 0  # element at which a view of it begins


class Machine(pickle._Unpickler):
    """Runs a pickle's data instructions; `flat` gives the elements of a storage."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {}  # filled below

    def __init__(self, file: IO[bytes], flat: Callable[[Stored], Tensor]) -> None:
        super().__init__(file, encoding="utf-8", errors="replace")  # of Python 2's strings
        self.flat = flat
        self.storages: dict[str, Stored] = {}  # all that the pickle mentions
        self.left_out: dict[str, None] = {}  # names of what became Absent

    def load(self) -> Any:
        """What the pickle describes. Raises Unreadable."""
        try:
            return super().load()
        except Unreadable:
            raise
        except Exception as error:  # instructions without sense fail in any way
            raise Unreadable(f"holds a damaged pickle ({error!r})") from error

    def find_class(self, module: str, name: str) -> Global:
        """The name itself."""
        return Global(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Stored | Global | Absent:
        """("storage", its class, key, device, number of elements[, a view of it]).

        Or ("module", its class, where and how it was written), in old files.
        """
        if isinstance(pid, tuple) and pid[:1] == ("module",) and isinstance(pid[1], Global):
            return pid[1]
        if not (isinstance(pid, tuple) and len(pid) > 4 and pid[0] == "storage"):
            return self.absent("persistent id")
        _, kind, key, _, numel, *rest = pid
        name = kind.name.rpartition(".")[2].removesuffix("Storage")
        stored = Stored(str(key), int(numel), _dtype(DTYPES.get(name, name)))
        self.storages[stored.key] = stored
        view = rest[0] if rest else None  # key, first element, number of elements
        return stored._replace(first=int(view[1])) if view else stored

    def absent(self, name: str) -> Absent:
        """Stands for what is not made, and notes it."""
        self.left_out[name] = None
        return Absent(name)

    def made(self, function: Any, arguments: Any) -> Any:
        """What a call gives; a malicious pickle calls anything."""
        name = function.name if isinstance(function, Global) else "an object"
        rule = RULES.get(name)
        return rule(self, *arguments) if rule else self.absent(name)


def _dtype(name: str) -> torch.dtype:
    import torch

    found = vars(torch).get(name)
    if not isinstance(found, torch.dtype):
        raise Unreadable(f"has numbers of the unknown type {name!r}")
    return found


def _ordered(m: Machine, pairs: Any = None) -> Any:
    if type(pairs) not in (list, type(None)):
        return m.absent("an ordered dict of another kind")
    return _dict_of(pairs or ())


def _dict_of(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    return {key: value for key, value in pairs if isinstance(key, KEYS)}


def _tensor(m: Machine, stored: Any, offset: int, size: Any, stride: Any, *rest: Any) -> Any:
    """The rest: requires_grad, hooks, flags (of complex tensors that are stored conjugated)."""
    import torch

    if not isinstance(stored, Stored) or any(rest[2:]):
        return m.absent("a tensor of another kind")
    tensor = torch.as_strided(m.flat(stored), size, stride, stored.first + offset)  # checks bounds
    # One that repeats its elements may claim any size, and costs it where it is computed with.
    fair = math.prod(tensor.shape) <= max(stored.numel, REPEATED)
    return tensor if fair else m.absent("a tensor much larger than its storage")


def _tensor_v3(m: Machine, stored: Any, *rest: Any) -> Any:
    """The rest as above, but for the number type before the flags: bytes are stored."""
    offset, size, stride, grad, hooks, kind, *flags = rest
    if isinstance(stored, Stored) and isinstance(kind, Global):
        dtype = _dtype(kind.name.removeprefix("torch."))
        stored = stored._replace(dtype=dtype, numel=stored.numel // dtype.itemsize)
    return _tensor(m, stored, offset, size, stride, grad, hooks, *flags)


def _parameter(_: Machine, tensor: Any, *__: Any) -> Any:
    return tensor


def _subclass(m: Machine, function: Any, _: Any, arguments: Any, *__: Any) -> Any:
    nested = isinstance(function, Global) and RULES.get(function.name) is _subclass
    return m.absent("a tensor of another kind") if nested else m.made(function, arguments)


# Source: github:pytorch/pytorch torch/_utils.py, torch/_tensor.py (the arguments).
RULES: Mapping[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _subclass,
}


def _call(m: Any) -> None:
    arguments = m.stack.pop()
    m.stack[-1] = m.made(m.stack[-1], arguments)


def _call_named(m: Any) -> None:
    m.stack.pop()  # the named arguments
    _call(m)


def _call_marked(m: Any) -> None:
    function, *arguments = m.pop_mark()
    m.stack.append(m.made(function, arguments))


def _call_written(m: Any) -> None:
    module, name = (m.readline()[:-1].decode("ascii") for _ in range(2))
    arguments = m.pop_mark()
    m.stack.append(m.made(Global(f"{module}.{name}"), arguments))


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


# Plain data, the machine's memory, names and persistent ids: as Python's own machine does them.
PLAIN = (
    "PROTO FRAME STOP MARK POP POP_MARK DUP NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG "
    "LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE "
    "SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 EMPTY_TUPLE TUPLE TUPLE1 "
    "TUPLE2 TUPLE3 EMPTY_LIST LIST EMPTY_DICT GET BINGET LONG_BINGET PUT BINPUT LONG_BINPUT "
    "MEMOIZE GLOBAL STACK_GLOBAL PERSID BINPERSID"
)
# What would call or change an object; of objects only lists and dicts are changed. The others,
# the registry of extensions and buffers outside of the file, are unknown instructions here.
OURS: Mapping[str, Callable[[Any], None]] = {
    "REDUCE": _call, "NEWOBJ": _call, "NEWOBJ_EX": _call_named, "OBJ": _call_marked,
    "INST": _call_written, "BUILD": lambda m: m.stack.pop(), "DICT": _dict,
    "APPEND": lambda m: _extend(m, [m.stack.pop()]), "APPENDS": lambda m: _extend(m, m.pop_mark()),
    "SETITEM": _set_item, "SETITEMS": lambda m: _update(m, m.pop_mark()),
    "EMPTY_SET": lambda m: m.stack.append(m.absent("builtins.set")),
    "ADDITEMS": lambda m: m.pop_mark(), "FROZENSET": _frozen_set, "BYTEARRAY8": _byte_array,
}  # fmt: skip
_KNOWN = pickle._Unpickler.dispatch
Machine.dispatch |= {(c := getattr(pickle, name)[0]): _KNOWN[c] for name in PLAIN.split()}
Machine.dispatch |= {getattr(pickle, name)[0]: step for name, step in OURS.items()}
