"""SkySense's checkpoints: the joint file, the files it was split into, and some of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from skybench.core import CannotRun, UsageError, WeightsError, registry
from skybench.weights.find import find_weights
from skybench.weights.load import load_model, sha256_file

KEYS = Path(__file__).parents[1] / "goldens" / "skysense_full_tiny.keys.json"
LIKE_KEYS: Mapping[str, Any] = {
    "variant": "tiny", "vit_grid": 4, "fusion_dims": 96,
    "depths": (2, 2, 6, 2), "vit_layers": 4, "fusion_layers": 3,
}  # fmt: skip
NAMES = {
    "backbone_gep": "skysense_model_backbone_hr.pth",
    "backbone_s2": "skysense_model_backbone_s2.pth",
    "backbone_s1": "skysense_model_backbone_s1.pth",
    "head_s2": "skysense_model_head_s2.pth",
    "head_s1": "skysense_model_head_s1.pth",
    "fusion": "skysense_model_fusion.pth",
}


def joint() -> dict[str, Tensor]:
    """A joint checkpoint of tiny networks under the published keys."""
    made = torch.Generator().manual_seed(0)
    shapes = {k: e["shape"] for k, e in json.loads(KEYS.read_text())["keys"].items()}
    skipped = ("relative_position_index", "relative_coords_table")
    shapes = {k: s for k, s in shapes.items() if not k.endswith(skipped)}
    lacking = tuple(f"backbone_gep.norm{i}." for i in range(3))
    return {
        k: torch.randn(s, generator=made) / 50
        for k, s in shapes.items()
        if not k.startswith(lacking)
    }


def split(folder: Path, *parts: str) -> Path:
    """The joint checkpoint as the published files, all or some of them."""
    whole = joint()
    folder.mkdir(parents=True, exist_ok=True)
    for part in parts or NAMES:
        state = {
            k.removeprefix(f"{part}."): x for k, x in whole.items() if k.startswith(f"{part}.")
        }
        if part == "backbone_gep":
            state = {f"backbone.{k}": x for k, x in state.items()}
        if part in ("backbone_s2", "backbone_s1"):
            state["ctpe"] = whole["ctpe"]
        torch.save({"state_dict": state} if part == "fusion" else state, folder / NAMES[part])
    return folder


@pytest.mark.parametrize("container", [None, "model"])
def test_the_joint_file_fills_everything(container: str | None) -> None:
    state = joint()
    model: Any = load_model("skysense", {container: state} if container else state, **LIKE_KEYS)
    assert_complete(model)
    assert torch.equal(model.ctpe, state["ctpe"])
    assert [s.name for s in model.card.inputs] == ["hr", "s2", "s1"]


def assert_complete(model: Any) -> None:
    coverage = model.loaded.coverage
    assert (coverage.share, coverage.unexpected, coverage.mismatched) == (1, (), ())
    assert {k[:9] for k in coverage.missing} <= {"net.norms"}
    assert coverage.drawn == ()  # these norms start at 1 and 0, as in the authors' configurations


def test_a_folder_of_split_files_is_the_joint_file(tmp_path: Path) -> None:
    model = load_model("skysense", split(tmp_path), **LIKE_KEYS)
    assert_complete(model)
    whole = load_model("skysense", {"model": joint()}, **LIKE_KEYS).state_dict()
    assert all(torch.equal(x, whole[k]) for k, x in model.state_dict().items())
    assert model.loaded.path == str(tmp_path)
    assert model.loaded.sha256 == sha256_file(tmp_path)


@pytest.mark.parametrize(
    ("part", "reads"), [("backbone_gep", "hr"), ("backbone_s2", "s2"), ("backbone_s1", "s1")]
)
@pytest.mark.parametrize("named", [True, False])
def test_one_file_builds_one_branch(tmp_path: Path, part: str, reads: str, named: bool) -> None:
    file = split(tmp_path, part) / NAMES[part]
    file = file if named else file.rename(tmp_path / "mine.pth")
    model: Any = load_model("skysense", file, **LIKE_KEYS)
    assert [s.name for s in model.card.inputs] == [reads]
    assert model.loaded.coverage.share == 1
    assert model.loaded.coverage.unexpected == (() if reads == "hr" else ("ctpe",))
    assert model.levels_of({reads: 1}) == model.card.levels
    for others in ({"s2": 2}, {"hr": 1, "s1": 1}):
        with pytest.raises(CannotRun, match=rf"fusion, but .* hold only {reads}\. Give the joint"):
            model.levels_of(others)


def test_what_is_not_in_the_files_is_not_built(tmp_path: Path) -> None:
    folder = split(tmp_path, "backbone_s2", "backbone_s1", "head_s2", "fusion")
    model: Any = load_model("skysense", folder, **LIKE_KEYS)
    assert_complete(model)
    assert model.levels_of({"s2": 2}) == ((96, 4),)
    assert model.levels_of({"s1": 1}) == ((64, 4),)
    with pytest.raises(CannotRun, match=r"s2 and s1 .* only with its parts head_s1, but"):
        model.levels_of({"s2": 1, "s1": 1})
    state = {k: x for k, x in joint().items() if k != "ctpe"}
    dateless: Any = load_model("skysense", state, **LIKE_KEYS)
    assert dateless.ctpe is None
    assert_complete(dateless)


def test_only_the_parts_asked_for_are_read_from_a_joint_file() -> None:
    model: Any = load_model("skysense", joint(), parts=("hr",), **LIKE_KEYS)
    assert {k.split(".")[0] for k in model.state_dict()} == {"net"}
    assert model.loaded.coverage.share == 1
    assert model.loaded.coverage.unexpected == ("ctpe",)


def test_a_damaged_part_is_refused(tmp_path: Path) -> None:
    state = {k: x for k, x in joint().items() if not k.startswith("backbone_s1.layers.2.")}
    with pytest.raises(WeightsError, match="missing: "):
        load_model("skysense", {"model": state}, **LIKE_KEYS)


def test_a_head_that_nothing_names_is_refused(tmp_path: Path) -> None:
    file = split(tmp_path, "head_s2") / NAMES["head_s2"]
    assert [*load_model("skysense", file, **LIKE_KEYS).state_dict()] == [
        "head_s2.decoder.0.weight", "head_s2.decoder.0.bias",
    ]  # fmt: skip
    with pytest.raises(WeightsError, match=r"0\.0 %"):
        load_model("skysense", file.rename(tmp_path / "mine.pth"), **LIKE_KEYS)


def test_the_joint_file_may_go_by_the_name_of_the_first_part(tmp_path: Path) -> None:
    file = tmp_path / NAMES["backbone_gep"]
    torch.save({"model": {**joint(), "head_gep.last.weight": torch.ones(3)}}, file)
    assert find_weights(registry.model("skysense").CARD, tmp_path) == file
    assert_complete(load_model("skysense", tmp_path, **LIKE_KEYS))


def test_the_users_folder_is_found_with_what_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = registry.model("skysense").CARD
    monkeypatch.setenv("SKYBENCH_WEIGHTS", str(tmp_path))
    folder = split(tmp_path / "skysense", "backbone_s2")
    assert find_weights(card) == folder / NAMES["backbone_s2"]
    split(folder, "fusion")
    assert find_weights(card) == folder
    before = sha256_file(folder)
    (folder / "notes.txt").write_text("not a checkpoint")
    assert sha256_file(folder) == before
    split(folder, "head_s2")
    assert sha256_file(folder) != before


def test_an_unknown_part_is_refused() -> None:
    for parts in (("hr", "s3"), ()):
        with pytest.raises(UsageError, match="Expected parts among hr, s2, s1"):
            load_model("skysense", "random", "tiny", parts=parts)
