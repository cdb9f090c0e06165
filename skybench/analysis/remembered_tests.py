"""Paired tests between records, remembered so that a table tests each pair of its rows once."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from skybench.analysis import paired_tests, replicates, spread
from skybench.analysis.replicates import Replicates, load_replicates
from skybench.core import Record, SkybenchError, folders
from skybench.core.file_hash import file_state
from skybench.core.sealed import read_sealed, write_sealed

MOST = 100_000  # pairs that are remembered of one folder; above, it begins anew


class RememberedTests:
    """The p values of pairs of records of one folder, as a context that stores what was tested.

    The memory is a file in the cache, which may be deleted, damaged or read-only. A pair is known
    by fingerprints and times of both records, and nothing is taken that other code had tested.
    """

    def __init__(self, results: Path) -> None:
        name = hashlib.sha256(str(results.absolute()).encode("utf-8", "surrogatepass")).hexdigest()
        self.results, self.file = results, folders.cache() / "tests" / f"{name[:24]}.json"
        self.known: dict[str, float] = {}
        self.changed = False
        self.last: tuple[str, Replicates | None] = ("", None)  # of the best row, tested often
        # By task and data set: of the records that have predictions or replicates.
        self.stems: dict[tuple[str, str], frozenset[str]] = {}
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            stored = read_sealed(self.file)
            if stored["rules"] == _rules():
                self.known = {pair: float(p) for pair, p in stored["pairs"].items()}

    def __enter__(self) -> RememberedTests:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.changed:
            return
        with contextlib.suppress(OSError):
            write_sealed(self.file, {"rules": _rules(), "pairs": self.known})

    def p_value(self, best: Record, other: Record) -> float | None:
        """Return p of a paired test; None where one of the two has no replicates to test with."""
        if not (self._has_replicates(best) and self._has_replicates(other)):
            return None
        pair = f"{_name(best)} {_name(other)}"
        if pair in self.known:
            return self.known[pair]
        one = self._of_best(best)
        if one is None:
            return None
        try:
            p = paired_tests.paired_difference(one, load_replicates(other, self.results)).p
        except SkybenchError:
            return None
        if len(self.known) >= MOST:
            self.known.clear()
        self.known[pair], self.changed = p, True
        return p

    def _has_replicates(self, record: Record) -> bool:
        folder = record.task, record.dataset
        if folder not in self.stems:
            self.stems[folder] = _stems_in(self.results / record.task / record.dataset)
        there = self.stems[folder]
        return bool(there) and record.stem in there

    def _of_best(self, best: Record) -> Replicates | None:
        if self.last[0] != _name(best):
            self.last = (_name(best), None)
            with contextlib.suppress(SkybenchError):
                self.last = (_name(best), load_replicates(best, self.results))
        return self.last[1]


def _stems_in(folder: Path) -> frozenset[str]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        parts = (entry.name.rpartition(".") for entry in entries)
        return frozenset(stem for stem, _, ending in parts if ending in ("draws", "npz"))
    return frozenset()


def _name(record: Record) -> str:
    return f"{record.fingerprint} {record.made}"


def _rules() -> list[list[int]]:
    """The states of the sources that test: after an edit nothing is believed."""
    return [list(file_state(Path(m.__file__ or ""))) for m in (paired_tests, replicates, spread)]
