"""What `skybench records` prints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from skybench.cli.output import show_rows
from skybench.core import folders


def show_record_damage(files: Sequence[Path], results: Path | None, as_json: bool) -> int:
    """Print which files are damaged or missing; return the exit code, 1 where there is one."""
    from skybench.checks.record_check import damaged_records

    count, damaged = damaged_records(results or folders.results(), files)
    rows = [{"file": str(d.path), "what": d.what} for d in damaged]
    if as_json:
        print(json.dumps({"records": count, "damaged": rows}, indent=1))
    else:
        show_rows(rows, as_json=False) if rows else None
        print(f"{count} record{'' if count == 1 else 's'} read, {len(rows)} damaged.")
    return 1 if rows else 0
