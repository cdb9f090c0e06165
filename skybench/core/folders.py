"""The folders of data, weights, results and the cache, and where each setting comes from."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from skybench.core.errors import UsageError

ADDRESS = "mirror of"  # why a folder is used, before the address


class Folder(NamedTuple):
    """The folder that a variable stands for, and where that was set."""

    variable: str
    path: Path
    why: str  # "environment", "default", "below SKYBENCH_CACHE", or ADDRESS with it


DEFAULTS = {
    "SKYBENCH_DATA": "data",
    "SKYBENCH_RESULTS": "runs",
    "SKYBENCH_CACHE": "~/.cache/skybench",
    "SKYBENCH_WEIGHTS": "~/.cache/skybench/weights",
}


def is_address(text: str) -> bool:
    """Whether a text is an address, not a path.

    >>> is_address("s3://bucket/runs"), is_address("C:/runs")
    (True, False)
    """
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text) is not None


def folder_of(variable: str) -> Folder:
    """Return the folder of an environment variable, or its default; it need not exist."""
    given = os.environ.get(variable, "").strip()
    if is_address(given):
        return Folder(variable, at_address(variable, given), f"{ADDRESS} {given}")
    if given:
        return Folder(variable, Path(given).expanduser(), "environment")
    if variable == "SKYBENCH_WEIGHTS" and os.environ.get("SKYBENCH_CACHE", "").strip():
        return Folder(variable, cache() / "weights", "below SKYBENCH_CACHE")
    return Folder(variable, Path(DEFAULTS[variable]).expanduser(), "default")


def data() -> Path:
    """Return the folder of the datasets, which has one subfolder for each, by name."""
    return folder_of("SKYBENCH_DATA").path


def results() -> Path:
    """Return the folder of the records, one JSON file for each cell.

    Of an address it is the local mirror, fetched once in a process; see `core.remote_store`.
    """
    folder = folder_of("SKYBENCH_RESULTS")
    if folder.why.startswith(ADDRESS):
        from skybench.core import remote_store

        remote_store.synchronise(folder.path, again=False)
    return folder.path


def results_at(text: str) -> Path:
    """Return the folder of a path, or of an address after a look at what is new there.

    Raises UsageError for an address of an unknown kind, DataError for one that does not answer.
    """
    if not is_address(text):
        return Path(text).expanduser()
    from skybench.core import remote_store

    folder = at_address("SKYBENCH_RESULTS", text)
    remote_store.synchronise(folder)
    return folder


def at_address(variable: str, address: str) -> Path:
    """Return the local folder of an address. Raises UsageError: only results can have one."""
    if variable != "SKYBENCH_RESULTS":
        raise UsageError(f"{variable} is {address}; expected a folder of this machine")
    from skybench.core import remote_store

    return remote_store.mirror_folder(address, cache())


def cache() -> Path:
    """Return the folder of features, demo data and split lists, which can all be made again."""
    return folder_of("SKYBENCH_CACHE").path


def weights() -> Path:
    """Return the folder of the checkpoints, which has one subfolder for each model, by name."""
    return folder_of("SKYBENCH_WEIGHTS").path
