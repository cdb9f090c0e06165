"""Gets datasets that are published under plain addresses, and unpacks them."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

from skybench.core import DataError, DatasetCard, Report, registry
from skybench.data import archives
from skybench.data.fetch import Remote as Remote
from skybench.data.fetch import alone, get
from skybench.data.fetch import fetch as fetch

KEPT = ".download"  # below a dataset's folder: its archives; readers skip hidden folders


def download(name: str, root: Path, report: Report = lambda *_: None) -> list[Path]:
    """Gets all published files of a dataset and unpacks them; what they brought below `root`.

    The licence is reported first. The same call goes on where a killed one stopped, and fetches
    nothing that is there. Archives stay in root/.download and may be removed: a mark beside them
    tells what was unpacked; without the mark it is unpacked again.
    Raises DataError where the dataset cannot be had this way, with what to do instead, and where
    `fetch` or `unpack` does.
    """
    plugin = registry.load("datasets", name)
    card: DatasetCard = plugin.CARD
    remotes: tuple[Remote, ...] = getattr(plugin, "REMOTES", ())
    if not remotes:
        raise DataError(
            f"{card.title} cannot be downloaded by skybench. To get it: {card.obtain}\n"
            f"Licence: {card.licence}\nExpected in {root}:\n{card.layout}"
        )
    report(f"{card.title}, licence: {card.licence}", 0, len(remotes))
    with alone(root / KEPT, report):
        for left in root.glob(f"{archives.STAGING}*"):  # by a killed run
            shutil.rmtree(left, ignore_errors=True)
        return list(dict.fromkeys(p for remote in remotes for p in _bring(remote, root, report)))


def _bring(remote: Remote, root: Path, report: Report) -> list[Path]:
    if not remote.unpack:
        return [get(remote, root, report)]
    mark = root / KEPT / f"{remote.filename}.unpacked"
    origin = remote.digest or remote.url
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # none, or cut short
        known = json.loads(mark.read_text())
        paths = [root / name for name in known["paths"]]
        if known["origin"] == origin and paths and all(path.exists() for path in paths):
            return paths
    paths = archives.unpack(get(remote, root / KEPT, report), root, report)
    mark.write_text(json.dumps({"origin": origin, "paths": [path.name for path in paths]}))
    return paths
