"""Records: the stored result of a cell, and the warning flags it may carry."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from skybench.core.errors import DataError
from skybench.core.score import ScoreInfo, score_info_from_json

# flag -> its footnote in tables, where scores bear the flag's short name.
FLAGS = {
    "random weights": "the network is not trained: no statement about the published model",
    "tiny variant": "a reduced network, not the published size",
    "chance": "not above the best constant answer by 3 standard errors",
    "nominal units": "display values and reflectance were mapped to each other by convention",
    "own split": "no official split list was found: a seeded split of the same ratio",
    "limited": "on a part of the data only",
    "override": "a field of the recipe was changed on the command line",
    "seen in pre-training": "the model's pre-training data contain this dataset",
    "partial checkpoint": "parameters that the checkpoint lacks kept random initial values",
    "collapsed features": "the features hardly tell the images apart",
    "same features": "bit by bit those of another model, checkpoint or setting",
    "implausible values": "images cannot be of the unit that the dataset declares",
    "band order": "images fit another order of their bands clearly better",
    "train images in test": "test images are in the training set too",
    "incomplete split": "fewer or more samples than the official split has",
    "far from the paper": "further from the published score than repetitions are",
    "repeated epochs": "few training samples: epochs were repeated up to the least number of steps",
    "loss still falling": "the training loss was still falling at the end: longer training may "
    "score higher",
    "resized images": "images have another size than the published ones",
    "identity by names only": "contents of the folder were not recorded, so another folder with "
    "the same file names may be meant",
    "other versions": "made by another version of adapter, reader or metric than the newest of its "
    "row or column: numbers may differ",
    "chosen on the test": "weights, length or hyperparameters were chosen by scores on the test: "
    "the score is too high to be compared",
    "former recipe": "made with a recipe that has changed since: numbers may differ",
}


# The flags of a suspected error; the others state the conditions of a measurement.
FAULTS = frozenset((
    "chance", "seen in pre-training", "partial checkpoint", "collapsed features", "same features",
    "implausible values", "band order", "train images in test", "incomplete split",
    "resized images", "chosen on the test",
    "far from the paper",
))  # fmt: skip


Status = Literal["measured", "predicted", "cannot run", "failed"]  # predicted: no labels


SCHEMA = 1
# No separators of folders, no control characters, and no hidden file.
FILE_NAME = re.compile(r"[^./\\\x00-\x1f\x7f-\x9f][^/\\\x00-\x1f\x7f-\x9f]*")


def is_file_name(text: str) -> bool:
    """Whether a name may stand in the path of a file: it leads into no other folder.

    >>> is_file_name("s2"), is_file_name("../s2"), is_file_name("")
    (True, False, False)
    """
    return FILE_NAME.fullmatch(text) is not None


@dataclass(frozen=True)
class Record:
    """The result of one cell as plain JSON. The first of `scores` is the main one.

    Scores are percentages unless `used["score_info"]` describes them: see `score_info`.
    """

    model: str
    task: str
    dataset: str
    recipe: Mapping[str, Any]  # the fields of `Recipe`
    status: Status
    data: str  # "real" | "demo"
    fingerprint: str  # sha256 of everything that can change a score
    scores: Mapping[str, float] = field(default_factory=dict)  # means over seeds
    spread: Mapping[str, float] = field(default_factory=dict)  # standard deviations over seeds
    intervals: Mapping[str, Sequence[float]] = field(default_factory=dict)  # 95 %
    per_class: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # of seed 0
    # For each seed: the seed, its scores, and what `Head.fit` returned.
    seeds: Sequence[Mapping[str, Any]] = field(default_factory=list)
    samples: Mapping[str, int] = field(default_factory=dict)  # split -> number of samples
    note: str = ""  # why there is no score, or a remark; for a reader
    flags: Sequence[str] = field(default_factory=list)  # of FLAGS: see `skybench.checks.flags`
    used: Mapping[str, Any] = field(default_factory=dict)
    cost: Mapping[str, Any] = field(default_factory=dict)
    traceback: str = ""
    made: str = ""  # UTC, ISO 8601
    schema: int = SCHEMA

    @property
    def came_out(self) -> bool:
        """Whether the run completed, with or without labels to score it."""
        return self.status in ("measured", "predicted")

    @functools.cached_property  # a table of many records asks for it a dozen times of each
    def main(self) -> tuple[str, float] | None:
        """The name and value of the main score; None where nothing was measured."""
        return next(iter(self.scores.items()), None)

    def score_info(self, name: str) -> ScoreInfo:
        """Return direction, unit and bounds of a score; by default, of a percentage."""
        stated = self.used.get("score_info", {}).get(name)
        return score_info_from_json(stated) if stated else ScoreInfo()

    @property
    def sensors(self) -> str:
        """The names of the dataset's sensors that were used, joined by '+'."""
        return "+".join(self.used.get("sensors", ())) or "none"

    @property
    def path(self) -> Path:
        """The path of the record's file, relative to the results folder.

        Raises DataError for a name that would lead into another folder.
        """
        protocol = str(self.recipe["protocol"])
        for part in (self.model, self.task, self.dataset, protocol, self.sensors):
            if not is_file_name(part):
                raise DataError(
                    f"The name {part!r} cannot be part of a record's file name; expected one "
                    "without slashes, control characters and a leading dot"
                )
        return Path(self.task) / self.dataset / f"{self.stem}.json"

    @property
    def stem(self) -> str:
        """The name of the record's file, without its ending."""
        protocol = self.recipe["protocol"]
        return f"{self.model}.{protocol}.{self.sensors}.{self.fingerprint[:8]}"


def with_fields(record: Record, **fields: Any) -> Record:
    """Return a record with other values of these fields, as `dataclasses.replace` does.

    It takes a fifth of the time, of which tables of many records need it for most.
    """
    made = object.__new__(Record)
    vars(made).update(vars(record))
    vars(made).pop("main", None)  # it was computed from the scores before
    vars(made).update(fields)
    return made
