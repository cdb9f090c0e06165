"""Entries of the feature cache: their names, and that only an entry proven whole is used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skybench.core import DataError, Sample, Target
from skybench.core.fingerprint import fingerprint
from skybench.features import cache
from skybench.features.extraction import split_features
from skybench.features.sources import CachedFeatures, StreamedFeatures

from .._toys import Noise, Toy, entries, looking, parts

pytestmark = pytest.mark.usefixtures("own_cache")
Spoil = Callable[[Path], object]


def entry() -> Path:
    """The only part of the only entry."""
    (part,) = parts()
    return part


def extracted(identity: Any = None) -> tuple[Any, bool]:
    return split_features(looking(Toy()), Noise(6), identity or {"toy": 1}, "pyramid")


def test_a_cache_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(DataError, match="SKYBENCH_CACHE"),
        cache.new_entry(tmp_path / "file" / "entry", {}),
    ):
        pass


def test_an_entry_has_one_name_on_every_machine() -> None:
    """The name under which this version stores these features."""
    split_features(looking(Toy()), Noise(3), {"model": "toy"}, "pooled")
    assert entries() == ["a72aed32246980ec1a3479af"]


class Measured(Noise):
    """One value for each pixel, or two of the whole image."""

    card = replace(Noise.card, target=Target("values"))

    def read(self, index: int) -> Sample:
        values = torch.tensor([index + 0.25, float("nan")])
        target = values.expand(4, 2) if self.masks else values
        return replace(super().read(index), target=target)


@pytest.mark.parametrize("dense", [False, True])
def test_values_stay_what_they_are(dense: bool) -> None:
    samples = Measured(3, masks=dense)
    stored, _ = split_features(looking(Toy()), samples, {"toy": dense}, "pooled")
    streamed = StreamedFeatures(looking(Toy()), samples)
    assert isinstance(stored, CachedFeatures)
    for one in (stored, streamed):
        assert one.target(2).dtype == np.float32
        np.testing.assert_array_equal(one.target(2), samples.read(2).target)
        np.testing.assert_array_equal(one.labels()[1], samples.read(1).target)


def test_an_entry_says_what_it_is_of_and_holds_no_label() -> None:
    extracted()
    meta = json.loads((entry() / "meta.json").read_text())
    assert meta["identity"]["toy"] == 1
    facts = {name: (a.get("shape"), a.get("dtype")) for name, a in meta["arrays"].items()}
    assert facts == {
        "pooled.npy": ([6, 3], "float32"),
        "level0.npy": ([6, 3, 8, 8], "float16"),
        "level1.npy": ([6, 3, 4, 4], "float16"),
        "rows.json": (None, None),
    }
    assert {p.name for p in entry().iterdir()} == {*facts, "meta.json"}


def flip(name: str, at: int, count: int) -> Spoil:
    def spoil(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[at : at + count] = bytes(255 - b for b in content[at : at + count])
        (folder / name).write_bytes(content)

    return spoil


def fewer_columns(folder: Path) -> None:
    np.save(folder / "pooled.npy", np.load(folder / "pooled.npy")[:, :1])


def other_meta(**changes: Any) -> Spoil:
    def spoil(folder: Path) -> None:
        meta = json.loads((folder / "meta.json").read_text())
        (folder / "meta.json").write_text(json.dumps({**meta, **changes}))

    return spoil


def as_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("not a folder")


def as_folder(folder: Path) -> None:
    (folder / "pooled.npy").unlink()
    (folder / "pooled.npy").mkdir()


def emptied(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def another_entry(folder: Path) -> None:
    whole = folder.with_name("whole")
    folder.rename(whole)
    extracted({"toy": 2})
    next(p for p in parts() if p != whole).rename(folder)
    shutil.rmtree(whole)


SPOILED: dict[str, tuple[Spoil, str]] = {
    "flipped bytes": (flip("pooled.npy", 130, 64), "pooled.npy has another checksum"),
    "a flipped byte of a level": (flip("level1.npy", 200, 1), "level1.npy has another checksum"),
    "a flipped byte of the facts": (flip("meta.json", 30, 1), "meta.json is damaged"),
    "fewer columns": (fewer_columns, "pooled.npy has 152 bytes, not those written"),
    "a level less": (lambda p: (p / "level0.npy").unlink(), "level0.npy is missing"),
    "a level not listed": (other_meta(arrays={}), "meta.json is damaged"),
    "no facts": (lambda p: (p / "meta.json").unlink(), "meta.json is missing"),
    "null": (lambda p: (p / "meta.json").write_text("null"), "meta.json is damaged"),
    "facts of earlier versions": (
        lambda p: (p / "meta.json").write_text('{"toy": 1}'), "without checksums"
    ),
    "a folder in the place of an array": (
        as_folder, "pooled.npy is missing"
    ),
    "a file in the place of the entry": (as_file, "a file is in its place"),
    "another entry": (another_entry, "of another entry"),
    "an empty folder": (emptied, "meta.json is missing"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILED)
def test_a_spoiled_entry_is_made_again_and_that_is_told(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = extracted()
    pooled, pyramid = first.pooled(), first.pyramid(range(6))  # copies: the files change
    folder, (spoil, reason) = entry(), SPOILED[name]
    spoil(folder)
    again, cached = extracted()
    assert not cached
    assert reason in again.remade
    assert f"{folder} are made again: {again.remade}." in capsys.readouterr().err
    assert torch.equal(again.pooled(), pooled)
    for one, other in zip(again.pyramid(range(6)), pyramid, strict=True):
        assert torch.equal(one, other)
    last, cached = extracted()
    assert (cached, last.remade, len(parts())) == (True, "", 1)


def test_a_file_in_the_place_of_an_entry_is_told_too() -> None:
    extracted()
    folder = entry().parent
    shutil.rmtree(folder)
    folder.write_text("not a folder")
    again, _ = extracted()
    assert "a file is in its place" in again.remade
    assert extracted()[1]


@settings(
    deadline=None, derandomize=True, max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(
    content=st.text(max_size=30)
    | st.fixed_dictionaries(
        {"arrays": st.dictionaries(st.text(max_size=5), st.none() | st.text(max_size=3))},
        optional={"identity": st.none() | st.integers(), "sha256": st.none() | st.text()},
    ).map(json.dumps)
)
def test_any_text_in_the_place_of_the_facts_is_a_fault(tmp_path: Path, content: str) -> None:
    folder = tmp_path / "entry"
    folder.mkdir(exist_ok=True)
    (folder / "meta.json").write_text(content, encoding="utf-8", errors="replace")
    assert cache.entry_fault(folder, {"toy": 1}, ["pooled.npy"])


def test_names_in_the_facts_never_leave_the_entry(tmp_path: Path) -> None:
    (tmp_path / "secret.npy").write_bytes(b"abc")
    with cache.new_entry(tmp_path / "entry", {}) as folder:
        np.save(folder / "pooled.npy", np.zeros((2, 3)))
    meta = json.loads((tmp_path / "entry" / "meta.json").read_text())
    meta["arrays"]["../secret.npy"] = {"bytes": 3}
    meta["sha256"] = fingerprint({n: meta[n] for n in cache.CONTENTS})
    (tmp_path / "entry" / "meta.json").write_text(json.dumps(meta))
    assert cache.entry_fault(tmp_path / "entry", {}, []) == "secret.npy is missing"


def test_an_entry_that_cannot_be_removed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied", str(target))

    (tmp_path / "entry").mkdir()
    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(DataError, match=r"cannot be removed \(Permission denied\); remove it"):
        cache.discard_entry(tmp_path / "entry")
    monkeypatch.undo()
    cache.discard_entry(tmp_path / "entry")
    cache.discard_entry(tmp_path / "entry")  # by another process
    assert list(tmp_path.iterdir()) == [tmp_path / "cache"] or not list(tmp_path.iterdir())
