"""Runs bundles on a Ray cluster, with a worker for each share of a node's resources.

A worker keeps its network from bundle to bundle (see `ray_worker`). One that is lost with its
process or node costs the cell that it was at, which is tried again at the end; the rest of its
bundle goes to another worker.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from skybench.checks import flags
from skybench.core import Record, SkybenchError, UsageError, folders
from skybench.core.atomic import temporary_beside, write_whole
from skybench.executors.bundles import PLANNING, STARTING, Bundle, Events
from skybench.executors.lost_locks import remove_lost_locks
from skybench.executors.ray_placing import RayPlacing, connected, folder_marker
from skybench.executors.schedule import Waiting
from skybench.plan.request import Request
from skybench.records import store
from skybench.records.store import DRAWS

POLL = 1.0  # seconds between looks at the clock
TRIES = 3  # of a cell whose worker is lost
STARTS = 3  # of workers in a row that told nothing, after which something is wrong
LINGER = 30.0  # seconds that a worker without a bundle stays: a cell may have to run again
PATIENCE = 300.0  # seconds to wait for a node, where all are lost


def run_on_ray(
    bundles: Sequence[Bundle], events: Events, fail_fast: bool, request: Request, address: str
) -> None:
    """Run bundles as an `Executor` does, on the cluster at an address; "" starts one here.

    Raises UsageError where Ray is missing, or no node can have what a bundle asks for.
    """
    if request.devices * request.nodes > 1:
        raise UsageError(
            "--executor ray gives each cell one GPU or a part of one. Several GPUs train one "
            "network by --executor slurm --devices N, or on one machine without an executor."
        )
    results = (request.results or folders.results()).absolute()
    with connected(address) as ray, folder_marker(results) as marker:
        placing = RayPlacing(ray, request, bundles[0].gpus, marker)
        run = _Run(bundles, events, placing, request)
        run.go(fail_fast)
    if run.refused:
        raise SkybenchError("\n".join(dict.fromkeys(run.refused)))


class _Worker:
    """A worker as its driver sees it: its bundle, and the cell that it is at."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.stream: Any = None  # of its messages; None: it has nothing to do
        self.bundle: Bundle | None = None
        self.todo: list[str] = []  # cells of the bundle, of which it is at the first
        self.since = float("inf")  # when it began with this cell
        self.idle_since = 0.0
        self.stage, self.spoke = "", False

    @property
    def model(self) -> str:
        """The model of the bundle that it is at, or was last at."""
        return self.bundle.model if self.bundle else ""

    def begin(self, bundle: Bundle, fail_fast: bool) -> None:
        """Hand over a bundle."""
        self.bundle, self.todo, self.since = bundle, [*bundle.fingerprints], float("inf")
        self.stream = self.actor.run.remote(bundle.to_json(), fail_fast)

    def note(self, kind: str, what: Sequence[Any]) -> None:
        """Note what it has told."""
        self.spoke = True
        if kind == "report":
            self.stage = what[1]
            if self.stage in (PLANNING, STARTING):
                self.since = time.monotonic()
        elif kind == "record" and what[0] in self.todo:
            self.todo.remove(what[0])


