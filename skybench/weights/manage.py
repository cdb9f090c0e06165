"""Checkpoints downloaded, verified, and put into their places."""

from __future__ import annotations

import os
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
    folders,
    loaded,
    registry,
    variants,
)
from skybench.data.fetch import Remote, fetch
from skybench.weights import coverage, find, identify, load
from skybench.weights.checkpoint_file import open_checkpoint, sha256_file
from skybench.weights.identify import Match

Row = dict[str, Any]
Published = tuple[str, ModelCard, WeightsSource]  # a variant, its card, its file


def wanted(name: str, asked: str) -> list[Published]:
    """The published files that a variant of a model, or "full", stands for.

    Raises UsageError for an unknown name; CannotRun or WeightsError where there is nothing that
    can be downloaded, with what to do instead.
    """
    plugin: Any = registry.load("baselines", name)
    found: dict[str, Published] = {}
    for variant in variants.meant(plugin, asked):
        card = variants.card(plugin, variant)
        source = card.weights
        if card.unavailable:
            raise CannotRun(f"{card.name} cannot be built: {card.unavailable}")
        if source is None or source.withheld or not (source.url or source.package):
            raise WeightsError(find.how_to_get(card))
        if variant not in source.variants:
            known = ", ".join(variants.published(plugin))
            raise UsageError(f"Nothing is published for {variant!r} of {name}, but for {known}.")
        found.setdefault(source.filename, (variant, card, source))
    return list(found.values())


def licence(card: ModelCard, source: WeightsSource) -> str:
    """What a user must know before a download."""
    strict = " NON-COMMERCIAL USE ONLY." if source.noncommercial else ""
    return f"{card.title}: licence of the weights: {source.licence}.{strict}"


def download(published: Published, report: Report = lambda *_: None) -> Row:
    """Gets a published file, resumed and checked, and compares it with its network.

    Raises DataError as `skybench.data.fetch.fetch`, WeightsError where the file does not fit.
    """
    variant, card, source = published
    path = find.there(card) if source.package else None
    if path is None and not source.url:
        raise WeightsError(find.how_to_get(card))
    if path is None:
        remote = Remote(source.url, source.filename, _digest(source), unpack=False)
        path = fetch(remote, folders.weights() / card.name, report)
    row = _checked(variant, card, path)
    if row["state"] == "bad":
        raise WeightsError(row["note"])
    return row | {"licence": source.licence, "noncommercial": source.noncommercial}


def _digest(source: WeightsSource) -> str:
    """The published hash; a whole one rather than the first digits of one."""
    if source.md5 and len(source.sha256) < 64:
        return f"md5:{source.md5}"
    return f"sha256:{source.sha256}" if source.sha256 else ""


def verify(name: str = "", report: Report = lambda *_: None) -> list[Row]:
    """One row for every checkpoint that is found: its hash, and how it covers its network."""
    found: dict[Path, tuple[str, ModelCard]] = {}
    for known in [registry.resolve("baselines", name)] if name else registry.names("baselines"):
        for variant, card in variants.variant_cards(known).items():
            if path := find.there(card):
                found.setdefault(path, (variant, card))
    rows = []
    for done, (path, (variant, card)) in enumerate(found.items()):
        report(f"checking {path.name}", done, len(found))
        rows.append(_checked(variant, card, path))
    return rows


def _checked(variant: str, card: ModelCard, path: Path) -> Row:
    """What is right and wrong with a file."""
    row: Row = {"name": card.name, "variant": variant, "file": str(path), "state": "ok"}
    row |= {"hash": "none published", "coverage": None, "note": ""}
    try:
        if card.weights and _digest(card.weights):
            row["hash"] = "as published"
            if note := find.differs(path, card.weights):
                row["hash"] = "differs"
                raise WeightsError(f"{path}: {note}. Replace the file")
        elif note := _checksums(path):
            raise WeightsError(note)
        found = load.read(card.name, path)
        plugin = registry.load("baselines", card.name)
        state = coverage.fitting(plugin, variant, found.state)
        covered = coverage.measure(plugin, variant, state)
        row |= {"coverage": round(100 * covered.share, 2), "note": load.told(found.left_out)}
        coverage.require(card, covered)
    except WeightsError as error:
        row |= {"state": "bad", "note": str(error)}
    return row


