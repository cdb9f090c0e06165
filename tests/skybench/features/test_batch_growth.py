from __future__ import annotations

from collections.abc import Callable

import pytest

from skybench.features.batch_growth import BatchGrowth


def sizes(
    rate: Callable[[int], float], memory: Callable[[int], float], steps: int = 30
) -> list[int]:
    """The sizes of batches of a device that is this fast and full with each size."""
    growth, found = BatchGrowth(64), []
    for number in range(steps):
        found.append(growth.size)
        slow = 0.1 if number == 0 or found[-2] != growth.size else 1.0  # a warm-up
        growth.note(slow * rate(growth.size), memory(growth.size))
    return found


def test_the_batch_is_doubled_while_that_is_faster() -> None:
    found = sizes(lambda size: min(size, 256) / (1 + min(size, 256) / 256), lambda _: 0.1)
    assert [*dict.fromkeys(found)] == [64, 128, 256, 512]
    assert found[-1] == 256  # 512 was no faster
    assert [found.count(size) for size in (64, 128, 512)] == [3, 3, 3]


def test_the_batch_stays_where_memory_is_half_full() -> None:
    found = sizes(lambda size: size, lambda size: size / 512)
    assert found[-1] == 512
    assert max(sizes(lambda size: size, lambda size: size / 100)) == 64


@pytest.mark.parametrize("batches", [0, 4])
def test_a_batch_that_was_halved_stays(batches: int) -> None:
    growth = BatchGrowth(64)
    for _ in range(batches):
        growth.note(growth.size, 0.1)
    before = growth.size
    growth.halve()
    assert growth.size == before // 2
    assert not any(growth.note(growth.size, 0.0) for _ in range(9))