class _Run:
    """One run of bundles on the workers of a cluster."""

    def __init__(
        self, bundles: Sequence[Bundle], events: Events, placing: RayPlacing, request: Request
    ) -> None:
        self.ray, self.placing, self.events = placing.ray, placing, events
        self.waiting = Waiting(bundles, placing.slots())
        self.again: list[Bundle] = []  # cells whose worker was lost, for the end
        self.workers: list[_Worker] = []
        self.losses: Counter[str] = Counter()  # of workers, by the cell that they were at
        self.silent = 0  # workers in a row that told nothing
        self.refused: list[str] = []
        self.stopped = False  # at the first failure
        self.results = (request.results or folders.results()).absolute()
        self.strict = request.strict
        self.timeout = request.timeout or float("inf")
        self.deadline = time.monotonic() + (request.budget or float("inf"))

    def go(self, fail_fast: bool) -> None:
        """Run all bundles; end all workers, whatever happens."""
        try:
            while self._fill(fail_fast) and not self.stopped:
                self._listen(fail_fast)
        finally:
            for worker in self.workers:
                self._end(worker)

    def _end(self, worker: _Worker) -> None:
        """End a worker's process at once; nobody shall wait for the lock of its cell."""
        self.ray.kill(worker.actor)
        for name in worker.todo[:1]:
            remove_lost_locks(self.results, name)

    def _fill(self, fail_fast: bool) -> bool:
        """Hand bundles to workers that have none, and start workers; whether anything runs."""
        if time.monotonic() > self.deadline:
            self.waiting.queues.clear()
            self.again.clear()
        if not self.waiting.queues:
            for bundle in self.again:
                self.waiting.put_back(bundle)
            self.again.clear()
        for worker in [w for w in self.workers if w.stream is None]:
            handed = self._hand_over(worker, fail_fast)
            if not handed and time.monotonic() - worker.idle_since > LINGER:
                self.workers.remove(worker)  # its resources are for others that wait for them
                self.ray.kill(worker.actor)
        while self.waiting.queues and len(self.workers) < self._room():
            worker = _Worker(self.placing.start())
            self.workers.append(worker)
            self._hand_over(worker, fail_fast)
        return any(worker.stream is not None for worker in self.workers)

    def _hand_over(self, worker: _Worker, fail_fast: bool) -> bool:
        elsewhere = {other.model for other in self.workers if other is not worker}
        bundle = self.waiting.take(worker.model, elsewhere)
        if bundle is not None:
            worker.begin(bundle, fail_fast)
        return bundle is not None

    def _room(self) -> int:
        """How many workers there may be; waits for a node where all are lost."""
        limit = time.monotonic() + PATIENCE
        while not (slots := self.placing.slots()) and not self.workers:
            if time.monotonic() > limit:
                raise SkybenchError("All nodes of the Ray cluster are lost; what is done is kept.")
            time.sleep(POLL)
        return slots

    def _listen(self, fail_fast: bool) -> None:
        """Hear what workers tell, and what has become of them."""
        by_stream = {id(w.stream): w for w in self.workers if w.stream is not None}
        streams = [w.stream for w in by_stream.values()]
        ready, _ = self.ray.wait(streams, num_returns=1, timeout=POLL, fetch_local=False)
        for stream in ready:
            self._hear(by_stream[id(stream)], fail_fast)
        for worker in self.workers:
            if time.monotonic() - worker.since > self.timeout:
                worker.since = float("inf")
                self.ray.kill(worker.actor)  # which is heard of as a loss

    def _hear(self, worker: _Worker, fail_fast: bool) -> None:
        """Take the next message of a worker."""
        try:
            kind, what = self.ray.get(next(worker.stream))
        except StopIteration:
            worker.stream, worker.todo, worker.idle_since = None, [], time.monotonic()
            return
        except self.ray.exceptions.RayError as error:
            self._lose(worker, error, fail_fast)
            return
        worker.note(kind, what)
        self.silent = 0
        if kind == "report":
            self.events.report(*what)
        elif kind == "refused":
            self.refused.append(*what)
        elif kind == "record":
            name, record, files = what
            if files is not None:
                record = store_sent(record, files, self.results)
                record = flags.strict(record) if self.strict else record
            self.events.finished(name, record)
            self.stopped |= fail_fast and record.status == "failed"

    def _lose(self, worker: _Worker, error: Exception, fail_fast: bool) -> None:
        """Let others go on with the bundle of a worker that is no more."""
        self.workers.remove(worker)
        self._end(worker)  # it may only be out of reach
        what = _how_lost(error, worker.stage)
        if not worker.spoke:
            self.silent += 1
            if self.silent >= STARTS:
                raise SkybenchError(
                    f"Workers on the Ray cluster cannot start ({what}). Expected skybench of the "
                    "same version on all nodes"
                )
        if worker.bundle is None or not worker.todo:
            return
        first, *rest = worker.todo
        if rest:
            self.waiting.put_back(worker.bundle.only(rest))
        self.losses[first] += worker.spoke
        if self.losses[first] < TRIES:
            self.again.append(worker.bundle.only([first]))
        else:
            self.events.lost(first, f"{what}, the last of {TRIES} times")
            self.stopped |= fail_fast


def _how_lost(error: Exception, stage: str) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    where = f" in the stage {stage!r}" if stage else ""
    return f"its worker was lost{where} ({type(error).__name__}: {lines[0] if lines else ''})"


def store_sent(record: Record, files: Mapping[str, bytes], results: Path) -> Record:
    """Store a record with the files that a node has sent, as if it had been made here.

    Equal features of other records could not be seen there, and are searched now.
    """
    record = flags.with_same_features(record, results)
    path = results / record.path
    kept = temporary_beside(path.with_suffix(".npz"))
    first = {path.with_suffix(".npz"): kept, path.with_suffix(DRAWS): kept.with_suffix(DRAWS)}
    left = {results / name: content for name, content in files.items()}
    for place in first.keys() & left.keys():
        _write(first[place], left.pop(place))
    record, stored = store.store_result(record, results, kept)
    for place, content in left.items() if stored else ():
        _write(place, content)
    return record


def _write(path: Path, content: bytes) -> None:
    with write_whole(path) as temporary:
        temporary.write_bytes(content)
