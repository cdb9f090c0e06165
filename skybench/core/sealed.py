"""Small JSON files that bear a checksum, so that a flipped byte is found when they are read.

The first line is the sha256 of the rest. What is damaged counts as absent: such files only
remember what can be computed again.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from skybench.core.atomic import write_whole


def seal(text: str) -> bytes:
    """Return a text in UTF-8, after a line with its sha256."""
    body = text.encode()
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def unseal(data: bytes) -> str | None:
    """Return the text that `seal` was given; None where the bytes are not as it made them."""
    digest, _, body = data.partition(b"\n")
    return body.decode() if hashlib.sha256(body).hexdigest().encode() == digest else None


def write_sealed(path: Path, value: Any) -> None:
    """Write plain JSON to a file, atomically. Raises OSError."""
    with write_whole(path) as temporary:
        temporary.write_bytes(seal(json.dumps(value)))


def read_sealed(path: Path) -> Any:
    """Return what `write_sealed` wrote; None where the file is missing, unreadable or damaged."""
    try:
        text = unseal(path.read_bytes())
        return None if text is None else json.loads(text)
    except (OSError, ValueError, RecursionError):
        return None
