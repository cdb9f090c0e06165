"""Download of datasets that have direct addresses, with unpacking."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

from skybench.core import DataError, Report, registry
from skybench.core.atomic import write_whole
from skybench.data import archives
from skybench.data.fetch import Remote as Remote
from skybench.data.fetch import fetch_file as fetch_file
from skybench.data.fetch import fetch_unlocked, lock_folder

ARCHIVES = ".download"  # subfolder of the archives; readers skip hidden folders


def download_dataset(name: str, root: Path, report: Report = lambda *_: None) -> list[Path]:
    """Download and unpack all published files of a dataset; return its top-level paths.

    The licence is reported first. An interrupted download is resumed by the same call, and files
    that exist are not fetched again. Archives stay in root/.download and may be deleted: a marker
    beside them names what was unpacked; without it they are unpacked again.
    Raises DataError where the dataset has no direct address, with the steps to get it, and as
    `fetch_file` and `unpack` do.
    """
    plugin = registry.dataset(name)
    card = plugin.CARD
    remotes: tuple[Remote, ...] = getattr(plugin, "REMOTES", ())
    if not remotes:
        raise DataError(
            f"{card.title} cannot be downloaded by skybench. To get it: {card.obtain}\n"
            f"Licence: {card.licence}\nExpected in {root}:\n{card.layout}"
        )
    report(f"{card.title}, licence: {card.licence}", 0, len(remotes))
    with lock_folder(root / ARCHIVES, report):
        for left in root.glob(f"{archives.STAGING}*"):  # of a killed process
            shutil.rmtree(left, ignore_errors=True)
        paths = [p for remote in remotes for p in _fetch_and_unpack(remote, root, report)]
        return list(dict.fromkeys(paths))


def _fetch_and_unpack(remote: Remote, root: Path, report: Report) -> list[Path]:
    if not remote.unpack:
        return [fetch_unlocked(remote, root, report)]
    marker = root / ARCHIVES / f"{remote.filename}.unpacked"
    origin = remote.digest or remote.url
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # missing or damaged
        known = json.loads(marker.read_text())
        paths = [root / name for name in known["paths"]]
        if known["origin"] == origin and paths and all(path.exists() for path in paths):
            return paths
    paths = archives.unpack(fetch_unlocked(remote, root / ARCHIVES, report), root, report)
    unpacked = {"origin": origin, "paths": [path.name for path in paths]}
    with write_whole(marker) as temporary:
        temporary.write_text(json.dumps(unpacked))
    return paths
