"""The identity of data by the contents of their files, not by names, sizes and time stamps."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from skybench.core.cards import DatasetCard
from skybench.core.errors import DataError
from skybench.core.file_hash import file_digests
from skybench.core.fingerprint import canonical_json
from skybench.core.sensors import Sensor

SAMPLED = 16  # image files of a published split whose contents are looked at


class ContentDigests(NamedTuple):
    """Digests of what a split is read from; two copies of a folder anywhere have the same.

    images: of the image files and, in a user's own folder, the settings of its sensors. labels:
    of all label files, of known class ids, of the classes and the settings by which masks are
    read. sampled: only some image files were looked at, as in published datasets; of a user's
    own folder all are.
    """

    images: str
    labels: str
    sampled: bool = False

    @property
    def short(self) -> str:
        """Both digests in one of 12 hexadecimal digits."""
        return _sha256([self.images, self.labels])[:12]


def content_of(
    card: DatasetCard, files: Sequence[Path], label_files: Sequence[Path], settings: Any
) -> ContentDigests:
    """Return the content of an opened split. Raises DataError for files that cannot be read.

    settings: plain JSON of what else decides the labels, beside the card's classes.
    """
    own = card.user_data
    images = files if own else spread(files, SAMPLED)
    sensors = [_stated(sensor) for sensor in card.sensors] if own else []
    return ContentDigests(
        _sha256([*_digests(images), canonical_json(sensors)]),
        _sha256([*_digests(label_files), canonical_json([list(card.classes), settings])]),
        sampled=not own,
    )


def sample_contents(card: DatasetCard, files: Sequence[Sequence[Path]]) -> list[str]:
    """Return for each sample a digest of its own image files, by contents and names.

    The settings of a user's sensors are in each. Raises DataError for files that cannot be read.
    """
    found = _digested(path for own in files for path in own)
    sensors = canonical_json([_stated(sensor) for sensor in card.sensors])
    told = {path: f"{os.path.split(path)[1]} {digest}" for path, (_, digest) in found.items()}
    return [_sha256([sensors, *(told[_absolute(path)] for path in own)]) for own in files]


def join_contents(parts: Iterable[ContentDigests]) -> ContentDigests:
    """Return the content of several splits together, whatever their order."""
    known = sorted(set(parts))
    if len(known) == 1:
        return known[0]
    images = _sha256(sorted({part.images for part in known}))
    labels = _sha256(sorted({part.labels for part in known}))
    return ContentDigests(images, labels, any(part.sampled for part in known))


def spread(files: Sequence[Path], most: int) -> tuple[Path, ...]:
    """Return up to `most` of the files, evenly spread, the first and the last among them."""
    if len(files) <= most:
        return tuple(files)
    return tuple(files[round(i * (len(files) - 1) / (most - 1))] for i in range(most))


def _digests(files: Sequence[Path]) -> Iterator[str]:
    """Lines "<path below the common folder> <sha256>", sorted."""
    return (f"{name} {digest}" for name, digest in _digested(files).values())


def _digested(files: Iterable[Path]) -> dict[str, tuple[str, str]]:
    """By absolute path, sorted: the path below the common folder, and the sha256.

    Paths are compared and cut as text: by pathlib that takes longer than to look at the files.
    """
    known = {_absolute(file): file for file in files}
    # A folder's name ends before any longer one that begins with it, as pathlib has it.
    paths = sorted(known, key=lambda path: os.path.normcase(path).replace(os.sep, "\0"))
    if not paths:
        return {}
    root = os.path.commonpath({os.path.split(path)[0] for path in paths})
    start = len(root.rstrip(os.sep)) + 1
    try:
        found = file_digests([known[path] for path in paths], Path(root))
    except OSError as error:
        raise DataError(
            f"{error.filename or root} cannot be read ({error.strerror}); every file of a dataset "
            "must be there and readable. Get the file again, or mend its permissions"
        ) from error
    names = [path[start:].replace(os.sep, "/") for path in paths]
    return dict(zip(paths, zip(names, found, strict=True), strict=True))


def _absolute(file: Path) -> str:
    return str(file if file.is_absolute() else file.absolute())


def _stated(sensor: Sensor) -> dict[str, object]:
    """The fields of a sensor that differ from their defaults: a new field changes nothing."""
    usual = {field.name: field.default for field in dataclasses.fields(sensor)}
    return {n: v for n, v in dataclasses.asdict(sensor).items() if v != usual[n] and n != "title"}


def _sha256(lines: Iterable[str]) -> str:
    text = "".join(f"{line}\n" for line in lines)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
