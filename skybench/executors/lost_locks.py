"""Training locks of processes that are known to have ended.

A lock of another host counts as held until it was silent for minutes; a scheduler knows better.
"""

from __future__ import annotations

import contextlib
from pathlib import Path


def remove_lost_locks(results: Path, fingerprint: str) -> int:
    """Remove the training lock of a cell whose process has ended; return how many there were.

    See `training.checkpoints.training_lock`. Without it the cell can run at once elsewhere.
    """
    removed = 0
    for path in results.glob(f"*/*/*.{fingerprint[:8]}.lock"):
        with contextlib.suppress(OSError):
            path.unlink()
            removed += 1
    return removed
