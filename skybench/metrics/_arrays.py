"""Arrays of users (lists, tensors, masked arrays, data frames) as plain NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterator, KeysView, Mapping, Set, ValuesView
from numbers import Integral, Real
from typing import Any, NamedTuple, TypeGuard

import numpy as np
from numpy.typing import NDArray

from skybench.core.errors import InvalidArray

CLASSES = 4096  # more make confusion matrices of gigabytes: the largest id is then no class
FILLS = (255, 65535)  # how uint8 and uint16 labels mark what has no label
NUMBERS = "biuf"  # kinds of dtypes
WRONG = (str, bytes, bytearray, Mapping, Set, type(None))


class Masked(NamedTuple):
    """Values, and which of them are masked; None: none is."""

    values: NDArray[Any]
    mask: NDArray[np.bool_] | None


def as_masked(given: Any, name: str) -> Masked:
    """Return numbers or truth values with at least one axis, and the mask of a masked array.

    given: an array or a tensor of any library and dtype, a data frame, or sequences of them.
    Raises InvalidArray, which names the argument, for anything else.
    """
    if is_plain(given):
        return Masked(given, None)
    try:
        found = _collected(given, name)
        array = np.asarray(np.ma.getdata(found))
    except (ValueError, TypeError, OverflowError, RuntimeError, RecursionError) as error:
        if isinstance(error, InvalidArray):
            raise
        raise InvalidArray(
            f"Expected {name} to be an array of numbers whose rows have one length, but got "
            f"{_kind(given)} that is none."
        ) from error
    if array.dtype.kind == "O":
        array = _numbers(array, name)
    if array.dtype.kind not in NUMBERS:
        raise InvalidArray(
            f"Expected numbers in {name}, but got {array.dtype} values such as "
            f"{array.reshape(-1)[:1].tolist()}."
        )
    if not array.ndim:
        raise InvalidArray(f"Expected an array or a list as {name}, but got one value, {array}.")
    mask = np.ma.getmaskarray(found) if isinstance(found, np.ma.MaskedArray) else None
    return Masked(array, mask if mask is not None and mask.any() else None)


def is_plain(given: Any) -> TypeGuard[NDArray[Any]]:
    """Return whether `as_array` would give back a value as it is: an array of numbers."""
    return type(given) is np.ndarray and given.ndim > 0 and given.dtype.kind in NUMBERS


def as_array(given: Any, name: str) -> NDArray[Any]:
    """Return what `as_masked` gives where no value may be masked. Raises InvalidArray."""
    array, mask = as_masked(given, name)
    if mask is not None:
        raise InvalidArray(
            f"Expected no masked values in {name}, but got {mask.sum()}; leave them out."
        )
    return array


def _collected(given: Any, name: str) -> Any:
    """The values of tensors, iterators and sequences, for NumPy."""
    if isinstance(given, WRONG):
        raise InvalidArray(f"Expected an array or a list as {name}, but got {_kind(given)}.")
    if hasattr(given, "detach"):
        return _of_tensor(given)
    if isinstance(given, Iterator | ValuesView | KeysView | range):
        given = list(given)
    if not isinstance(given, list | tuple) or all(isinstance(v, int | float) for v in given):
        return given
    parts: list[Any] = [v if isinstance(v, Real) else _collected(v, name) for v in given]
    if any(isinstance(part, np.ma.MaskedArray) for part in parts):
        return np.ma.stack(parts)
    return parts


def _of_tensor(tensor: Any) -> NDArray[Any]:
    """A torch tensor on any device, with or without gradient, dense or not."""
    plain = tensor.detach()
    if str(plain.layout) != "torch.strided":
        plain = plain.to_dense()
    if plain.is_floating_point() and plain.element_size() < 4:
        plain = plain.float()  # NumPy has neither bfloat16 nor 8 bits
    return np.asarray(plain.resolve_conj().resolve_neg().cpu().numpy())


def _numbers(objects: NDArray[Any], name: str) -> NDArray[Any]:
    """An array of Python numbers, or of equal arrays, with a numeric dtype."""
    values = objects.reshape(-1).tolist()
    for kind, dtype in ((Integral, np.int64), (Real, np.float64)):
        if all(isinstance(v, kind) for v in values):
            try:
                return np.array(values, dtype).reshape(objects.shape)
            except OverflowError as error:
                raise InvalidArray(
                    f"Expected numbers of 64 bits in {name}, but got {max(values)}."
                ) from error
    if all(isinstance(v, np.ndarray) and v.dtype.kind in NUMBERS for v in values):
        if len({v.shape for v in values}) == 1:
            return np.stack(values).reshape(*objects.shape, *values[0].shape)
        raise InvalidArray(
            f"Expected {name} to be an array of numbers whose rows have one length, but got rows "
            f"of shapes {sorted({v.shape for v in values})[:3]}."
        )
    strange = next(v for v in values if not isinstance(v, Real))
    raise InvalidArray(f"Expected numbers in {name}, but got {_kind(strange)}.")


def _kind(given: Any) -> str:
    """A value's type in words, and text itself."""
    if given is None:
        return "None"
    if isinstance(given, str):
        return f"the text {given[:40]!r}"
    return f"a {type(given).__name__}"


