"""Where the simulated copies of data sets lie."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import cast

from skybench.core import DataError, DatasetPlugin, folders, registry


def demo_root(name: str) -> Path:
    """The demo copy of a dataset below the cache; written on first use, whole or not at all."""
    from skybench.data import simulation as demo

    plugin = cast(DatasetPlugin, registry.load("datasets", name))
    folder = folders.cache() / "demo" / f"v{demo.VERSION}.{plugin.CARD.version}" / name
    if not folder.exists():
        temporary = folder.with_name(f".{name}.{uuid.uuid4().hex}.tmp")
        try:
            temporary.mkdir(parents=True)
        except OSError as error:
            raise DataError(
                f"Demo data cannot be written to {folder.parent} ({error.strerror}); name a folder "
                "that can by SKYBENCH_CACHE"
            ) from error
        try:
            plugin.write_demo(temporary)
            try:
                temporary.rename(folder)
            except OSError:
                if not folder.exists():  # else another process was faster
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder
