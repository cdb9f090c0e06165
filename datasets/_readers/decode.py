"""Decodes image files, whole or in windows."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image, ImageOps
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window as RasterioWindow

from skybench.core import UINT8, DataError, Sensor
from skybench.core.file_hash import file_state

from . import plain_png
from .causes import cause_of
from .whole_images import WholeImages

Array = NDArray[Any]
TIFF = frozenset({".tif", ".tiff"})
GDAL = TIFF | {".jp2", ".j2k"}  # kinds that GDAL reads in windows; Pillow reads the others
QUIET = threading.Lock()
_WHOLE = WholeImages(256e6, few=4)  # of a process: images of 13,000 pixels have 500 MB
_OPEN = threading.local()  # rasters of this thread, for their next windows
OPEN = 8  # of them at most
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_WHOLE.forget)
    # A fork while another thread opens a file would have a lock that nobody releases.
    os.register_at_fork(
        before=QUIET.acquire, after_in_parent=QUIET.release, after_in_child=QUIET.release
    )
PNG, DEPTH = plain_png.SIGNATURE, 24  # its first bytes, and the place of the bits of a channel
TAG_TEXTS = (b"Raw profile type exif", b"XML:com.adobe.xmp\0\0\0\0")  # starts of chunks of texts
ORIENTATION = 0x0112  # the tag of TIFF and EXIF: 1 is upright, 5 to 8 lie on their side
DAMAGE = (
    ArithmeticError, AttributeError, EOFError, LookupError, OSError, RasterioError, SyntaxError,
    TypeError, ValueError, Image.DecompressionBombError,
)  # fmt: skip


class Window(NamedTuple):
    """A window that lies inside of a raster, in pixels."""

    y: int
    x: int
    height: int
    width: int


@contextlib.contextmanager
def damage_as_data_error(path: Path) -> Iterator[None]:
    """Turn any exception of the decoders on a damaged file into a DataError with its name."""
    try:
        yield
    except DAMAGE as error:
        raise DataError(
            f"{path} cannot be read ({cause_of(error)}); it is missing, truncated or not an image. "
            "Get this file again."
        ) from error


@contextlib.contextmanager
def open_raster(path: Path) -> Iterator[Any]:
    """Open a raster by rasterio, without its warning about files that have no CRS."""
    with damage_as_data_error(path), _opened(path) as raster:
        yield raster


def _opened(path: Path) -> Any:
    # Filters of warnings are the whole process's, and several threads read at once.
    with QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(path)


@contextlib.contextmanager
def keep_raster(path: Path) -> Iterator[Any]:
    """Open a raster as `open_raster`, and keep it open for its next windows in this thread.

    GDAL keeps the strips that a window shares with its neighbours only as long.
    """
    mine: OrderedDict[tuple[int, Path, int], Any] = _OPEN.__dict__.setdefault(
        "rasters", OrderedDict()
    )
    key = os.getpid(), path, stamp(path)  # a file that is open is not shared with a fork
    with damage_as_data_error(path):
        raster = mine.pop(key, None) or _opened(path)
        try:
            yield raster
        except BaseException:
            raster.close()
            raise
    mine[key] = raster
    while len(mine) > OPEN:
        (pid, *_), oldest = mine.popitem(last=False)
        if pid == os.getpid():
            oldest.close()


@contextlib.contextmanager
def open_picture(path: Path) -> Iterator[Image.Image]:
    """Open an image by Pillow; it is decoded on first use. Raises DataError."""
    with damage_as_data_error(path):
        try:
            file = Image.open(path)
        except Image.DecompressionBombError:
            raise DataError(
                f"{path} has more pixels than are read of its kind of file; save it as TIFF"
            ) from None
        with file:
            yield file


def is_read_by_gdal(path: Path) -> bool:
    """Whether GDAL reads a file: also PNG of 16 bits, which Pillow cuts to 8. Raises DataError."""
    if path.suffix.lower() in GDAL:
        return True
    with damage_as_data_error(path), path.open("rb") as file:
        start = file.read(DEPTH + 1)
    return start.startswith(PNG) and start[DEPTH:] == b"\x10"


def raster_size(path: Path) -> tuple[int, int]:
    """Return (height, width) of the upright image from the file's header. Raises DataError."""
    if path.suffix.lower() in GDAL:
        with open_raster(path) as raster:
            return int(raster.height), int(raster.width)
    with open_picture(path) as file:
        lying = orientation(path, file) in (5, 6, 7, 8)
        return (file.width, file.height) if lying else (file.height, file.width)


def orientation(path: Path, file: Image.Image) -> int:
    """Return the EXIF orientation of an opened picture, 1 to 8, from its header if possible."""
    # Of a PNG, Pillow decodes all pixels for tags behind them, which hardly any has.
    header_only = file.format == "PNG" and not _tags_follow_pixels(path)
    tags = Image.Image.getexif(file) if header_only else file.getexif()
    return int(tags.get(ORIENTATION, 1))


