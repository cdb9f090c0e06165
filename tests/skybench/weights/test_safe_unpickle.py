from __future__ import annotations

import collections
import copyreg
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from skybench.weights.safe_unpickle import (
    CONSTRUCTORS,
    PickledStorage,
    SafeUnpickler,
    SkippedObject,
    UnreadableFile,
)

HERE = __name__


class Trap:
    """Whatever unpickling does with it leaves a mark."""

    mark: Path

    def __new__(cls, *_: Any, **__: Any) -> Trap:
        cls.spring()
        return super().__new__(cls)

    @classmethod
    def spring(cls, *_: Any) -> Any:
        cls.mark.touch()
        return cls

    __setstate__ = __call__ = __setitem__ = append = extend = add = spring


@pytest.fixture(autouse=True)
def mark(tmp_path: Path) -> Path:
    Trap.mark = tmp_path / "ran"
    return tmp_path / "ran"


def storage(stored: PickledStorage) -> Tensor:
    return torch.arange(stored.numel).to(stored.dtype)


def run(program: bytes) -> Any:
    return SafeUnpickler(io.BytesIO(program), storage).load()


def text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def stacked(module: str, name: str) -> bytes:
    return text(module) + text(name) + pickle.STACK_GLOBAL


PROTO = b"\x80\x04"
TRAP = named(HERE, "Trap")
OBJECT = TRAP + b")\x81"  # Trap.__new__(Trap)


def shell(mark: Path) -> bytes:
    return text(f"touch {mark}")


def python(mark: Path) -> bytes:
    return text(f"__import__('pathlib').Path({str(mark)!r}).touch()")


CALLS: dict[str, Callable[[Path], bytes]] = {
    "os.system": lambda m: named("os", "system") + b"(" + shell(m) + b"tR",
    "posix.system": lambda m: named("posix", "system") + shell(m) + b"\x85R",
    "stack global": lambda m: stacked("os", "system") + shell(m) + b"\x85R",
    "eval": lambda m: named("builtins", "eval") + python(m) + b"\x85R",
    "exec": lambda m: stacked("builtins", "exec") + python(m) + b"\x85R",
    "Python 2's eval": lambda m: named("__builtin__", "eval") + python(m) + b"\x85R",
    "INST": lambda m: b"(" + shell(m) + b"ios\nsystem\n",
    "OBJ": lambda m: b"(" + named("os", "system") + shell(m) + b"o",
    "NEWOBJ": lambda _: OBJECT,
    "NEWOBJ_EX": lambda _: TRAP + b")}\x92",
    "getattr": lambda m: (
        named("builtins", "getattr")
        + (named("builtins", "__import__") + text("os") + b"\x85R")
        + text("system") + b"\x86R" + shell(m) + b"\x85R"
    ),
    "a dotted name": lambda _: stacked(HERE, "Trap.spring") + b")R",
    "partial": lambda m: (
        named("functools", "partial") + named("os", "system") + shell(m) + b"\x86R)R"
    ),
    "in a list": lambda m: b"]" + named("os", "system") + shell(m) + b"\x85Ra",
    "as a key": lambda m: b"}" + named("os", "system") + shell(m) + b"\x85RNs",
    "as a value": lambda m: b"}N" + named("os", "system") + shell(m) + b"\x85Rs",
    "as an argument": lambda m: (
        named("collections", "OrderedDict") + named("os", "system") + shell(m) + b"\x85R\x85R"
    ),
    "in a persistent id": lambda m: named("os", "system") + shell(m) + b"\x85RQ",
    "BUILD": lambda _: OBJECT + b"}b",
    "APPEND": lambda _: OBJECT + b"Na",
    "APPENDS": lambda _: OBJECT + b"(NNe",
    "SETITEM": lambda _: OBJECT + b"NNs",
    "SETITEMS": lambda _: OBJECT + b"(NNu",
    "ADDITEMS": lambda _: OBJECT + b"(N\x90",
    "a set": lambda _: b"\x8f(" + OBJECT + b"\x90",
    "a frozen set": lambda _: b"(" + OBJECT + b"\x91",
    "an object is called": lambda _: OBJECT + b")R",
}  # fmt: skip
HARMLESS_HERE = ("in a persistent id", "as an argument")  # to Python's own machine they are errors


