"""The simulated copies of datasets, in the cache."""

from __future__ import annotations

from pathlib import Path

from skybench.core import DataError, folders, registry
from skybench.core.atomic import folder_whole


def demo_root(name: str) -> Path:
    """Return the folder of a dataset's simulated copy; write it on first use, atomically.

    Raises DataError where the cache cannot be written.
    """
    from skybench.data import simulation

    plugin = registry.dataset(name)
    folder = (
        folders.cache() / "demo" / f"v{simulation.SIMULATION_VERSION}.{plugin.CARD.version}" / name
    )
    if not folder.exists():
        try:
            with folder_whole(folder) as temporary:
                plugin.write_demo(temporary)
        except OSError as error:
            raise DataError(
                f"Demo data cannot be written to {folder.parent} ({error.strerror}); set "
                "SKYBENCH_CACHE to a folder that can be written"
            ) from error
    return folder
