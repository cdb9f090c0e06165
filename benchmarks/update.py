"""Writes the generated tables of docs/performance.md: `python benchmarks/update.py [FILE]`.

FILE: what `skybench bench --json` printed; it is kept as benchmarks/results.json. The second table
is computed from the cards of the datasets and from rates that others report.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from skybench.cli.output_bench import as_markdown
from skybench.core import DatasetCard, Sensor, registry

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"
RESULTS = HERE / "results.json"
# Images a second of 224 x 224 pixels in half precision on one H100, as reported; not measured here.
REPORTED = {"ResNet-50": 8912, "ViT-L": 2492, "Swin-L": 1708}
# Sides in pixels where no card has them: BigEarthNet's patches, fMoW's at the size of its recipe.
SIDES = {"ben_s2": 120, "ben_mm": 120, "fmow_s2": 96}
DATES = {"levir_cd": 2, "oscd": 2, "pastis_mm": 12}  # of a sample; DynamicEarthNet's are months
SENSORS = {"pastis_mm": ("s2", "s1a", "s1d"), "oscd": ("s2",)}  # that are counted, if not all
ALL = {  # splits that hold every image of a set once
    "aid": ("train20", "test20"), "resisc45": ("train20", "test20"), "dior": ("trainval", "test"),
    "dior_r": ("trainval", "test"),
}  # fmt: skip


def main() -> None:
    """Write the tables."""
    if len(sys.argv) > 1:
        shutil.copy(sys.argv[1], RESULTS)
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def with_tables(text: str) -> str:
    """Return the page with its tables made anew. Raises ValueError where a place is missing."""
    document = json.loads(RESULTS.read_text(encoding="utf-8"))
    tables = {"measured": as_markdown(document), "sets": [*sets()], "hours": [*hours()]}
    for name, lines in tables.items():
        before, start, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        if not start or not end:
            raise ValueError(f"{PAGE} has no place for the table {name!r}")
        text = "".join((before, start, "\n".join(lines), "\n", end, after))
    return text


def sets() -> Iterator[str]:
    """Yield the table of the published datasets whose number of images is known."""
    heads = [f"{name}, minutes" for name in REPORTED]
    yield f"| dataset | samples | side | dates | decoded, GB | pooled, GB | {' | '.join(heads)} |"
    yield "|---|---|---|---|---|---|" + "---|" * len(heads)
    for card in cards():
        yield _row(card)


def hours() -> Iterator[str]:
    """Yield the hours of one pass over all datasets of each task, for all models but the floors."""
    models = [registry.model(name).CARD for name in registry.names("baselines")]
    count = sum(card.group != "floor" for card in models)
    names = " / ".join(REPORTED)
    yield f"| task | minutes a model: {names} | hours of {count} models, one GPU | on eight |"
    yield "|---|---|---|---|"
    for task in registry.names("tasks"):
        work = sum(passes(card) for card in cards() if task in card.tasks)
        minutes = [work / rate / 60 for rate in REPORTED.values()]
        each, one, eight = (
            " / ".join(f"{m * factor:.2g}" for m in minutes)
            for factor in (1, count / 60, count / 60 / 8)
        )
        yield f"| {task.replace('_', ' ')} | {each} | {one} | {eight} |"


def cards() -> list[DatasetCard]:
    """Return the cards of the published datasets with a known number of images."""
    every: list[DatasetCard] = [registry.dataset(n).CARD for n in registry.names("datasets")]
    return [card for card in every if samples_of(card) and not card.user_data]


def samples_of(card: DatasetCard) -> int:
    """Return the samples of all splits, each once."""
    parts = ALL.get(card.name, ("train", "val", "test"))
    return sum(card.splits.get(part, 0) for part in parts)


def side_of(card: DatasetCard) -> int:
    """Return the side of a sample of the finest sensor, in pixels."""
    return SIDES.get(card.name) or card.tile or max(card.image_sides)


def sensors_of(card: DatasetCard) -> list[Sensor]:
    """Return the sensors that are counted."""
    return [s for s in card.sensors if s.name in SENSORS.get(card.name, (s.name,))]


def passes(card: DatasetCard) -> float:
    """Return the forward passes over all samples, in units of 224 x 224 pixels."""
    images = samples_of(card) * DATES.get(card.name, 1) * len(sensors_of(card))
    return images * (max(side_of(card), 224) / 224) ** 2


def _row(card: DatasetCard) -> str:
    count, side, dates = samples_of(card), side_of(card), DATES.get(card.name, 1)
    finest, decoded = min(s.gsd for s in sensors_of(card)), 0.0
    for sensor in sensors_of(card):
        own = side * finest / sensor.gsd if sensor.gsd else side
        size = 1 if sensor.unit.startswith("uint8") else 2
        decoded += count * dates * own**2 * len(sensor.bands) * size
    minutes = (f"{passes(card) / rate / 60:.2g}" for rate in REPORTED.values())
    pooled = count * 1024 * 4
    facts = (f"{count:,}", str(side), str(dates), f"{decoded / 1e9:.3g}", f"{pooled / 1e9:.2g}")
    return f"| `{card.name}` | {' | '.join(facts)} | {' | '.join(minutes)} |"


if __name__ == "__main__":
    main()
