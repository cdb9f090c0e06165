"""The git revision of the source tree, without anything heavy."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path


@functools.cache
def revision() -> str:
    """Return the git revision of the source tree, "-dirty" if changed; "" outside a checkout."""
    tree = Path(__file__).resolve().parents[2]
    if not (tree / ".git").exists():
        return ""

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=tree, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    return git("rev-parse", "HEAD") + ("-dirty" if git("status", "--porcelain") else "")
