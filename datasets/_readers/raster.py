"""Decodes masks, whole or in windows."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags

from skybench.core import DataError

from . import decode
from .decode import Array

IGNORE = 255  # in every mask that is handed out
UNKNOWN = 254  # while a mask is decoded, so there are at most 254 classes
MOST = 2**53  # whole numbers up to here are exact as floats
ALPHA_MODES = ("LA", "PA", "RGBA", "La", "RGBa")  # of Pillow: alpha is the last band
LOSSY = frozenset({".jpg", ".jpeg"})
ROWS = 64  # of a mask in colours that are looked up at once


@dataclass(frozen=True)
class Legend:
    """The class ids of a mask's stored values."""

    classes: int
    colours: tuple[tuple[tuple[int, int, int], int], ...] = ()  # (r, g, b) -> id; () : stored ids
    ignored: tuple[int, ...] = ()  # stored ids besides 255 that are left out
    tolerance: int = 0  # a colour this near in each channel counts as the table's
    values: tuple[int, ...] = ()  # the stored numbers of the classes; (): 0, 1, 2, …
    nodata: bool = False  # pixels of GDAL's nodata value are left out

    @property
    def stored(self) -> tuple[int, ...]:
        """The stored numbers of the classes, where there are no colours."""
        return self.values or tuple(range(self.classes))


class StoredMask(NamedTuple):
    """What a mask's file holds."""

    values: Array  # [3, H, W] for a legend of colours, else mostly [1, H, W]
    missing: Array | None = None  # bool [H, W]: GDAL's nodata, where the legend asks for it
    nodata: float | None = None  # its value


def read_mask(path: Path, legend: Legend, window: decode.Window | None = None) -> Array:
    """Read a mask or a window of it, uint8 [H, W], class ids and 255. Raises DataError."""
    if path.suffix.lower() in decode.GDAL:
        return meaning(path, read_stored_mask(path, legend, window), legend)
    (ids,) = decode.cut(decode.kept(path, legend, functools.partial(_whole, legend))[None], window)
    return np.asarray(ids)


def padded(ids: Array, side: int) -> Array:
    """Return a copy of class ids [H, W] in a square, 255 below and to the right of them."""
    square = np.full((side, side), IGNORE, np.uint8)
    square[: ids.shape[0], : ids.shape[1]] = ids
    return square


def _whole(legend: Legend, path: Path) -> Array:
    return meaning(path, read_stored_mask(path, legend), legend)


def read_stored_mask(path: Path, legend: Legend, window: decode.Window | None = None) -> StoredMask:
    """Read a mask without alpha; palettes and grey as colours where the legend has colours."""
    if decode.is_read_by_gdal(path):
        return _by_gdal(path, legend, window)
    if legend.colours:
        return StoredMask(decode.read_rgb(path))  # palette images and grey too
    with decode.open_picture(path) as file:
        if (plain := decode.read_plain(path, file)) is not None:
            return StoredMask(_of_legend(plain, legend))
        values, alpha = np.asarray(decode.upright(file)), file.mode in ALPHA_MODES
    bands = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
    return StoredMask(_of_legend(bands[:-1] if alpha else bands, legend))


def _by_gdal(path: Path, legend: Legend, window: decode.Window | None) -> StoredMask:
    with (decode.open_raster if window is None else decode.keep_raster)(path) as source:
        kinds = source.colorinterp
        bands = [n for n, kind in enumerate(kinds, 1) if kind != ColorInterp.alpha]
        values = source.read(bands or None, window=decode.raster_window(window))
        missing = _missing(path, source, values, legend, window) if legend.nodata else None
        nodata = source.nodata
        painted = legend.colours and len(values) == 1 and kinds[0] == ColorInterp.palette
        palette = source.colormap(1) if painted else {}
    if values.dtype.kind == "c":
        raise DataError(f"{path} holds complex numbers; expected class ids, or colours")
    if legend.colours and values.dtype.kind == "f":
        nan = np.isnan(values).any(0)
        missing = nan if missing is None else nan | missing
        values = np.where(nan, 0, values)
    if palette:
        table = np.zeros((1 << 16, 3), np.uint8)
        table[list(palette)] = [colour[:3] for colour in palette.values()]
        return StoredMask(table[values[0]].transpose(2, 0, 1), missing)
    return StoredMask(_of_legend(values, legend), missing, None if legend.colours else nodata)


