"""The warning flags of a record: under what it was measured, and what looks wrong about it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from skybench.checks import (
    feature_collapse,
    image_audit,
    image_sides,
    train_test_overlap,
    value_ranges,
)
from skybench.checks.selection import selection_on_test
from skybench.core import (
    FAULTS,
    FLAGS,
    BandMapping,
    Record,
    ScoreInfo,
    SkybenchError,
    UsageError,
    registry,
)
from skybench.plan.cell import Cell
from skybench.records import store
from skybench.report import paper_scores

# Points between a measured and the published score under one protocol. Ours: three papers print
# 71.05, 70.67 and 68.06 for one model and set (github:MiliLab/SelectiveMAE/issues/7).
TOLERANCE = 3.0
UNLABELLED = "nobody has the labels: `skybench export` writes what the server takes, to be scored"


def with_flags(record: Record, cell: Cell, results: Path) -> Record:
    """Return the record with warning flags, their evidence (`used.alarms`) and the image audit.

    record: as measured, with `chance`, `error`, `coverage` and `features` in `used`. results: the
    folder of records among which equal features are searched.
    """
    facts = image_audit.audit_images(cell)
    record = replace(record, used={**record.used, "data": facts})
    marks = {**_conditions(cell), **_measured(record), **_trained(record, cell.demo)}
    alarms = dict(_alarms(record, cell, facts, results))
    record = _flagged(record, marks, alarms)
    far = _far(record)  # depends on the other flags
    return _flagged(record, marks, {**alarms, "far from the paper": far}) if far else record


def _flagged(record: Record, marks: Mapping[str, bool], alarms: Mapping[str, str]) -> Record:
    told = [UNLABELLED] if record.status == "predicted" else []
    return replace(
        record,
        flags=[name for name in FLAGS if marks.get(name) or name in alarms],
        used={**record.used, "alarms": alarms},
        note="; ".join([*told, *(f"{name}: {detail}" for name, detail in alarms.items())]),
    )


def _conditions(cell: Cell) -> dict[str, bool]:
    """Flags that follow from the cell alone."""
    real = cell.model.weights is not None and cell.weights != "random"
    sources = [s.split.source for s in cell.splits.values()]
    return {
        "random weights": cell.weights == "random",
        "tiny variant": cell.variant.startswith("tiny") and cell.weights == "random",
        "nominal units": uses_convention(dict(cell.found)),
        "own split": any(s.startswith("ours") for s in sources) and not cell.demo,
        "limited": cell.recipe.limit > 0 or cell.recipe.fraction < 1,
        "override": bool(cell.overridden),
        "seen in pre-training": real and seen_in_training(cell),
    }


def _measured(record: Record) -> dict[str, bool]:
    """Flags that follow from the score and the checkpoint."""
    name, score = record.main or ("", 0.0)
    used, coverage = record.used, record.used["coverage"]
    low = is_chance(score, used["error"], used["chance"], record.score_info(name))
    return {
        "chance": low and record.status == "measured",
        "partial checkpoint": bool(coverage) and bool(coverage["share"] < 1 or coverage["drawn"]),
    }


def _trained(record: Record, demo: bool) -> dict[str, bool]:
    """Flags that follow from the training of any seed; those on demo data are short by design."""
    facts = [seed.get("chosen", {}) for seed in record.seeds]
    return {
        "repeated epochs": any(fact.get("min_steps") for fact in facts),
        "loss still falling": not demo and any(fact.get("still_falling") for fact in facts),
    }


def _alarms(
    record: Record, cell: Cell, facts: Mapping[str, Any], results: Path
) -> Iterator[tuple[str, str]]:
    """Flags that point to a fault, each with its evidence."""
    found = {
        "collapsed features": feature_collapse.collapse_reason(
            record.used["features"], cell.weights == "random"
        ),
        "same features": same_features(record, results),
        "implausible values": _of_sensors(value_ranges.implausible_values, facts),
        "band order": _of_sensors(value_ranges.suspected_band_order, facts),
        "train images in test": train_test_overlap.overlap_reason(
            {**facts["twins"], "looked": facts["looked"]}
        ),
        "incomplete split": incomplete_splits(cell),
        "resized images": image_sides.resized_images(cell),
        "chosen on the test": selection_on_test(cell),
        "seen in pre-training": record.used.get("leak", ""),  # by fine-tuning, or by such a file
    }
    yield from ((name, detail) for name, detail in found.items() if detail)


def _of_sensors(reason: Any, facts: Mapping[str, Any]) -> str:
    found = {name: reason(sensor) for name, sensor in facts["sensors"].items()}
    return ", ".join(f"{name}: {why}" for name, why in found.items() if why)


def incomplete_splits(cell: Cell) -> str:
    """Return which splits differ in size from the published ones; "" where none do.

    Only official splits are compared, used whole, as the dataset's options and tiles usually are.
    """
    recipe, wrong = cell.recipe, []
    if recipe.limit:
        return ""
    for role, samples in cell.splits.items():
        split, card = samples.split, samples.card
        official = split.source.startswith(("official", "rule")) and not split.demo
        usual = recipe.tile in (0, card.tile) and not {*cell.overridden} & {*card.options}
        published = card.splits.get(getattr(recipe, role), 0)
        if official and usual and published and len(samples) != published:
            wrong.append(f"{role} has {len(samples)} samples, published are {published}")
    return ", ".join(wrong)


def same_features(record: Record, results: Path) -> str:
    """Return another cell's record with equal features of the same images; "" if there is none."""
    mine = record.used["features"]
    digest = json.dumps(mine["sha256"]).encode()
    for path in sorted(results.glob(f"*/{record.dataset}/*.json")):
        if not _has(path, digest):  # parsing 1,000 records took half a second a cell
            continue
        other = store.find_record(results, path.relative_to(results))
        theirs = other.used.get("features", {}) if other else {}
        alike = (theirs.get("sha256"), theirs.get("keys")) == (mine["sha256"], mine["keys"])
        if other and alike and _differ(record, other):
            used = other.used
            return (
                f"those of {other.model} ({used.get('variant')}, {used.get('weights')!s:.8}, "
                f"{theirs['seen']}), {other.fingerprint[:8]}"
            )
    return ""


