"""A worker on a node of a Ray cluster: runs bundles, and tells of them by a stream of messages.

It keeps its network, opened datasets and imports from one bundle to the next. Where its machine
does not see the driver's results folder, it writes to a folder of its own and sends the files.
"""

from __future__ import annotations

import contextlib
import hashlib
import queue
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from skybench.core import Record, folders
from skybench.core.errors import error_text
from skybench.executors.bundles import bundle_from_json, run_bundle
from skybench.executors.worker import Message, Telling, WarmPlanner
from skybench.records import store

UNFINISHED = (".lock", "last.pt", "best.pt")  # of a training that may go on here


class RayWorker:
    """Runs bundles one after the other; Ray makes an actor of it."""

    def __init__(self, marker: str) -> None:
        """marker: a file in the driver's results folder, by which the folder is known."""
        self.shared = Path(marker).is_file()
        self.planners = WarmPlanner()

    def run(self, text: str, fail_fast: bool) -> Iterator[Message]:
        """Run a bundle, given as JSON; yield what a worker process tells, see `worker`.

        A `record` bears the files beside it, by their paths below the results folder; None where
        the driver sees them, or nothing was stored.
        """
        said: queue.SimpleQueue[Message] = queue.SimpleQueue()
        thread = threading.Thread(target=self._run, args=(text, fail_fast, said), daemon=True)
        thread.start()
        while (message := said.get())[0] != "idle":
            yield message
        thread.join()

    def _run(self, text: str, fail_fast: bool, said: queue.SimpleQueue[Message]) -> None:
        telling = Telling(said.put)
        try:
            bundle = bundle_from_json(text)
            results = bundle.request.results or folders.results()
            if not self.shared:
                results = scratch_folder(results)
                here = replace(bundle.request, results=results, strict=False)  # the driver is
                bundle = replace(bundle, request=here)

            def finished(name: str, record: Record) -> None:
                sent = not self.shared and (results / record.path).is_file()
                telling("record", name, record, take_files(record, results) if sent else None)

            planner = self.planners.planner(bundle.request)
            run_bundle(bundle, telling.report, finished, fail_fast, planner)
        except Exception as error:  # of the bundle as a whole, a full disk for instance
            telling("refused", error_text(error))
        finally:
            telling("idle")


def scratch_folder(results: Path) -> Path:
    """Return the folder of a node for the records of a driver's results folder.

    The same at the next start: a training that was interrupted goes on.
    """
    name = hashlib.sha256(str(results).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return folders.cache() / "ray" / name


def take_files(record: Record, results: Path) -> dict[str, bytes]:
    """Return and remove the files of a record: predictions, replicates, pictures, logs, weights."""
    path = results / record.path
    beside = path.with_suffix("")
    files = [path.with_suffix(".npz"), path.with_suffix(store.DRAWS)]
    files += [
        f for f in sorted(beside.rglob("*")) if f.is_file() and not f.name.endswith(UNFINISHED)
    ]
    taken = {str(f.relative_to(results)): f.read_bytes() for f in files if f.is_file()}
    for file in (path, path.with_suffix(store.FAILED), *files):
        file.unlink(missing_ok=True)
    if record.came_out:
        shutil.rmtree(beside, ignore_errors=True)
    for folder in (path.parent, path.parent.parent, results):
        with contextlib.suppress(OSError):  # not empty
            folder.rmdir()
    return taken