def _missing(
    path: Path, source: Any, values: Array, legend: Legend, window: decode.Window | None
) -> Array | None:
    """Return where a mask has no value by GDAL's nodata or its mask band; None: nothing says it.

    Of colours only the mask band counts: black is often both nodata and a class.
    """
    if len(source.subdatasets) > 1:
        raise DataError(
            f"{path} holds {len(source.subdatasets)} images (pages); expected one mask a file"
        )
    missing = None
    if source.nodata is not None and not legend.colours:
        missing = values[0] == source.nodata
    flags = source.mask_flag_enums[0]
    if MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags:
        outside = source.read_masks(1, window=decode.raster_window(window)) == 0
        missing = outside if missing is None else missing | outside
    return missing


def _of_legend(values: Array, legend: Legend) -> Array:
    """Return three bands for a legend of colours; one for numbers, where all bands are equal."""
    values = values.astype(np.uint8) if values.dtype == np.bool_ else values
    if legend.colours:
        if values.dtype != np.uint8:  # it may hold 8 bits nevertheless
            small = np.nan_to_num(values).clip(0, 255).astype(np.uint8)
            values = small if (small == values).all() else values
        return np.repeat(values, 3, 0) if len(values) == 1 else values
    alike = len(values) == 3 and all((band == values[0]).all() for band in values[1:])
    return values[:1] if alike else values


def meaning(path: Path, mask: StoredMask, legend: Legend) -> Array:
    """Return the class ids of a mask's stored values, uint8 [H, W]. Raises DataError."""
    if legend.colours:
        return _from_colours(path, mask, legend)
    values = mask.values if mask.missing is None else np.where(mask.missing, 0, mask.values)
    numbers = whole_numbers(path, values)
    if numbers.dtype == np.uint8:  # by a table, since most masks are
        ids, known = (table[numbers] for table in _ids_of(np.arange(256), legend))
    else:
        ids, known = _ids_of(numbers, legend)
    if mask.missing is not None:
        ids, known = np.where(mask.missing, IGNORE, ids), known | mask.missing
    if not known.all():
        raise DataError(_unknown_numbers(path, numbers[~known], legend))
    return np.asarray(ids)


def _ids_of(numbers: Array, legend: Legend) -> tuple[Array, Array]:
    """Return class ids, uint8, of stored numbers, and which numbers have a meaning."""
    stored = np.asarray(legend.stored)
    order = np.argsort(stored)
    place = np.searchsorted(stored[order], numbers).clip(max=len(stored) - 1)
    left_out = np.isin(numbers, legend.ignored)
    is_class = (stored[order][place] == numbers) & ~left_out
    ids = np.where(is_class, order[place], IGNORE).astype(np.uint8)
    return ids, is_class | left_out | (numbers == IGNORE)


def whole_numbers(path: Path, values: Array) -> Array:
    """Return the numbers of a mask, [H, W], with 255 for NaN. Raises DataError for fractions."""
    if len(values) != 1:
        raise DataError(
            f"{path} is a mask with {len(values)} bands and no colour table is known; expected one "
            "band of class ids, or give the colours in skybench.toml under [classes], as "
            "building = [255, 0, 0]"
        )
    if values.dtype.kind != "f":
        return np.asarray(values[0])
    numbers = np.where(np.isnan(values[0]), IGNORE, values[0])
    broken = ~np.isfinite(numbers) | (numbers != np.floor(numbers)) | (np.abs(numbers) > MOST)
    if broken.any():
        found = ", ".join(f"{v:g}" for v in np.unique(numbers[broken])[:5])
        raise DataError(
            f"{path} holds {broken.sum()} values that are no class ids, as {found}; expected whole "
            "numbers, or NaN where there is no label. Was the mask resampled or is it a "
            "probability? Save class ids, resampled by nearest neighbour"
        )
    return np.asarray(numbers.astype(np.int64))