def _has(path: Path, text: bytes) -> bool:
    with contextlib.suppress(OSError):
        return text in path.read_bytes()
    return False


def with_same_features(record: Record, results: Path) -> Record:
    """Return a record that was made apart from those in a folder, flagged if features are equal."""
    if not record.came_out or "same features" in record.flags:
        return record
    if not (found := same_features(record, results)):
        return record
    alarms = {**record.used["alarms"], "same features": found}
    return _flagged(record, dict.fromkeys(record.flags, True), alarms)


def _differ(one: Record, other: Record) -> bool:
    """Whether features should differ; models may share a network and differ in weights alone."""
    random = {r.used.get("weights") for r in (one, other)} == {"random"}
    if one.model != other.model and random:
        return False
    return _setting(one) != _setting(other)


def _setting(record: Record) -> tuple[Any, ...]:
    """All that decides the features of an image."""
    used = record.used
    return (
        record.model, _network(record), used.get("arch", {}), used.get("weights"),
        used.get("inputs"), used["features"]["seen"],
    )  # fmt: skip


def _network(record: Record) -> Any:
    """The variant's settings, since two names may stand for one network."""
    variant = record.used.get("variant", "")
    try:
        return registry.model(record.model).VARIANTS[variant]
    except (SkybenchError, KeyError):  # a plugin or a variant that is gone
        return variant


def _far(record: Record) -> str:
    """The published scores under the same protocol that are far from the measured one."""
    allowed = max(TOLERANCE, 3 * record.used["error"])
    found = []
    for r in paper_scores.reported_rows():
        if r.model != record.model:
            continue
        ours = paper_scores.paper_score(record, paper_scores.paper_place(r))
        if ours is not None and abs(ours - r.value) > allowed:
            found.append(f"{r.metric} {ours:.2f}, published {r.value:.2f}")
    return ", ".join(found)


def is_chance(score: float, error: float, chance: float, info: ScoreInfo) -> bool:
    """Whether a score is not better than the best constant answer by 3 standard errors."""
    return info.gain(score, chance) <= 3 * error


def seen_in_training(cell: Cell) -> bool:
    """Whether the dataset's images are among those that the model was trained on."""
    trained_on = cell.model.trained_on
    card = next(iter(cell.splits.values())).card
    return cell.dataset_id in trained_on or card.image_source in map(_image_source, trained_on)


def _image_source(name: str) -> str:
    """The image source of a dataset; other names stand for themselves."""
    try:
        return registry.dataset(name).CARD.image_source
    except UsageError:
        return name


def uses_convention(found: dict[str, BandMapping]) -> bool:
    """Return whether a unit conversion rests on a convention, not on a definition."""
    return any(not f.conversion.exact for f in found.values())


def strict(record: Record) -> Record:
    """Return the record as failed, without its scores, where it has a flag of FAULTS."""
    faults = [f for f in record.flags if f in FAULTS]
    if record.status != "measured" or not faults:
        return record
    details = record.used.get("alarms", {})
    used = {name: value for name, value in record.used.items() if name != "states"}
    reasons = "; ".join(f"{f} ({details.get(f) or FLAGS[f]})" for f in faults)
    return replace(
        record, status="failed", note=f"--strict: {reasons}", scores={}, spread={}, intervals={},
        per_class={}, seeds=[], used=used,
    )  # fmt: skip