def _tags_follow_pixels(path: Path) -> bool:
    """Whether a PNG has EXIF or XMP behind its pixels; only the heads of its chunks are read."""
    pixels = False
    with path.open("rb") as file:
        file.seek(len(PNG))
        while len(head := file.read(8)) == 8:
            end = file.tell() + int.from_bytes(head[:4]) + 4
            if pixels and (head[4:] == b"eXIf" or file.read(21) in TAG_TEXTS):
                return True
            pixels = pixels or head[4:] == b"IDAT"
            file.seek(end)
    return False


def read_image(path: Path, sensor: Sensor, window: Window | None = None) -> Array:
    """Read an image or a window of it, [C, H, W], in the stored dtype (uint16 as int32).

    JPEG, PNG and the like are read as RGB, upright. Raises DataError, also where the file does not
    fit the sensor.
    """
    if is_read_by_gdal(path):
        pixels = widened(read_stored(path, window))
    else:
        pixels = read_picture(path, window)
    require_fit(path, sensor, pixels)
    return pixels


def require_fit(path: Path, sensor: Sensor, pixels: Array) -> None:
    """Raise DataError where pixels, [C, H, W], are not of the sensor's bands or of its unit."""
    if len(pixels) != len(sensor.bands):
        raise DataError(
            f"{path} has {len(pixels)} bands; expected {len(sensor.bands)} "
            f"({', '.join(sensor.bands)}), as the sensor {sensor.name} says"
        )
    if sensor.unit == UINT8 and pixels.dtype != np.uint8:
        raise DataError(
            f"{path} holds {pixels.dtype} values, but the unit of sensor {sensor.name} is "
            f"{UINT8!r}; of a folder of your own, state the unit in skybench.toml under [sensor]"
        )


def widened(pixels: Array) -> Array:
    """Return the next larger signed type for uint16 and uint32, which torch hardly supports."""
    larger = {"uint16": np.int32, "uint32": np.int64, "uint64": np.float64}.get(pixels.dtype.name)
    return pixels if larger is None else pixels.astype(larger)


def raster_window(window: Window | None) -> RasterioWindow | None:
    """Return a window in rasterio's form."""
    return window and RasterioWindow(window.x, window.y, window.width, window.height)


def read_stored(path: Path, window: Window | None, channels: Sequence[int] | None = None) -> Array:
    """Return bands of a file as GDAL reads them, [C, H, W]. Raises DataError.

    channels: numbers of bands, from 1; None: all.
    """
    with (open_raster if window is None else keep_raster)(path) as raster:
        return np.asarray(raster.read(channels, window=raster_window(window)))


def read_picture(path: Path, window: Window | None = None) -> Array:
    """Return an image, or a window of it, as RGB, uint8 [3, H, W], upright. Raises DataError."""
    return cut(read_rgb(path) if window is None else kept(path, "rgb", read_rgb), window)


def cut(pixels: Array, window: Window | None) -> Array:
    """Return the pixels, [C, H, W], of a window."""
    if window is None:
        return pixels
    rows = slice(window.y, window.y + window.height)
    return pixels[:, rows, window.x : window.x + window.width]


def stamp(path: Path) -> int:
    """Return a number for a file's state, another one after a change. Raises DataError.

    Of more than the modification time, which `cp -p` over the file keeps.
    """
    with damage_as_data_error(path):
        return hash(file_state(path))


def kept(path: Path, what: Hashable, read: Callable[[Path], Array]) -> Array:
    """Return what is read of a whole file, kept for its next tiles.

    what: tells several readings of a file apart.
    """
    return _WHOLE.get((path, stamp(path), what), functools.partial(read, path))


def read_rgb(path: Path) -> Array:
    """Return an image as RGB, uint8 [3, H, W], upright. Raises DataError."""
    with open_picture(path) as file:
        if file.mode.startswith(("I", "F")):  # Pillow would cut these at 255 without a word
            raise DataError(f"{path} has more than 8 bits a channel; store such images as TIFF")
        if file.mode in ("L", "RGB") and (plain := read_plain(path, file)) is not None:
            return plain if len(plain) == 3 else np.repeat(plain, 3, 0)
        turned = upright(file)
        if turned.mode in ("P", "PA"):  # else Pillow warns of palettes with transparency
            turned = turned.convert("RGBA")
        pixels = np.asarray(turned.convert("RGB"))
        return np.array(pixels.transpose(2, 0, 1), order="C")


def read_plain(path: Path, file: Image.Image) -> Array | None:
    """Return what an upright, sound and simple PNG stores, uint8 [C, H, W]; None: Pillow must read.

    What is wrong with a file Pillow says.
    """
    if file.format != "PNG" or orientation(path, file) != 1:
        return None
    with contextlib.suppress(OSError, DataError):
        if plain_png.plain_mode(path) == file.mode:
            pixels = read_stored(path, None)
            if pixels.dtype == np.uint8 and len(pixels) == len(file.getbands()):
                return pixels
    return None


def upright(file: Image.Image) -> Image.Image:
    """Return an opened image turned as its EXIF orientation says."""
    if file.getexif().get(ORIENTATION, 1) == 1:
        return file
    return ImageOps.exif_transpose(file)
