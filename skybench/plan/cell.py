"""Cells: a model on a dataset under a recipe, and everything that affects its scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from skybench.core import (
    SCHEMA,
    BandMapping,
    DatasetCard,
    ModelCard,
    Protocol,
    Recipe,
    Record,
    Target,
    Task,
    file_hash,
    registry,
)
from skybench.core.content import ContentDigests
from skybench.core.dataset import Samples
from skybench.core.recipe import affects

State = Literal["planned", "done", "cannot run", "unavailable"]
# What an unavailable cell is missing; damaged: the data are there, but cannot be read.
Lack = Literal["", "data", "damaged", "weights"]


@dataclass(frozen=True)
class Cell:
    """A model on a dataset under a recipe: the unit that is run and recorded."""

    model: ModelCard
    task: Task
    dataset: str  # as given: an id, or folder:PATH
    recipe: Recipe
    variant: str
    weights: str  # "random", "none", or a file
    weights_id: str  # "random", "none", or the file's sha256
    demo: bool
    status: State = "planned"
    reason: str = ""
    found: Mapping[str, BandMapping] = field(default_factory=dict)
    splits: Mapping[str, Samples] = field(default_factory=dict)  # "train", "val", "test"
    # By their own names, with those of the dataset's other recipes: extracted once, together.
    pool: Mapping[str, Samples] = field(default_factory=dict)
    fingerprint: str = ""
    overridden: tuple[str, ...] = ()
    contents: Mapping[str, ContentDigests] = field(default_factory=dict)  # by role, as splits
    arch: Mapping[str, Any] = field(default_factory=dict)  # settings of the network, as given
    lacks: Lack = ""
    # With `--precision auto` on a GPU: distance and images/s of each, and the limit of distances.
    precision_tried: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dataset_id(self) -> str:
        """The dataset's name without a path."""
        return self.dataset.partition(":")[0]

    @property
    def protocol(self) -> Protocol:
        """The protocol of the recipe. Raises UsageError where the task does not have it."""
        return self.task.protocol(self.recipe.protocol)

    @property
    def declared_target(self) -> Target | None:
        """The kind of the targets that the setup or the card declares; None: it is inferred."""
        card = self.splits["test"].card
        return card.setup(self.task.name).target or card.target

    @property
    def folder(self) -> str:
        """The absolute path of a user's own folder, or of its .toml; "" for other datasets."""
        path = self.dataset.partition(":")[2]
        return str(Path(path).expanduser().absolute()) if path else ""

    @property
    def scored(self) -> bool:
        """Whether the labels of the test split are public."""
        return self.recipe.test not in self.splits["test"].card.unlabelled

    def describe(self) -> dict[str, Any]:
        """Plain JSON for `--dry-run`."""
        return {
            "model": self.model.name,
            "task": self.task.name,
            "dataset": self.dataset_id,
            "protocol": self.recipe.protocol,
            "recipe": self.recipe.name,
            "sensors": sorted({f.sensor for f in self.found.values()}),
            "status": "cannot run" if self.status == "unavailable" else self.status,
            "reason": self.reason,
            "label": self.recipe.label,
            "precision": self.recipe.precision or "float32",
            "variant": self.variant,
            "weights": self.weights_id,
            "data": "demo" if self.demo else "real",
            "samples": {name: len(s) for name, s in self.splits.items()},
            "feature_bytes": feature_bytes(self),
            "fingerprint": self.fingerprint,
        }


def protocol_version(cell: Cell) -> int:
    """Return the version of a cell's protocol; 1 where the task does not have it."""
    name = cell.recipe.protocol
    return cell.task.protocol(name).version if name in cell.task.protocols else 1


def affecting(cell: Cell) -> dict[str, Any]:
    """Return all that affects a cell's scores, as plain JSON; device, workers and paths do not."""
    splits: dict[str, dict[str, Any]] = {
        n: {"sha256": s.split.sha256, "count": len(s), "classes": list(s.card.classes)}
        for n, s in cell.splits.items()
    }
    for name, digests in cell.contents.items():
        # The side of tiles follows the largest images of all splits of a user's folder.
        tile = cell.splits[name].card.tile
        splits[name] |= {"content": [digests.images, digests.labels], "tile": tile}
    version = protocol_version(cell)
    return {
        **({"protocol": version} if version > 1 else {}),
        "schema": SCHEMA,
        "model": [cell.model.name, cell.model.version, cell.variant, cell.weights_id, *_arch(cell)],
        "task": [cell.task.name, cell.task.version],
        "dataset": [cell.dataset_id, registry.dataset(cell.dataset_id).CARD.version],
        "data": "demo" if cell.demo else "real",
        "recipe": affects(vars(cell.recipe)),
        "sensors": {name: [f.sensor, *map(list, f[1:])] for name, f in cell.found.items()},
        "splits": splits,
        **_extraction(cell),
    }


