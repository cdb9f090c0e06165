"""The simulated copy of a dataset: written once, whole, by version."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from skybench.core import DataError, folders, registry
from skybench.data import simulation
from skybench.data.demo_folder import demo_root, missing_copies, write_copies


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, own_cache: None) -> Any:
    """A dataset whose demo copy is one file; `written` counts the copies."""
    plugin = SimpleNamespace(CARD=replace(registry.dataset("aid").CARD, name="toy"), written=0)

    def write_demo(root: Path) -> None:
        plugin.written += 1
        (root / "a.txt").write_text("demo")

    plugin.write_demo = write_demo
    monkeypatch.setattr(registry, "dataset", lambda _: plugin)
    return plugin


def test_a_demo_copy_is_written_once(toy: Any) -> None:
    root = demo_root("toy")
    assert (
        root
        == folders.cache() / "demo" / f"v{simulation.SIMULATION_VERSION}.{toy.CARD.version}" / "toy"
    )
    assert [p.name for p in root.iterdir()] == ["a.txt"]
    assert demo_root("toy") == root
    assert toy.written == 1
    toy.CARD = replace(toy.CARD, version=toy.CARD.version + 1)
    assert demo_root("toy") != root


def test_a_demo_copy_that_fails_is_written_again(toy: Any) -> None:
    write_demo = toy.write_demo

    def killed(root: Path) -> None:
        write_demo(root)
        raise KeyboardInterrupt

    toy.write_demo = killed
    with pytest.raises(KeyboardInterrupt):
        demo_root("toy")
    toy.write_demo = write_demo
    assert [p.name for p in demo_root("toy").parent.iterdir()] == ["toy"]


@pytest.mark.usefixtures("toy")
def test_a_cache_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SKYBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot be written to .*Not a directory.*SKYBENCH_CACHE"):
        demo_root("toy")


def test_missing_copies_are_written_with_a_report(toy: Any) -> None:
    told: list[tuple[int, int]] = []
    assert missing_copies(["toy", "toy"]) == ["toy"]
    write_copies(["toy"], lambda _, done, total: told.append((done, total)))
    assert (told, toy.written) == ([(0, 1), (1, 1)], 1)
    assert missing_copies(["toy"]) == []


def test_a_copy_that_fails_ends_no_other(toy: Any) -> None:
    def broken(root: Path) -> None:
        raise ValueError(root)

    toy.write_demo = broken
    write_copies(["toy", "toy"], lambda *_: None)
    with pytest.raises(ValueError, match="toy"):  # told where it is opened
        demo_root("toy")