def _unknown_numbers(path: Path, numbers: Array, legend: Legend) -> str:
    bad, counts = np.unique(numbers, return_counts=True)
    found = ", ".join(f"{b} ({n} pixels)" for b, n in list(zip(bad, counts, strict=True))[:5])
    stated = f"0 to {legend.classes - 1}"
    if legend.values:
        stated = ", ".join(map(str, legend.values))
    lossy = "; JPEG changes values, so store masks as PNG" * (path.suffix.lower() in LOSSY)
    return (
        f"{path} holds the class ids {found}; expected {stated}, or 255 for pixels to ignore{lossy}"
        ". Of a folder of your own, state in skybench.toml what each number stands for, as "
        f"[classes] with name = {bad[0]} a line, or list it under `ignore`"
    )


@functools.lru_cache(maxsize=4)
def _table(legend: Legend) -> Array:
    """Return the lookup table of ids by colour r * 65536 + g * 256 + b, uint8 [2 ** 24]."""
    table = np.full(1 << 24, UNKNOWN, np.uint8)
    for (r, g, b), class_id in legend.colours:
        table[r << 16 | g << 8 | b] = class_id
    return table


def _from_colours(path: Path, mask: StoredMask, legend: Legend) -> Array:
    values, missing = mask.values, mask.missing
    if len(values) != 3 or values.dtype != np.uint8:
        raise DataError(
            f"{path} has {len(values)} bands of {values.dtype}; expected a mask in colours of 8 "
            "bits: RGB, a palette, or grey"
        )
    ids = _looked_up(values, _table(legend))
    if missing is not None:  # what is stored there has no meaning
        ids[missing] = IGNORE
    strange = ids == UNKNOWN
    if strange.any():
        ids[strange] = _nearest(path, _codes(values[:, strange]), legend)
    return ids


def _looked_up(values: Array, table: Array) -> Array:
    """Return the ids of colours, [3, H, W], some rows after the other: they stay in the cache."""
    ids = np.empty(values.shape[1:], np.uint8)
    for start in range(0, len(ids), ROWS):
        rows = slice(start, start + ROWS)
        np.take(table, _codes(values[:, rows]), out=ids[rows], mode="clip")
    return ids


def _codes(values: Array) -> Array:
    """Return the places of colours, [3, ...], in the table."""
    codes, green, blue = values.astype(np.uint32)
    codes <<= 16
    green <<= 8
    codes |= green
    codes |= blue
    return np.asarray(codes)


def _nearest(path: Path, codes: Array, legend: Legend) -> Array:
    """Return ids of unlisted colours by the nearest one, [N]. Raises DataError if none is near."""
    unique, where, counts = np.unique(codes, return_inverse=True, return_counts=True)
    rgb = np.stack([unique >> 16, unique >> 8 & 255, unique & 255], 1).astype(np.int16)
    table = np.asarray([colour for colour, _ in legend.colours], np.int16)
    far = np.abs(rgb[:, None] - table).max(2)  # [colours, table]
    lost = far.min(1) > legend.tolerance
    if lost.any():
        worst = sorted(zip(counts[lost], rgb[lost].tolist(), strict=True), reverse=True)
        found = ", ".join(f"{tuple(colour)} ({n} pixels)" for n, colour in worst[:5])
        lossy = ". JPEG changes colours: store masks as PNG" * (path.suffix.lower() in LOSSY)
        raise DataError(
            f"{path} holds colours that stand for no class: {found}"
            f"{' and more' if len(worst) > 5 else ''}; expected one of "
            f"{', '.join(str(colour) for colour, _ in legend.colours)}{lossy}"
        )
    ids = np.asarray([class_id for _, class_id in legend.colours], np.uint8)
    return np.asarray(ids[far.argmin(1)][where])
