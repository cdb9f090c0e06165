"""The splits of BigEarthNet v1: official lists, SeCo's lists, or a random split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from skybench.core import DataError, DatasetCard
from skybench.data import once, split_lists

from . import bigearthnet as facts

SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}  # of our own split
DEMO_SHARES = {"train": 0.45, "val": 0.15, "test": 0.4}
SEED = 0  # of our own split
TENTH, TENTH_SEED = 0.1, 42  # SeCo's. Source: ServiceNow/seasonal-contrast@411e37e


class PatchList(NamedTuple):
    """The patches of a split, and the source of the list."""

    names: list[str]  # of Sentinel-2; a drawn one may come several times
    source: str


def patch_list(
    card: DatasetCard, root: Path, split: str, available: Iterable[str], simulated: bool
) -> PatchList:
    """Return the patches of a split.

    available: the Sentinel-2 patches on disk, which are split at random where there is no list.
    Raises DataError for a list that is missing or differs from the published one.
    """
    tenth = split.endswith("train10")
    part = "train" if tenth else split.removeprefix("seco_")
    listed = _of_seco if split in facts.SECO else _official
    found = (None if simulated else listed(card, root, part)) or _ours(available, part, simulated)
    if tenth:
        return PatchList(
            draw_tenth(found.names), f"{found.source}; of it SeCo's draw of 10 %, seed 42"
        )
    return found


def has_seco_lists(root: Path) -> bool:
    """Return whether a folder has any of SeCo's lists."""
    return any(_seco_path(root, part).is_file() for part in ("train", "val"))


def draw_tenth(names: Sequence[str]) -> list[str]:
    """Draw a tenth of the names with replacement, as SeCo does, in the order of the draw.

    Source: github:ServiceNow/seasonal-contrast, random_subset; the same lines are in DeCUR.
    """
    generator = np.random.default_rng(TENTH_SEED)
    return [names[i] for i in generator.choice(range(len(names)), int(TENTH * len(names)))]


def _official(card: DatasetCard, root: Path, part: str) -> PatchList | None:
    lists = split_lists.official_lists(card.name, facts.LISTS, root)
    if lists is None:
        return None
    # Sorted, because a draw depends on the order, in which copies of the lists may differ.
    return PatchList(sorted(lists[part]), "official list: 19-class split of BigEarthNet-MM")


def _ours(available: Iterable[str], part: str, simulated: bool) -> PatchList:
    shares = DEMO_SHARES if simulated else SHARES
    parts = _drawn(frozenset(available), tuple(shares.values()))
    percent = "/".join(f"{100 * share:.0f}" for share in shares.values())
    return PatchList(parts[[*shares].index(part)], f"ours: {percent} % by hash, seed {SEED}")


@once.once_a_plan
def _drawn(available: frozenset[str], shares: tuple[float, ...]) -> list[list[str]]:
    return split_lists.stratified_split(dict.fromkeys(available, 0), shares, SEED)


def _seco_path(root: Path, part: str) -> Path:
    return root / "splits" / f"bigearthnet-{part}.txt"


def _of_seco(card: DatasetCard, root: Path, part: str) -> PatchList:
    path = _seco_path(root, part)
    spoilt = split_lists.official_lists(card.name, facts.SPOILT, root)
    missing = [] if path.is_file() else [path.name]
    missing += [] if spoilt else [expected.filename for expected in facts.SPOILT.values()]
    if not path.is_file() or spoilt is None:
        raise DataError(
            f"SeCo's split needs {', '.join(missing)} in {root / 'splits'}. bigearthnet-*.txt are "
            "the lists that ServiceNow/seasonal-contrast downloads; patches_with_*.csv are in the "
            f"package {facts.PACKAGE} (pip install --no-deps {facts.PACKAGE} is enough)."
        )
    left_out = {name for names in spoilt.values() for name in names}
    # In the order of the file, on which SeCo's draw depends.
    names = [name for name in split_lists.parse_list(path.read_bytes()) if name not in left_out]
    return PatchList(names, "rule: SeCo's lists as they lie in splits/, less snow and cloud")