@pytest.mark.parametrize("name", CALLS)
def test_no_code_runs(name: str, mark: Path) -> None:
    program = (b"\x80\x02" if "Python 2" in name else PROTO) + CALLS[name](mark) + b"."
    run(program)
    assert not mark.exists()
    try:  # the trap works
        pickle.loads(program)
    except (pickle.UnpicklingError, TypeError):
        assert mark.exists() or name in HARMLESS_HERE
    assert mark.exists() or name in HARMLESS_HERE


def test_pickled_objects_are_absent_whatever_the_protocol(mark: Path) -> None:
    class_ = Trap()
    class_.__dict__["inner"] = [Trap()]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        program = pickle.dumps({"keep": [1, "two"], "trap": class_}, protocol)
        mark.unlink(missing_ok=True)
        machine = SafeUnpickler(io.BytesIO(program), storage)
        root = machine.load()
        assert root["keep"] == [1, "two"]
        assert isinstance(root["trap"], SkippedObject)
        assert not mark.exists()
        assert any(HERE in name or "_reconstructor" in name for name in machine.left_out)


def test_extensions_are_unknown_instructions(mark: Path) -> None:
    copyreg.add_extension(HERE, "Trap", 0xF1)
    try:
        pickle.loads(program := b"\x80\x02\x82\xf1)\x81.")
        assert mark.exists()
        mark.unlink()
        with pytest.raises(UnreadableFile):
            run(program)
        assert not mark.exists()
    finally:
        copyreg.remove_extension(HERE, "Trap", 0xF1)


def test_nothing_that_is_allowed_can_be_changed() -> None:
    rules, names = dict(CONSTRUCTORS), vars(collections.OrderedDict).keys()
    state = b"}" + text("__init__") + named("os", "system") + b"s"
    for module, name in (
        ("collections", "OrderedDict"), ("torch._utils", "_rebuild_tensor_v2"),
        ("skybench.weights.safe_unpickle", "RULES"), ("skybench.weights.safe_unpickle", "Machine"),
    ):  # fmt: skip
        run(PROTO + named(module, name) + state + b"b.")
        run(PROTO + named(module, name) + b"N" + state + b"\x86b.")
        run(PROTO + named(module, name) + text("x") + named("os", "system") + b"s.")
    assert rules == CONSTRUCTORS
    assert vars(collections.OrderedDict).keys() == names


def test_an_ordered_dict_keeps_its_items_and_not_its_state() -> None:
    given: Any = collections.OrderedDict(a=1, b=[2])
    given._metadata = {"version": 1}
    assert run(pickle.dumps(given, 2)) == {"a": 1, "b": [2]}
    assert run(PROTO + named("collections", "OrderedDict") + b"]]" + text("k") + b"aNaa\x85R.") == {
        "k": None
    }


def test_plain_data_are_as_python_reads_them() -> None:
    data: list[Any] = [
        None, True, False, 0, -5, 300, 70_000, 2**40, -(2**70), 1.5, "ä", b"bytes", b"x" * 300,
        bytearray(b"y"), (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], {}, {"k": {1: 2.5}},
    ]  # fmt: skip
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        kept = [d for d in data if protocol == 5 or not isinstance(d, bytearray | bytes)]
        assert run(pickle.dumps(kept, protocol)) == kept
    text_only = [d for d in data if not isinstance(d, bytearray | bytes)]
    for protocol in (0, 1):
        assert run(pickle.dumps(text_only, protocol)) == text_only


def test_what_is_shared_stays_shared() -> None:
    inner = [1]
    first, second = run(pickle.dumps((inner, inner), 4))
    assert first is second


