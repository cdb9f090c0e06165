"""Locks of lost processes: those of their cell go, all others stay."""

from __future__ import annotations

from pathlib import Path

from skybench.core.lock import hold_lock
from skybench.executors.lost_locks import remove_lost_locks
from skybench.training import checkpoints
from skybench.training.distributed import SINGLE_PROCESS

MINE, OTHER = "0123456789abcdef", "fedcba9876543210"


def test_the_lock_of_a_lost_process_does_not_keep_its_cell_from_others(tmp_path: Path) -> None:
    folder = tmp_path / "t" / "d"
    folder.mkdir(parents=True)
    locks = [folder / f"m.finetune.s2.{name[:8]}.lock" for name in (MINE, OTHER)]
    with hold_lock(locks[0]), hold_lock(locks[1]):
        with checkpoints.training_lock(locks[0].with_suffix(""), SINGLE_PROCESS) as busy:
            assert busy
        assert remove_lost_locks(tmp_path, MINE) == 1
        with checkpoints.training_lock(locks[0].with_suffix(""), SINGLE_PROCESS) as busy:
            assert not busy
        assert locks[1].exists()
    assert remove_lost_locks(tmp_path, MINE) == 0
