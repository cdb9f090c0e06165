"""Tells PNG files that GDAL reads as Pillow does, and two to six times faster.

GDAL fills what a truncated file lacks with 0 and says nothing, so a file is proven whole before.
"""

from __future__ import annotations

import zlib
from pathlib import Path

SIGNATURE = b"\x89PNG\r\n\x1a\n"
BITS = 8
COLOURS = {0: "L", 2: "RGB", 3: "P"}  # of the header, and Pillow's mode of 8 bits


def plain_mode(path: Path) -> str:
    """Return Pillow's mode of a PNG of 8 bits, not interlaced, whose checksums are right; else "".

    Only grey, RGB and palettes count, without alpha. Raises OSError.
    """
    data = memoryview(path.read_bytes())
    header = data[16:29]  # width, height, bits, colours, compression, filter, interlacing
    if data[:8].tobytes() != SIGNATURE or len(header) < 13 or header[8] != BITS or header[12] != 0:
        return ""
    return COLOURS.get(header[9], "") if _is_whole(data) else ""


def _is_whole(data: memoryview) -> bool:
    """Whether all chunks are there, up to the last one, as they were written."""
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4])
        if zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4]):
            return False
        if data[at + 4 : at + 8].tobytes() == b"IEND":
            return end + 4 == len(data)
        at = end + 4
    return False
