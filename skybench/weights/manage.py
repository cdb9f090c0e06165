"""Management of checkpoints: download, verify, and install a file where "auto" finds it."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skybench.core import (
    CannotRun,
    ModelCard,
    Report,
    UsageError,
    WeightsError,
    WeightsSource,
    file_hash,
    folders,
    registry,
    variants,
)
from skybench.core.atomic import write_whole
from skybench.data.fetch import Remote, fetch_file
from skybench.weights import coverage, find, identify, layouts, origins, published
from skybench.weights.checkpoint_file import open_checkpoint, sha256_file
from skybench.weights.identify import PublishedMatch

WeightsRow = dict[str, Any]  # of the tables that the command line prints
Published = tuple[str, ModelCard, WeightsSource]  # a variant, its card, its checkpoint


def published_files(name: str, asked: str) -> list[Published]:
    """Return the published files of a variant; "full" may stand for several variants.

    Raises UsageError for an unknown name, and CannotRun or WeightsError, with the steps to take,
    where nothing can be downloaded.
    """
    plugin: Any = registry.model(name)
    files: dict[str, Published] = {}
    for variant in variants.resolve_variants(plugin, asked):
        card = variants.variant_card(plugin, variant)
        source = card.weights
        if card.unavailable:
            raise CannotRun(f"{card.name} cannot be built: {card.unavailable}")
        if source is None or source.withheld or not (source.url or source.package):
            raise WeightsError(find.how_to_get(card))
        if variant not in source.variants:
            known = ", ".join(variants.published_variants(plugin))
            raise UsageError(
                f"No weights of {name} are published for {variant!r}, but for {known}."
            )
        files.setdefault(source.filename, (variant, card, source))
    return list(files.values())


def licence_notice(card: ModelCard, source: WeightsSource) -> str:
    """Return the notice on the licence that is shown before a download."""
    strict = " NON-COMMERCIAL USE ONLY." if source.noncommercial else ""
    return f"{card.title}: licence of the weights: {source.licence}.{strict}"


def download_weights(published: Published, report: Report = lambda *_: None) -> WeightsRow:
    """Download a published file, and verify its hash and its coverage of the model.

    Raises DataError as `skybench.data.fetch.fetch_file`, WeightsError where the file does not fit.
    """
    variant, card, source = published
    path = find.find_published(card) if source.package else None
    if path is None and not source.url:
        raise WeightsError(find.how_to_get(card))
    if path is None:
        remote = Remote(source.url, source.filename, _digest(source), unpack=False)
        path = fetch_file(remote, folders.weights() / card.name, report)
    row = _verify(variant, card, path)
    if row["state"] == "bad":
        raise WeightsError(row["note"])
    return row | {"licence": source.licence, "noncommercial": source.noncommercial}


def _digest(source: WeightsSource) -> str:
    """Return the published hash; an md5 rather than the first digits of a sha256."""
    if source.md5 and len(source.sha256) < 64:
        return f"md5:{source.md5}"
    return f"sha256:{source.sha256}" if source.sha256 else ""


def verify_weights(name: str = "", report: Report = lambda *_: None) -> list[WeightsRow]:
    """Verify the checkpoints on this machine; return one row each, with hash and coverage."""
    files: dict[Path, tuple[str, ModelCard]] = {}
    for known in [registry.resolve("baselines", name)] if name else registry.names("baselines"):
        for variant, card in variants.published_cards(known).items():
            if path := find.find_published(card):
                files.setdefault(path, (variant, card))
    rows = []
    for done, (path, (variant, card)) in enumerate(files.items()):
        report(f"checking {path.name}", done, len(files))
        rows.append(_verify(variant, card, path))
    return rows


def _verify(variant: str, card: ModelCard, path: Path) -> WeightsRow:
    """Verify one file; its row has the state "ok", or "bad" with the reason in `note`."""
    row: WeightsRow = {"name": card.name, "variant": variant, "file": str(path), "state": "ok"}
    row |= {"hash": "none published", "coverage": None, "note": ""}
    file_hash.forget_digests(path)  # to verify is to read
    try:
        if card.weights and _digest(card.weights):
            row["hash"] = "as published"
            if note := find.hash_mismatch(path, card.weights):
                row["hash"] = "differs"
                raise WeightsError(f"{path}: {note}. Replace the file")
        elif note := _checksum_fault(path):
            raise WeightsError(note)
        found = published.read_published(card.name, path)
        plugin = registry.model(card.name)
        state = layouts.best_layout(plugin, variant, found.state)
        covered = coverage.measure_coverage(plugin, variant, state)
        unread = origins.unread(covered.unused)
        notes = (published.skipped_objects(found.left_out), found.sets, unread)
        row |= {"coverage": round(100 * covered.share, 2), "note": "; ".join(filter(None, notes))}
        coverage.require_coverage(card, covered)
    except WeightsError as error:
        row |= {"state": "bad", "note": str(error)}
    return row


def _checksum_fault(path: Path) -> str:
    """Check the zip checksums in files of unknown hash; return the fault, or ""."""
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        if not zipfile.is_zipfile(file):
            continue
        with zipfile.ZipFile(file) as archive:
            if broken := archive.testzip():
                return f"{file} is damaged: its record {broken} has another checksum"
    return ""


def import_weights(
    file: Path, model: str = "", variant: str = "", force: bool = False
) -> WeightsRow:
    """Identify a checkpoint by its keys, and copy it to the path where "auto" looks for it.

    Raises WeightsError where it is not a published file, or may be one of several, or where
    another file is at that path and `force` is false.
    """
    if model:
        model = registry.resolve("baselines", model)
        if variant:
            variants.resolve_variants(registry.model(model), variant)
    # Of a file with a student and a teacher, whoever publishes it reads the teacher.
    checkpoint = open_checkpoint(file, usual=published.usual_set(model) if model else "teacher")
    if note := _checksum_fault(file):
        raise WeightsError(note)
    fits = (
        identify.matching_files(model, checkpoint.state)
        if model
        else identify.identify_weights(checkpoint.state)
    )
    fits = [m for m in fits if variant in ("", *m.variants)]
    match = _choose(file, fits, checkpoint.state, model)
    target = folders.weights() / match.card.name / match.filename
    _copy(file, target, force)
    source = match.card.weights
    return {
        "name": match.card.name, "variants": list(match.variants), "file": str(target),
        "coverage": round(100 * match.coverage.share, 2), "sha256": sha256_file(target),
        "licence": source.licence if source else "",
        "note": published.skipped_objects(checkpoint.left_out),
        "noncommercial": bool(source and source.noncommercial),
    }  # fmt: skip


def _choose(file: Path, fits: Sequence[PublishedMatch], state: Any, model: str) -> PublishedMatch:
    """Choose the published file by hash, or, where the keys fit several, by file name."""
    if not fits:
        other = identify.model_hint(state) if model else ""
        raise WeightsError(
            f"{file} is not a published file of {model or 'any model in skybench'}. {other}"
            f"Its first keys are {', '.join(list(state)[:4])}"
        )
    same = [_is_published(file, m) for m in fits]
    surest = True if True in same else None  # None: the published hash is unknown
    possible = [m for m, is_it in zip(fits, same, strict=True) if is_it is surest]
    if not possible:
        titles = " or ".join(m.title for m in fits)
        uses = dict.fromkeys(f"--weights {m.card.name}={file}" for m in fits)
        raise WeightsError(
            f"{file} has the keys of {titles}, but not the published hash, so it would be refused "
            f"there. Use it with {' or '.join(uses)}"
            f"{', and name the variant with --variant' if fits[1:] else ''}"
        )
    # Without an equal hash, it may also be another edition of a file whose hash is known.
    named = [m for m in possible if m.filename == file.name] or (possible if surest else fits)
    if len(named) > 1:
        raise WeightsError(
            f"{file} has the keys of several published files: {'; '.join(m.title for m in named)}. "
            "Name the right one with --model and --variant"
        )
    return named[0]


def _is_published(file: Path, match: PublishedMatch) -> bool | None:
    """Return whether a file has the published hash; None where that is unknown."""
    source = match.card.weights
    if source is None or not _digest(source) or match.filename != source.filename:
        return None
    return not find.hash_mismatch(file, source)


def _copy(file: Path, target: Path, force: bool) -> None:
    """Copy a file atomically. Raises WeightsError where another is there and `force` is false."""
    if target.exists():
        if sha256_file(target) == sha256_file(file):
            return
        if not force:
            raise WeightsError(f"Another file is at {target}; --force replaces it")
    try:
        with write_whole(target) as temporary:
            shutil.copyfile(file, temporary)
    except OSError as error:
        raise WeightsError(f"{file} could not be copied to {target}: {error}") from error