def _extraction(cell: Cell) -> dict[str, Any]:
    """The precision of frozen features, below float32: recipes once meant that of heads alone."""
    known = cell.recipe.protocol in cell.task.protocols
    if not cell.recipe.precision or not known or cell.protocol.trains_backbone:
        return {}
    return {"extraction": cell.recipe.precision}


def to_record(cell: Cell) -> Record:
    """Return the cell as a record without scores, of status "cannot run" until it is measured."""
    # Not by `asdict`, whose deep copies of plain values took a third of planning many cells.
    recipe = {n: list(v) if isinstance(v, tuple) else v for n, v in vars(cell.recipe).items()}
    return Record(
        model=cell.model.name,
        task=cell.task.name,
        dataset=cell.dataset_id,
        recipe=recipe,
        status="cannot run",
        data="demo" if cell.demo else "real",
        fingerprint=cell.fingerprint,
        note=cell.reason,
        used={
            "sensors": sorted({f.sensor for f in cell.found.values()}),
            "variant": cell.variant,
            "weights": cell.weights_id,
            "overridden": list(cell.overridden),
            **({"arch": plain_arch(cell)} if cell.arch else {}),
            **({"precision_tried": dict(cell.precision_tried)} if cell.precision_tried else {}),
            **_identity(cell),
            **_noticed(cell),
        },
    )


def _noticed(cell: Cell) -> dict[str, Any]:
    """What the readers noticed about the files, a sentence each; {} where there is nothing."""
    notes = [*dict.fromkeys(note for s in cell.splits.values() for note in s.notes)]
    return {"notes": notes} if notes else {}


def _identity(cell: Cell) -> dict[str, Any]:
    """Of which data by content, and whether the hash of the weights was taken from memory."""
    facts: dict[str, Any] = {"folder": cell.folder} if cell.folder else {}
    if cell.contents:
        sampled = any(digests.sampled for digests in cell.contents.values())
        facts["content"] = {name: digests.short for name, digests in cell.contents.items()}
        facts["content_kind"] = "sample" if sampled else "all files"
    if cell.weights not in ("random", "none") and file_hash.was_remembered(Path(cell.weights)):
        facts["weights_hash"] = "from memory"
    return facts


def known_by_content(dataset: str, splits: Mapping[str, Samples]) -> bool:
    """Whether what a cell rests on is told by the contents of its files; not for demo data.

    Those are seeded, and their files differ from machine to machine, as encoders do. A user's
    own folder, named by its path, may have been edited, whoever wrote it.
    """
    own = ":" in dataset and any(s.card.user_data for s in splits.values())
    return own or not any(s.split.demo for s in splits.values())


def plain_arch(cell: Cell) -> dict[str, Any]:
    """Return the network settings given by `--arch`, as plain JSON."""
    return {n: list(v) if isinstance(v, tuple) else v for n, v in sorted(cell.arch.items())}


def _arch(cell: Cell) -> list[dict[str, Any]]:
    """Empty without settings, so that records from before there were settings stay valid."""
    return [plain_arch(cell)] if cell.arch else []


def feature_bytes(cell: Cell) -> int:
    """Estimate the bytes of a cell's features on disk from the card; 0 without opened splits."""
    if not cell.splits:
        return 0
    count = sum(len(s) for s in cell.splits.values())
    pooled, dense = feature_sizes(cell)
    return count * (pooled if cell.protocol.level == "pooled" else dense)


def feature_sizes(cell: Cell) -> tuple[int, int]:
    """Estimate the bytes of pooled and of dense features of one date of a sample."""
    card = next((s.card for s in cell.splits.values()), registry.dataset(cell.dataset_id).CARD)
    pixels = cell.recipe.size or cell.recipe.tile or card.tile or max(card.image_sides, default=0)
    pixels = max(pixels, cell.model.min_pixels)
    each = 1 if cell.recipe.rounding else 2  # int8 or float16
    dense = sum(each * c * (pixels // stride) ** 2 for c, stride in cell.model.levels)
    return 4 * cell.model.dim, dense


def reading(cell: Cell, card: DatasetCard) -> dict[str, Any]:
    """Return how samples are read, beside their files; card: as opened."""
    how = [cell.dataset_id, card.version, cell.recipe.tile, cell.demo, card.tile]
    return {"dataset": how, "options": [*cell.recipe.options] or None}