def _checksums(path: Path) -> str:
    """What is wrong with files whose hash is not known, by their own checksums; "" if nothing."""
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        if not zipfile.is_zipfile(file):
            continue
        with zipfile.ZipFile(file) as archive:
            if broken := archive.testzip():
                return f"{file} is damaged: its record {broken} has another checksum"
    return ""


def sort_in(file: Path, model: str = "", variant: str = "", force: bool = False) -> Row:
    """Copies a file, recognised by its keys, to where "auto" looks for it.

    Raises WeightsError where it is no published file, or could be several, or another one is
    there and `force` is not given.
    """
    found = open_checkpoint(file)
    if note := _checksums(file):
        raise WeightsError(note)
    if model:
        model = registry.resolve("baselines", model)
        if variant:
            variants.meant(registry.load("baselines", model), variant)
    fits = (
        identify.matches(model, found.state, loaded.ENOUGH)
        if model
        else identify.recognise(found.state)
    )
    match = _one(file, [m for m in fits if variant in ("", *m.variants)], found.state, model)
    target = folders.weights() / match.card.name / match.filename
    _copy(file, target, force)
    source = match.card.weights
    return {
        "name": match.card.name, "variants": list(match.variants), "file": str(target),
        "coverage": round(100 * match.coverage.share, 2), "sha256": sha256_file(target),
        "licence": source.licence if source else "", "note": load.told(found.left_out),
        "noncommercial": bool(source and source.noncommercial),
    }  # fmt: skip


def _one(file: Path, fits: Sequence[Match], state: Any, model: str) -> Match:
    """The one published file that it is; by its hash, else by its name where keys do not tell."""
    if not fits:
        other = identify.hint(state) if model else ""
        raise WeightsError(
            f"{file} is not a published file of {model or 'any model here'}. {other}"
            f"Its first keys are {', '.join(list(state)[:4])}"
        )
    same = [_is_published(file, m) for m in fits]
    surest = True if True in same else None  # without a known hash, it may be
    possible = [m for m, is_it in zip(fits, same, strict=True) if is_it is surest]
    if not possible:
        titles = " or ".join(m.title for m in fits)
        uses = dict.fromkeys(f"--weights {m.card.name}={file}" for m in fits)
        raise WeightsError(
            f"{file} has the keys of {titles}, but not the published hash, so it would not be "
            f"loaded from there. Use it by {' or '.join(uses)}"
            f"{', with --variant for which one it is' if fits[1:] else ''}"
        )
    # Without a hash that says so, it may as well be another edition of a file whose hash is known.
    named = [m for m in possible if m.filename == file.name] or (possible if surest else fits)
    if len(named) > 1:
        raise WeightsError(
            f"{file} has the keys of several published files: {'; '.join(m.title for m in named)}. "
            "Say which it is by --model and --variant"
        )
    return named[0]


def _is_published(file: Path, match: Match) -> bool | None:
    """Whether a file has the published hash; None where none is known."""
    source = match.card.weights
    if source is None or not _digest(source) or match.filename != source.filename:
        return None
    return not find.differs(file, source)


def _copy(file: Path, target: Path, force: bool) -> None:
    """The whole file or nothing; a file that is there is kept unless it is the same or `force`."""
    if target.exists():
        if sha256_file(target) == sha256_file(file):
            return
        if not force:
            raise WeightsError(f"Another file is at {target}; --force replaces it")
    temporary = target.with_name(f".{target.name}.tmp-{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, temporary)
        temporary.replace(target)
    except OSError as error:
        raise WeightsError(f"{file} could not be copied to {target}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)