def as_class_ids(given: Any, name: str) -> Masked:
    """Return integer class ids (truth values count as 0 and 1) and their mask.

    Raises InvalidArray for other values than integers.
    """
    ids, mask = as_masked(given, name)
    if not ids.size:
        return Masked(ids.astype(np.int64), None)
    if ids.dtype.kind == "f":
        raise InvalidArray(
            f"Expected integer class ids, but got {ids.dtype} in {name}: of scores, give the "
            "argmax; convert ids that are whole numbers with .astype(int)."
        )
    return Masked(ids, mask)


def count_classes(ids: Mapping[str, NDArray[Any]], classes: int | None, most: int = CLASSES) -> int:
    """Return the given number of classes, or without one the largest id + 1.

    ids: by argument. Raises InvalidArray for a number out of range, for an id that is negative or
    not below `most`, and for one that stands for "no label" (255, 65535, if no id lies just below).
    """
    if classes is not None:
        return as_whole_number(classes, "classes", 1, most)
    each = {name: array for name, array in ids.items() if array.size}
    largest = max((int(array.max()) for array in each.values()), default=0)
    void = largest in FILLS and not any((array == largest - 1).any() for array in each.values())
    for name, array in each.items():
        low, high = int(array.min()), int(array.max())
        if low < 0 or high >= most or (void and high == largest):
            wrong = low if low < 0 else high
            raise InvalidArray(
                f"Expected {name} class ids from 0 on, but got {wrong}, which marks what is "
                "unlabelled, or is no class: leave it out"
                + (f", or give classes={wrong + 1} if it is one." if 0 <= wrong < most else ".")
            )
    return largest + 1


def require_class_ids(ids: Mapping[str, NDArray[Any]], classes: int, rest: str = "") -> None:
    """Raise InvalidArray for an id outside of 0..classes-1; ids: by argument, integers."""
    for name, values in ids.items():
        if values.size and not (values.min() >= 0 and values.max() < classes):
            raise InvalidArray(
                f"Expected {name} class ids in 0..{classes - 1}{rest}, but got "
                f"{values.min()}..{values.max()}."
            )


def unmasked_rows(*given: Masked) -> NDArray[np.bool_]:
    """Return which samples are masked in no array, bool [N]; a sample's mask is of all its values.

    Raises InvalidArray for a sample of which a part is masked, and if all are.
    """
    kept = np.ones(len(given[0].values), bool)
    for values, mask in given:
        if mask is not None:
            rows = mask.reshape(len(values), -1)
            if (rows.any(1) != rows.all(1)).any():
                raise InvalidArray(
                    "Expected all values of a sample to be masked, or none, but got row "
                    f"{np.flatnonzero(rows.any(1) != rows.all(1))[0]} with some."
                )
            kept &= ~rows.all(1)
    if not kept.any():
        raise InvalidArray("Expected at least one sample that is not masked, but got none.")
    return kept


def as_whole_number(given: Any, name: str, least: int, most: int = 2**62) -> int:
    """Return an integer of a range. Raises InvalidArray for anything else."""
    whole = isinstance(given, Integral) and not isinstance(given, bool | np.bool_)
    if not whole or not least <= given <= most:
        upper = f" to {most}" if most < 2**62 else " or more"
        raise InvalidArray(
            f"Expected {name} to be an integer of {least}{upper}, but got {given!r}."
        )
    return int(given)


def as_flag(given: Any, name: str) -> bool:
    """Return a truth value. Raises InvalidArray for anything else, such as the text "no"."""
    if not isinstance(given, bool | np.bool_ | Integral) or given not in (0, 1):
        raise InvalidArray(f"Expected {name} to be True or False, but got {given!r}.")
    return bool(given)
