"""Checks what the masks of a user's own folder hold against the classes of its skybench.toml."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from skybench.core import DataError

from . import decode, raster
from .folder import Colour, FolderDescription

MOST_SHOWN = 16  # classes in a suggested skybench.toml
LOOKED_AT = 300  # masks of two classes, in search of two kinds of masks
LOOKED_FOR_COLOURS = 8  # masks
MIXED = 3  # masks of 0 and 255 among masks of 0 and 1 that are no accident


class MaskFacts(NamedTuple):
    """What one mask holds."""

    pixels: tuple[int, ...]  # of each class
    at_255: int  # pixels of the number 255, of which no setting speaks
    nodata: int  # pixels of GDAL's nodata value

    @property
    def seen(self) -> set[int]:
        """The ids of the classes that have a pixel."""
        return {n for n, count in enumerate(self.pixels) if count}


def legend_of(about: FolderDescription, masks: Sequence[Path]) -> raster.Legend:
    """Return how the masks are read. Raises DataError where 255 seems to stand for a class.

    255 means "no label" where masks hold class ids; but masks of 0 and 255 are common, in which
    255 is the foreground, and would be lost. Changes (two classes) of 0 and 255 are read so.
    """
    colours = [(c, i) for i, c in enumerate(about.colours)]
    colours += [(c, raster.IGNORE) for c in about.ignored_colours]
    legend = raster.Legend(
        len(about.classes), tuple(colours), about.ignored_ids, 0, about.values, nodata=True
    )
    try:
        if colours or about.values or raster.IGNORE in about.ignored_ids:
            return legend
        lost = lost_class(about, masks, legend)
    except DataError as error:
        raise DataError(f"{error}{_toml_of(about, masks, legend)}") from error
    if not lost:
        return legend
    found = set().union(*(facts_of(mask, legend).seen for mask in masks))
    if about.change and found <= {0} and legend.classes == 2:
        return raster.Legend(2, values=(0, raster.IGNORE), nodata=True)
    raise DataError(lost)


def without_classes(about: FolderDescription, masks: Sequence[Path]) -> str:
    """Return what to write where nothing names the classes of masks."""
    text = (
        f"{about.root} has masks, but nothing names their classes; write their names into a "
        "skybench.toml in the folder, "
    )
    found = sorted(_colours_in(masks))
    small = [r for r, g, b in found if r == g == b and r != raster.IGNORE]
    as_ids = {(n, n, n) for n in (*small, raster.IGNORE)} >= {*found} and small
    if as_ids and max(small) < MOST_SHOWN and (len(small) > 1 or len(found) == 1):
        names = ", ".join(f'"class_{n}"' for n in range(max(small) + 1))
        return f"{text}in the order of their ids, as\nclasses = [{names}]"
    if not 0 < len(found) <= MOST_SHOWN:
        return f'{text}as\nclasses = ["land", "road"]\n(more in `skybench show folder`)'
    return f"{text}with their colours, as\n{suggested_toml([], found)}"


def lost_class(about: FolderDescription, masks: Sequence[Path], legend: raster.Legend) -> str:
    """Return why 255 seems to stand for a class in masks of ids; "" where it does not.

    Where all classes were seen, no further masks are read: but of two classes some hundred, since
    masks of 0 and 1 may be mixed with masks of 0 and 255.
    """
    seen: set[int] = set()
    with_255: list[MaskFacts] = []
    first: Path | None = None
    for number, mask in enumerate(masks):
        facts = facts_of(mask, legend)
        seen |= facts.seen
        if facts.at_255:
            with_255.append(facts)
            first = first or mask
        if len(seen) == legend.classes > 2 or (len(seen) == 2 and number >= LOOKED_AT):
            break
    if first is None:
        return ""
    mixed = (
        len(seen) == legend.classes == 2
        and len(with_255) >= MIXED
        and all(facts.seen == {0} for facts in with_255)
    )
    return _lost_class(about, first, seen) if mixed or _is_suspicious(seen, legend) else ""


def require_in_split(
    about: FolderDescription, masks: Sequence[Path], legend: raster.Legend
) -> None:
    """Raise DataError where in one split 255 seems to stand for all classes but one."""
    seen: set[int] = set()
    first = None
    for mask in masks:
        facts = facts_of(mask, legend)
        seen |= facts.seen
        first = first or (mask if facts.at_255 else None)
        if len(seen) > 1:
            return
    if first is not None:
        raise DataError(_lost_class(about, first, seen))


def _is_suspicious(seen: set[int], legend: raster.Legend) -> bool:
    """Whether 255 may stand for a class: one is missing at either end, or hardly any is there."""
    missing = [n for n in range(legend.classes) if n not in seen]
    return len(seen) <= 1 or missing in ([0], [legend.classes - 1])


def _lost_class(about: FolderDescription, mask: Path, seen: set[int]) -> str:
    absent = [name for n, name in enumerate(about.classes) if n not in seen]
    values = sorted(seen) if absent else [0]
    what = f"no mask holds the class {' or '.join(absent)}"
    if not absent:
        what = "there is one class" if len(seen) == 1 else f"no mask with 255 holds {max(seen)}"
    return (
        f'{mask} holds 255, which means "no label" where masks hold class ids, but {what}: the '
        f"masks hold {', '.join(map(str, [*sorted(seen), raster.IGNORE]))}. If 255 stands for a "
        "class, replace `classes` in skybench.toml by\n"
        f"{suggested_toml(about.classes, [(v, v, v) for v in (*values, raster.IGNORE)])}\n"
        'If 255 does mean "no label", write\nignore = [255]'
    )


def suggested_toml(classes: Sequence[str], colours: Sequence[Colour]) -> str:
    """Return [classes] for masks of these colours, in order.

    >>> print(suggested_toml(["background", "building"], [(0, 0, 0), (255, 255, 255)]))
    [classes]
    background = [0, 0, 0]
    building = [255, 255, 255]
    """
    names = list(classes)
    if len(colours) == 2 < len(names):
        names = [classes[0], classes[-1]]
    if len(names) != len(colours):
        names = [f"class_{n}" for n in range(len(colours))]
    pairs = list(zip(names, colours, strict=True))[:MOST_SHOWN]
    return "\n".join(["[classes]", *(f"{_key_of(name)} = {[*colour]}" for name, colour in pairs)])


def _key_of(name: str) -> str:
    plain = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if plain else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _toml_of(about: FolderDescription, masks: Sequence[Path], legend: raster.Legend) -> str:
    """Return [classes] for the colours or grey values that the first masks hold; "" for ids."""
    if legend.colours or legend.values:
        return ""
    found = _colours_in(masks)
    ids = {(n, n, n) for n in (*legend.stored, raster.IGNORE)}
    if not 2 <= len(found) <= MOST_SHOWN or found <= ids:
        return ""
    shown = suggested_toml(about.classes, sorted(found))
    return f"\nIf these are colours or grey values of classes, replace `classes` by\n{shown}"


def _colours_in(masks: Sequence[Path]) -> set[Colour]:
    """Return the colours, or grey values, of the first masks; hardly more than can be shown."""
    coloured = raster.Legend(1, (((0, 0, 0), 0),))
    found: set[Colour] = set()
    for mask in masks[:LOOKED_FOR_COLOURS]:
        try:
            values = raster.read_stored_mask(mask, coloured).values
        except DataError:
            continue
        if len(values) == 3 and values.dtype == np.uint8:
            colours = np.unique(values.reshape(3, -1), axis=1).T[: MOST_SHOWN + 1]
            found |= {(int(r), int(g), int(b)) for r, g, b in colours}
    return found


def class_counts(masks: Iterable[Path], legend: raster.Legend) -> Counter[int]:
    """Return the pixels of each class id in masks. Raises DataError for a mask that is wrong."""
    counts: Counter[int] = Counter()
    for mask in masks:
        counts.update(dict(enumerate(facts_of(mask, legend).pixels)))
    return counts


def absent_classes(
    classes: Sequence[str], masks: Iterable[Path], legend: raster.Legend
) -> list[str]:
    """Return the classes without a pixel; masks are read until each class was seen."""
    seen: set[int] = set()
    for mask in masks:
        seen |= facts_of(mask, legend).seen
        if len(seen) == len(classes):
            return []
    return [name for n, name in enumerate(classes) if n not in seen]


def facts_of(path: Path, legend: raster.Legend) -> MaskFacts:
    """Return what a mask holds. Raises DataError where it cannot be read by the legend."""
    return _facts(path, decode.stamp(path), legend)


@functools.cache
def _facts(path: Path, changed: int, legend: raster.Legend) -> MaskFacts:
    mask = raster.read_stored_mask(path, legend)
    _require_clear_nodata(path, mask, legend)
    ids = raster.meaning(path, mask, legend)
    counts = np.bincount(ids.ravel(), minlength=raster.IGNORE + 1)
    nodata = 0 if mask.missing is None else int(mask.missing.sum())
    spoken = legend.colours or raster.IGNORE in (*legend.ignored, *legend.values)
    at_255 = 0 if spoken else int((mask.values[0] == raster.IGNORE).sum())
    return MaskFacts(tuple(int(n) for n in counts[: legend.classes]), at_255, nodata)


def _require_clear_nodata(path: Path, mask: raster.StoredMask, legend: raster.Legend) -> None:
    """Raise DataError where GDAL's nodata value is that of a class: either may be meant."""
    if mask.missing is None or mask.nodata is None:
        return
    if not (mask.values[0][mask.missing] == mask.nodata).any():
        return  # GDAL's mask band says it, which is clear
    value = int(mask.nodata)
    if value in legend.stored and value not in legend.ignored:
        raise DataError(
            f"{path} declares {value} as GDAL's nodata value, and {value} stands for a class. If "
            f"these pixels have no label, write ignore = [{value}] into skybench.toml; if they are "
            "of the class, remove the declaration: gdal_edit.py -unsetnodata FILE"
        )
