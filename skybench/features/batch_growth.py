"""The batch of extraction on a GPU: doubled while that pays, halved where memory is short."""

from __future__ import annotations

from dataclasses import dataclass

GAIN = 1.05  # of images per second, at least, for a doubled batch to be doubled again
FULL = 0.5  # share of the memory in use above which no batch is doubled
WARM_UP, TIMED = 1, 2  # batches of one size: the first chooses kernels and takes memory


@dataclass
class BatchGrowth:
    """How many samples a batch has; told of every batch, by its images per second."""

    size: int
    growing: bool = True
    seen: int = 0  # batches of this size
    fastest: float = 0.0  # rate of the best batch of this size
    former: float = 0.0  # best rate of half the size

    def note(self, rate: float, memory: float) -> bool:
        """Note a batch; return whether the next one has another size.

        rate: samples per second. memory: share of the device's memory that was in use at most.
        """
        if not self.growing:
            return False
        self.seen += 1
        self.fastest = max(self.fastest, rate) if self.seen > WARM_UP else 0.0
        if self.seen < WARM_UP + TIMED:
            return False
        if self.former and self.fastest < GAIN * self.former:
            self.growing = False  # no faster: the smaller batch takes half the memory
            self.size //= 2
            return True
        self.growing = memory <= FULL
        if self.growing:
            self.size, self.former = 2 * self.size, self.fastest
            self.seen, self.fastest = 0, 0.0
        return self.growing

    def halve(self) -> None:
        """Take half the batch from now on: memory ran out."""
        self.size, self.growing = self.size // 2, False
