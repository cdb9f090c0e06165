"""The simulated copies of datasets, in the cache."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from skybench.core import DataError, Report, folders, registry
from skybench.core.atomic import folder_whole
from skybench.core.in_use import mark_in_use


def demo_folder(name: str) -> Path:
    """Return where the simulated copy of a dataset is; it need not have been written."""
    from skybench.data import simulation

    version = f"v{simulation.SIMULATION_VERSION}.{registry.dataset(name).CARD.version}"
    return folders.cache() / "demo" / version / name


def demo_root(name: str) -> Path:
    """Return the folder of a dataset's simulated copy; write it on first use, atomically.

    Raises DataError where the cache cannot be written.
    """
    folder = demo_folder(name)
    mark_in_use(folder)
    if not folder.exists():
        try:
            with folder_whole(folder) as temporary:
                registry.dataset(name).write_demo(temporary)
        except OSError as error:
            raise DataError(
                f"Demo data cannot be written to {folder.parent} ({error.strerror}); set "
                "SKYBENCH_CACHE to a folder that can be written"
            ) from error
    return folder


def missing_copies(names: Sequence[str]) -> list[str]:
    """Return the datasets whose simulated copy has not been written yet, each once."""
    return [name for name in dict.fromkeys(names) if not demo_folder(name).exists()]


def write_copies(names: Sequence[str], report: Report) -> None:
    """Write simulated copies, and report how many of them there are.

    One that cannot be written is left out: who opens it gets the error.
    """
    for number, name in enumerate(names):
        report("writing demo data", number, len(names))
        with contextlib.suppress(Exception):  # a plugin may raise anything
            demo_root(name)
    report("writing demo data", len(names), len(names))
