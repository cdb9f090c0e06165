"""Schedules: which cells of a plan run now, in which order, and about how long they take."""

from __future__ import annotations

import bisect
import heapq
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from skybench.core import folders
from skybench.executors.bundles import Bundle, bundles
from skybench.executors.estimates import Estimates, guessed_seconds
from skybench.executors.slots import count_slots
from skybench.plan.cell import Cell
from skybench.plan.request import Request

NAMED = 10  # bundles that are left for later, by name
CRITICAL = 0.5  # of a slot's fair share of what is left: a bundle this long must start now


@dataclass(frozen=True)
class RunSchedule:
    """The cells of a run, and the bundles of those that must run, the longest first."""

    cells: Sequence[Cell]  # of the shard, in plan order
    bundles: Sequence[Bundle]
    later: Sequence[Bundle]  # that do not fit in the budget
    seconds: Mapping[str, float]  # of the cells in bundles, by fingerprint
    slots: int
    guessed: int  # cells of which nothing like it was run before

    @property
    def hours(self) -> float:
        """The estimated hours of the run: until the last slot is through."""
        return finished_after([b.seconds or 0.0 for b in self.bundles], self.slots) / 3600

    def describe(self, budget: float) -> str:
        """Say in a line or two how long the run takes, and what does not fit in the budget."""
        cells = sum(len(b.fingerprints) for b in self.bundles)
        guess = " This is a guess: most cells are like none that was run before."
        text = (
            f"{_count(cells, 'cell')} to run in {_count(len(self.bundles), 'bundle')} of a model "
            f"and a dataset, {_count(self.slots, 'process', 'es')}: about {_span(self.hours)}."
        )
        if self.later:
            left = _count(sum(len(b.fingerprints) for b in self.later), "cell")
            names = ", ".join(f"{b.model} on {b.dataset}" for b in self.later[:NAMED])
            more = f" and {len(self.later) - NAMED} more" if len(self.later) > NAMED else ""
            text += f" Not within {_span(budget / 3600)}: {left}, {names}{more}."
        return text + (guess if self.guessed > len(self.seconds) / 2 else "")


def _count(number: int, noun: str, plural: str = "s") -> str:
    return f"{number} {noun}{'' if number == 1 else plural}"


def _span(hours: float) -> str:
    return f"{hours:.3g} h" if hours >= 1 else f"{max(1, round(60 * hours))} min"


def make_schedule(
    request: Request,
    cells: Sequence[Cell],
    forecast: Callable[[Cell], float | None] = lambda _: None,
) -> RunSchedule:
    """Return the schedule of a plan: a shard of its cells, within the budget, longest first.

    forecast: seconds of cells like which none was run before; None: guessed.
    """
    chosen = shard_of_cells(cells, request.shard)
    estimates = Estimates(request.results or folders.results(), forecast)
    seconds = {c.fingerprint: estimates(c) for c in chosen if c.status == "planned"}
    every = bundles(request, chosen, lambda cell: seconds[cell.fingerprint])
    every.sort(key=lambda b: -(b.seconds or 0.0))  # equals stay in plan order
    slots = count_slots(request, len(every))
    now, later = within_budget(every, request.budget, slots) if request.budget else (every, [])
    running = {name for bundle in now for name in bundle.fingerprints}
    return RunSchedule(
        chosen,
        now,
        later,
        {name: value for name, value in seconds.items() if name in running},
        slots,
        estimates.guessed,
    )


def finished_after(seconds: Sequence[float], slots: int) -> float:
    """Return the seconds until all is done, if the next always goes to the first free slot.

    >>> finished_after([4, 3, 3], 2)
    6.0
    """
    free = [0.0] * max(1, slots)
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free)


def within_budget(
    every: Sequence[Bundle], budget: float, slots: int
) -> tuple[list[Bundle], list[Bundle]]:
    """Return the bundles that fit in some seconds, and the others, both in their order.

    every: the longest first. As many as possible: the shortest are chosen.
    """

    def too_long(count: int) -> bool:
        chosen = every[len(every) - count :]
        return finished_after([b.seconds or 0.0 for b in chosen], slots) > budget

    fit = bisect.bisect_left(range(len(every) + 1), True, key=too_long) - 1
    return [*every[len(every) - fit :]], [*every[: len(every) - fit]]


def shard_of_cells(cells: Sequence[Cell], shard: str) -> list[Cell]:
    """Return the cells of a shard "I/N": bundles are dealt out so that all take about as long.

    The parts are the same on every machine and whatever is done already: they depend on cards and
    recipes alone, so that together they are all cells, each once.
    """
    if not shard:
        return [*cells]
    part, parts = map(int, shard.split("/"))
    groups: dict[tuple[str, str], float] = {}
    for cell in cells:
        place = cell.model.name, cell.dataset
        groups[place] = groups.get(place, 0.0) + guessed_seconds(cell)
    filled, owner = [0.0] * parts, {}
    for place in sorted(groups, key=lambda place: (-groups[place], place)):
        least = min(range(parts), key=filled.__getitem__)
        filled[least] += groups[place]
        owner[place] = least
    return [c for c in cells if owner[c.model.name, c.dataset] == part - 1]


class Waiting:
    """Bundles that wait for a slot, the longest first but for what saves loading a network."""

    def __init__(self, bundles: Sequence[Bundle], slots: int) -> None:
        """bundles: the longest first."""
        self.slots, self.seconds, self.first = max(1, slots), 0.0, 0
        self.queues: dict[str, deque[tuple[int, Bundle]]] = {}  # by model, with their ranks
        for rank, bundle in enumerate(bundles):
            self.queues.setdefault(bundle.model, deque()).append((rank, bundle))
            self.seconds += bundle.seconds or 0.0

    def put_back(self, bundle: Bundle) -> None:
        """Let the rest of a bundle be the next."""
        self.first -= 1
        self.queues.setdefault(bundle.model, deque()).appendleft((self.first, bundle))
        self.seconds += bundle.seconds or 0.0

    def take(self, loaded: str, elsewhere: set[str]) -> Bundle | None:
        """Return the next bundle for a slot; None: there is no more.

        The longest, where the run would wait for it at the end; else one of the model that the slot
        has loaded, or of one that no other slot has.
        """
        ranks = {model: queue[0][0] for model, queue in self.queues.items()}
        if not ranks:
            return None
        model = _first(ranks)
        longest = self.queues[model][0][1].seconds or 0.0
        if longest < CRITICAL * self.seconds / self.slots:
            free = {name: rank for name, rank in ranks.items() if name not in elsewhere}
            model = loaded if loaded in ranks else _first(free or ranks)
        queue = self.queues[model]
        _, bundle = queue.popleft()
        if not queue:
            del self.queues[model]
        self.seconds -= bundle.seconds or 0.0
        return bundle


def _first(ranks: Mapping[str, int]) -> str:
    return min(ranks, key=ranks.__getitem__)