@pytest.mark.parametrize(
    "program",
    [
        b"\x8e" + (2**60).to_bytes(8, "little") + b"x.",  # bytes
        b"\x96" + (2**40).to_bytes(8, "little") + b"x.",  # a byte array
        b"\x8d" + (2**50).to_bytes(8, "little") + b"x.",  # text
        b"\x8b" + (2**31 - 1).to_bytes(4, "little") + b"x.",  # a number
        b"Nj" + b"\xff" * 4 + b".",  # memory
        b"0.", b"a.", b"u.", b"t.", b"R.", b"\x93.", b"s.", b"b.", b"\xff.", b"N", b"",
    ],
)  # fmt: skip
def test_damaged_programs_and_false_sizes_end_in_an_error(program: bytes) -> None:
    with pytest.raises(UnreadableFile, match="holds a damaged pickle"):
        run(PROTO + program)


def test_a_frame_and_a_high_place_in_memory_take_no_room() -> None:
    assert run(PROTO + b"\x95" + (2**60).to_bytes(8, "little") + b"N.") is None
    assert run(PROTO + b"Nr\xff\xff\xff\xff0j\xff\xff\xff\xff.") is None


def test_keys_that_are_no_plain_data_are_dropped() -> None:
    deep = b"N" + b"\x85" * 200_000  # its hash would overflow the stack
    assert run(PROTO + b"}" + deep + b"Ns" + text("k") + b"Ns.") == {"k": None}
    assert run(PROTO + b"(" + deep + b"N" + text("k") + b"Nd.") == {"k": None}


def rebuild(name: str, *arguments: bytes) -> bytes:
    return PROTO + named("torch._utils", name) + b"(" + b"".join(arguments) + b"tR."


def number(value: int) -> bytes:
    return b"I" + str(value).encode() + b"\n"


def numbers(*values: int) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def stored(numel: int, kind: str = "FloatStorage") -> bytes:
    key = text("storage") + named("torch", kind) + text("0") + text("cpu") + number(numel)
    return b"(" + key + b"tQ"


def test_tensors_are_rebuilt() -> None:
    whole = rebuild(
        "_rebuild_tensor_v2", stored(6), number(1), numbers(2, 2), numbers(2, 1), b"\x89", b"}"
    )
    assert run(whole).tolist() == [[1, 2], [3, 4]]
    old = rebuild("_rebuild_tensor", stored(6, "LongStorage"), number(0), numbers(6), numbers(1))
    assert run(old).tolist() == [0, 1, 2, 3, 4, 5]
    assert run(old).dtype == torch.int64


@pytest.mark.parametrize(
    ("numel", "offset", "size", "stride"),
    [
        (6, 0, (7,), (1,)), (6, 6, (1,), (1,)), (6, -1, (1,), (1,)), (6, 0, (2,), (2**40,)),
        (6, 0, (-1,), (1,)), (6, 0, (2,), (-1,)), (6, 0, (2, 2), (1,)), (2**62, 0, (1,), (1,)),
        (-1, 0, (0,), (1,)), (6, 2**62, (1,), (1,)), (6, 0, (2**40, 2**40), (0, 0)),
    ],
)  # fmt: skip
def test_a_tensor_stays_within_its_storage(
    numel: int, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> None:
    program = rebuild(
        *("_rebuild_tensor_v2", stored(numel), number(offset), numbers(*size), numbers(*stride)),
        *(b"\x89", b"}"),
    )
    with pytest.raises(UnreadableFile):
        run(program)


def test_a_tensor_that_claims_to_be_huge_is_left_out() -> None:
    claimed = rebuild(
        "_rebuild_tensor_v2", stored(6), number(0), numbers(2**40), numbers(0), b"\x89", b"}"
    )
    assert run(claimed) == SkippedObject("a tensor much larger than its storage")


def test_a_tensor_of_no_storage_and_an_unknown_type_are_told() -> None:
    none = rebuild("_rebuild_tensor_v2", b"N", number(0), numbers(1), numbers(1), b"\x89", b"}")
    assert isinstance(run(none), SkippedObject)
    assert run(PROTO + stored(1, "loadStorage") + b".") == SkippedObject("a storage of load")
