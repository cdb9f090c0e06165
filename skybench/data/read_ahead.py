"""Samples that are read in threads, before they are asked for where the order is plain."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from skybench.core import Sample
from skybench.core.dataset import Samples
from skybench.data import cores

MOST = 16  # threads
REMEMBERED = 2  # requests whose targets are known


class ReadAhead:
    """Reads the samples of requests, and those of the request that will follow in the background.

    That is what `follow_with` says, and after a run of samples the next run. Targets come with the
    images: those of the last two requests cost no reading.
    """

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self.pool = ThreadPoolExecutor(min(MOST, cores.available()))
        self.coming: dict[int, Future[Sample]] = {}
        self.following: Sequence[int] = ()
        self.targets: list[dict[int, Any]] = []  # of the last requests

    def follow_with(self, indices: Sequence[int]) -> None:
        """Say which samples the request after the next one will be for."""
        self.following = indices

    def __call__(self, indices: Sequence[int]) -> list[Sample]:
        """Return samples in the order of their indices. Raises DataError as reading does."""
        known = {i: self.coming.pop(i) for i in dict.fromkeys(indices) if i in self.coming}
        futures = {i: known.get(i) or self._begin(i) for i in dict.fromkeys(indices)}
        if following := self.following or range(len(self.samples))[next_run(indices)]:
            rest = (i for i in dict.fromkeys(following) if i not in futures)
            self.coming = {i: self.coming.get(i) or self._begin(i) for i in rest}
        self.following = ()
        samples = {i: future.result() for i, future in futures.items()}
        self.targets = [*self.targets, {i: s.target for i, s in samples.items()}][-REMEMBERED:]
        return [samples[i] for i in indices]

    def target(self, index: int) -> Any:
        """Return the target of a sample."""
        for known in reversed(self.targets):
            if index in known:
                return known[index]
        return self.samples.target(index)

    def _begin(self, index: int) -> Future[Sample]:
        return self.pool.submit(self.samples.read, index)


def next_run(indices: Sequence[int]) -> slice:
    """Return the run that follows a run of several indices; an empty one after any others.

    >>> next_run([3, 4, 5]), next_run([3, 5])
    (slice(6, 9, None), slice(0, 0, None))
    """
    start, count = indices[0], len(indices)
    run = count > 1 and list(indices) == list(range(start, start + count))
    return slice(start + count, start + 2 * count) if run else slice(0, 0)
